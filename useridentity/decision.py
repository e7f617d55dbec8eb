"""What was decided about an association, why, and what the peer is told.

A `Reason` is for the log, the audit record and metrics. It carries its wire
answer, and many reasons share one answer: the peer learns that it was refused
and whether to call again, nothing else (PS3.7 D.3.3.7.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from useridentity.identity import Identity

if TYPE_CHECKING:
    from useridentity.permission import Permission


class Answer(NamedTuple):
    """Result, source and reason/diag. of an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    result: int
    source: int
    diagnostic: int


REFUSED = Answer(1, 2, 1)
"""Rejected-permanent by the ACSE, no reason given: all that a refused identity learns (PS3.7 D.3.3.7.3)."""

UNDECIDED = Answer(2, 2, 1)
"""Rejected-transient by the ACSE: nothing was found wrong, the acceptor cannot tell now."""

CONGESTED = Answer(2, 3, 2)
"""Rejected-transient, local limit exceeded: come back later."""


class Reason(Enum):
    """Why an association was rejected; a closed set, each with its wire answer."""

    NO_RULE = ("no-rule", REFUSED)
    IDENTITY_REQUIRED = ("identity-required", REFUSED)
    IDENTITY_TYPE_NOT_ACCEPTED = ("identity-type-not-accepted", REFUSED)
    ISSUER_UNKNOWN = ("issuer-unknown", REFUSED)
    CREDENTIAL_INVALID = ("credential-invalid", REFUSED)
    CREDENTIAL_EXPIRED = ("credential-expired", REFUSED)
    REPLAYED = ("replayed", REFUSED)
    NOT_AUTHORISED = ("not-authorised", REFUSED)
    TLS_REQUIRED = ("tls-required", REFUSED)
    MALFORMED = ("malformed", REFUSED)
    CAPACITY = ("capacity", CONGESTED)
    PENALTY = ("penalty", CONGESTED)
    VALIDATOR_UNAVAILABLE = ("validator-unavailable", UNDECIDED)
    TIMED_OUT = ("timed-out", UNDECIDED)
    STATE_UNAVAILABLE = ("state-unavailable", UNDECIDED)
    AUDIT_UNAVAILABLE = ("audit-unavailable", UNDECIDED)
    # Settled before any credential is looked at (PS3.8 Table 9-21, source 1).
    CALLING_AE_TITLE = ("calling-ae-title-not-recognized", Answer(1, 1, 3))
    CALLED_AE_TITLE = ("called-ae-title-not-recognized", Answer(1, 1, 7))
    APPLICATION_CONTEXT = ("application-context-not-supported", Answer(1, 1, 2))
    PROTOCOL_VERSION = ("protocol-version-not-supported", Answer(1, 2, 2))

    def __init__(self, word: str, answer: Answer) -> None:
        self.word = word
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Rejected:
    """The association is rejected.

    `detail` says more than `reason`, for the log and the audit record only. `rule` names the
    `[[authenticate]]` rule that applied, `validator` the validator that refused; both may be
    empty where the decision fell before one was chosen. `identity` is who was proved and may not
    associate all the same, None where nobody was proved.
    """

    reason: Reason
    detail: str = ""
    rule: str = ""
    validator: str = ""
    identity: Identity | None = field(default=None, repr=False, compare=False)

    @property
    def answer(self) -> Answer:
        return self.reason.answer


@dataclass(frozen=True, slots=True)
class Accepted:
    """The association is accepted, for `identity`.

    Fields:
        rule: the `[[authenticate]]` rule that applied.
        validator: what verified, as `accept` names it: "idp", or "idp+node" for both.
        server_response: content of the 59H sub-item, sent only where a positive response was requested
            (PS3.7 D.3.3.7.2); None where there is nothing to confirm.
        expires_at: when the proof ends, None where it does not.
        permission: what may be done.
        grant: the `[[authorize]]` rule that applied; empty where the policy has none.
        node: whose TLS client certificate was asked for beside the identity; None where none was.
        waived: what would have been decided without `unproved`; None in all other cases.
    """

    identity: Identity
    rule: str
    validator: str
    server_response: bytes | None = field(default=b"", repr=False)
    expires_at: datetime | None = None
    permission: Permission = field(kw_only=True)
    grant: str = ""
    node: Identity | None = None
    waived: Rejected | None = None


Decision = Accepted | Rejected
