"""One line per decision on the logger `useridentity`: `key=value`, every value escaped, never a secret."""

from __future__ import annotations

import json
import logging
import time

from useridentity.credential import Credential, IdentityType
from useridentity.decision import Accepted, Decision
from useridentity.facts import Facts
from useridentity.printable import printable

LOGGER = logging.getLogger("useridentity")

MAX_PRESENTED = 64
"""Characters of a presented name that are kept: enough to recognise it, too few to flood a log."""

MAX_VALUE = 256
"""Characters of any value that are kept: a detail may quote what a peer sent."""

_NAMED_IN_CLEAR = (IdentityType.USERNAME, IdentityType.USERNAME_PASSCODE)


def presented_name(credential: Credential | None) -> str:
    """The name a credential claims, escaped; empty where the primary field is itself the secret."""
    if credential is None or credential.identity_type not in _NAMED_IN_CLEAR:
        return ""
    name = printable(credential.primary_field)
    return name if len(name) <= MAX_PRESENTED else name[: MAX_PRESENTED - 1] + "…"


def decision(
    facts: Facts, decided: Decision, started: float, credential: Credential | None = None, *, abandoned: bool = False
) -> None:
    """Log `decided`; `started` is the monotonic time of the connection, `abandoned` that the peer left meanwhile.

    A handler that wants the fields rather than the line finds them in the record's `decision`.
    """
    accepted = isinstance(decided, Accepted)
    level = logging.WARNING if _is_remarkable(decided) else logging.INFO
    if not LOGGER.isEnabledFor(level):
        return
    outcome = "abandoned" if abandoned else "accepted" if accepted else "rejected"
    fields = _fields(outcome, facts, decided, started, credential)
    LOGGER.log(
        level,
        "association %s",
        " ".join(f"{key}={_quoted(value)}" for key, value in fields),
        extra={"decision": dict(fields)},
    )


def _is_remarkable(decided: Decision) -> bool:
    """Whether somebody may want to look: who was rejected, would have been, or was let in for an emergency."""
    return not isinstance(decided, Accepted) or decided.waived is not None or bool(decided.permission.emergency)


def _fields(
    outcome: str, facts: Facts, decided: Decision, started: float, credential: Credential | None
) -> list[tuple[str, object]]:
    fields: list[tuple[str, object]] = [("outcome", outcome)]
    if isinstance(decided, Accepted):
        fields += [("subject", decided.identity.subject), ("assurance", decided.identity.assurance.value)]
        fields += _of_accepted(decided)
    else:
        fields += [("reason", decided.reason.word), ("detail", decided.detail)]
    fields += [
        ("identity_type", facts.identity_type),
        ("presented", presented_name(credential)),
        ("peer", f"[{facts.address}]:{facts.port}" if facts.address.version == 6 else f"{facts.address}:{facts.port}"),
        ("tls", facts.tls.value),
        ("calling", facts.calling_ae_title),
        ("called", facts.called_ae_title),
        ("rule", decided.rule),
        ("validator", decided.validator),
        ("ms", round((time.monotonic() - started) * 1000, 1)),
    ]
    return fields


def _of_accepted(accepted: Accepted) -> list[tuple[str, object]]:
    """What only some of the accepted have."""
    fields = [
        ("node", accepted.node.subject if accepted.node else ""),
        ("grant", accepted.grant),
        ("emergency", accepted.permission.emergency),
        ("waived", accepted.waived.reason.word if accepted.waived else ""),
    ]
    return [(name, value) for name, value in fields if value]


def _quoted(value: object) -> str:
    """JSON: no quote, control or non-ASCII character reaches a log or a terminal as itself."""
    if isinstance(value, str) and len(value) > MAX_VALUE:
        value = value[: MAX_VALUE - 1] + "…"
    return json.dumps(value).replace("\x7f", "\\u007f")
