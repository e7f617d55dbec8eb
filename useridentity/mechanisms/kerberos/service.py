"""The service that tickets are for: its key, the library's judgement of a ticket, and the replay cache."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused
from useridentity.mechanisms.kerberos.gss import (
    KERBEROS,
    CredentialStore,
    Error,
    Flag,
    explain,
    gssapi,
    raw,
    service_name,
    target_name,
    verdict,
)
from useridentity.mechanisms.kerberos.keytab import library_name, require_private

REPLAY_CACHE = "dfl:"
"""MIT's own: a file of this user in $KRB5RCACHEDIR, $TMPDIR or /var/tmp. Named in the credential store
it is used whatever KRB5RCACHENAME, KRB5RCACHETYPE and krb5.conf say, "none" included."""

NO_SUCH_CACHE = "no-such-cache:"
"""A library that takes this for a replay cache takes no notice of the one it is given."""

ROUNDING = timedelta(seconds=2)
"""The library's times are whole seconds, on both ends of a difference."""

AUTH_INDICATORS = b"auth-indicators"  # the name attribute of RFC 8129's indicators in MIT Kerberos


@dataclass(frozen=True, slots=True)
class Proof:
    """A ticket that was verified.

    Fields:
        principal: of the requestor, with its realm, as the library writes it.
        service: the principal whose key the ticket was encrypted in.
        expires_at: the end of the ticket.
        new_at: before that the same request would have been refused for its date.
        forget_at: from then on it is refused for its age.
        indicators: how the user proved themselves to the KDC (RFC 8129); only verified ones.
        answer: the token with the KRB_AP_REP, None where mutual authentication was not asked for.
    """

    principal: str
    service: str
    expires_at: datetime
    new_at: datetime
    forget_at: datetime
    indicators: tuple[str, ...]
    answer: bytes | None = field(repr=False)


class Service:
    """One service principal, `name@host`, and its keytab.

    Raises `ConfigurationError` where the keytab is missing, open to others or without the service's
    key, and where replays would go unnoticed.
    """

    def __init__(self, service: str, keytab: Path) -> None:
        self._name = service_name(service)
        principal = service.replace("@", "/")
        path = shlex.quote(str(keytab))
        require_private(keytab, f"kadmin -q 'ktadd -k {path} {principal}'")
        self._keytab = library_name(keytab)
        try:
            self._credentials = self._acquired(REPLAY_CACHE)
        except Error as error:
            raise ConfigurationError(
                f"keytab {keytab}: {explain(error)}; it needs the key of {principal}: klist -k {path}"
            ) from error
        self._require_replay_cache()

    def accept(self, token: bytes) -> Proof:
        """The proof in a GSS-framed KRB_AP_REQ; raises `Refused` or `Unavailable`.

        The raw call raises at once: the library's own SecurityContext returns an error token as if it
        were an answer, and tells of the error only when it is next looked at.
        """
        try:
            accepted: Any = raw.accept_sec_context(token, self._credentials)
            if accepted.more_steps or Flag.anonymity in accepted.flags:
                raise Refused(Reason.CREDENTIAL_INVALID, "an anonymous ticket, or one that asks for another round trip")
            return _proof(accepted)
        except Error as error:
            raise verdict(error) from None

    def _acquired(self, replay_cache: str) -> gssapi.Credentials:
        store: CredentialStore = {"keytab": self._keytab, "rcache": replay_cache}
        return gssapi.Credentials(name=self._name, usage="accept", mechs=[KERBEROS], store=store)

    def _require_replay_cache(self) -> None:
        try:
            self._acquired(NO_SUCH_CACHE)
        except Error:
            _require_writable(_replay_cache_file())
        else:
            raise ConfigurationError(
                "this Kerberos library takes no notice of the replay cache it is given, so that a ticket "
                "could be used twice; use MIT Kerberos 1.18 or later"
            )


def _proof(accepted: Any) -> Proof:
    service = target_name(accepted.context)
    ticket: Any = raw.krb5_export_lucid_sec_context(accepted.context, 1)
    now = datetime.now(UTC)
    expires_at = datetime.fromtimestamp(ticket.endtime, UTC)
    # The library's lifetime ends when it would refuse the ticket: its clock skew after the end.
    skew = timedelta(seconds=accepted.lifetime) - (expires_at - now)
    return Proof(
        principal=_text(accepted.initiator_name),
        service=_text(service),
        expires_at=expires_at,
        new_at=now - 2 * skew - ROUNDING,
        # An authenticator may be one clock skew ahead when it comes, and is accepted until one after its time.
        forget_at=now + 2 * skew + ROUNDING,
        indicators=_indicators(accepted.initiator_name),
        answer=accepted.token,
    )


def _text(name: Any) -> str:
    octets = raw.display_name(name, False).name
    text = octets.decode("utf-8", "replace")
    if "\ufffd" in text or not text.isprintable():
        raise Refused(Reason.CREDENTIAL_INVALID, f"a principal that is not printable UTF-8: {octets!a}")
    return str(text)


def _indicators(name: Any) -> tuple[str, ...]:
    try:
        found = raw.get_name_attribute(name, AUTH_INDICATORS)
    except gssapi.exceptions.OperationUnavailableError:  # the ticket has none
        return ()
    return tuple(value.decode("utf-8", "backslashreplace") for value in found.values) if found.authenticated else ()


def _replay_cache_file() -> Path:
    """Where MIT Kerberos 1.18 and later keep the default replay cache."""
    folder = os.environ.get("KRB5RCACHEDIR") or os.environ.get("TMPDIR") or "/var/tmp"  # noqa: S108  MIT's own choice
    return Path(folder, f"krb5_{os.geteuid()}.rcache2")


def _require_writable(replay_cache: Path) -> None:
    """Open it as the library will for every ticket; a failure then would reject everybody."""
    try:
        descriptor = os.open(replay_cache, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"replay cache {replay_cache}: {error.strerror}, so that a ticket could be used twice; "
            "set KRB5RCACHEDIR to a folder that this user alone can write"
        ) from error
    try:
        owner = os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)
    if owner != os.geteuid():
        raise ConfigurationError(f"replay cache {replay_cache}: belongs to user {owner}; remove it")
