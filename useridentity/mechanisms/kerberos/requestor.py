"""The association requestor's side: a ticket for the acceptor, and the acceptor's proof that it can read it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from uuid import uuid4

from useridentity.credential import Confirmation, Credential, IdentityType
from useridentity.errors import ConfigurationError, CredentialUnavailable, NotConfirmed, WireError
from useridentity.facts import Peer
from useridentity.mechanisms.kerberos.framing import bare_ap_rep, bare_ap_req, framed_ap_rep
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
)
from useridentity.mechanisms.kerberos.keytab import library_name, require_private

Framing = Literal["raw", "gss"]
"""How the KRB_AP_REQ is sent: bare, as PS3.7 reads, or as a GSS-API token (RFC 4121 4.1)."""

Mutual = Literal["required", "none"]
"""Whether the acceptor must prove itself by a KRB_AP_REP, or is not asked to."""


@dataclass(frozen=True, slots=True)
class Kerberos:
    """Association requestor: a ticket of the user who is logged in, or of a keytab's principal.

    A ticket can be used once, by whoever holds the session key, which never leaves: it is no secret,
    and TLS is not asked for. Without TLS nothing protects the DIMSE messages that follow.

    Fields:
        service: the acceptor, `name@host` (RFC 2743 4.1); the host as in its principal.
        keytab: log in with the key in this file instead of using the credential cache.
        principal: `user@REALM` to be; by default the cache's, or the first in the keytab.
        cache: the credential cache, a file; by default the one that KRB5CCNAME or krb5.conf names.
        framing: see `Framing`.
        mutual: see `Mutual`. With "none" an acceptor of this package refuses a positive response
            that is requested: it would have nothing to respond with.

    Raises `ConfigurationError` where these contradict each other or the keytab cannot be used.
    """

    service: str
    keytab: Path | str | None = field(default=None, kw_only=True)
    principal: str | None = field(default=None, kw_only=True)
    cache: Path | str | None = field(default=None, kw_only=True)
    framing: Framing = field(default="raw", kw_only=True)
    mutual: Mutual = field(default="required", kw_only=True)
    # Tickets of a keytab go to a cache of their own, never over those of the user who is logged in.
    _own_cache: str = field(default_factory=lambda: f"MEMORY:{uuid4()}", init=False, repr=False, compare=False)
    _one_at_a_time: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )  # or each would ask the KDC for what the first is fetching

    def __post_init__(self) -> None:
        for word, allowed, name in (
            (self.framing, get_args(Framing), "framing"),
            (self.mutual, get_args(Mutual), "mutual"),
        ):
            if word not in allowed:
                raise ConfigurationError(f"{name} is {word!r}; write one of: {', '.join(allowed)}")
        if self.keytab is not None and self.cache is not None:
            raise ConfigurationError("keytab and cache are both given; a ticket comes from one of them")
        if self.keytab is not None:
            require_private(Path(self.keytab), f"kadmin -q 'ktadd -k {self.keytab} {self.principal or 'USER'}'")
        service_name(self.service)

    @contextmanager
    def offer(self, peer: Peer) -> Iterator[KerberosOffer]:  # noqa: ARG002  a ticket is bound to its service
        """A ticket for `service`, whatever the peer; raises `CredentialUnavailable` where none is to be had."""
        with self._one_at_a_time:
            try:
                offered = KerberosOffer(self.service, self._credentials(), self.framing, self.mutual)
            except Error as error:
                raise CredentialUnavailable(f"no ticket for {self.service}: {explain(error)}") from None
        try:
            yield offered
        finally:
            offered.end()

    def _credentials(self) -> gssapi.Credentials:
        store: CredentialStore = {}
        if self.keytab is not None:
            store = {"client_keytab": library_name(self.keytab), "ccache": self._own_cache}
        elif self.cache is not None:
            store = {"ccache": f"FILE:{self.cache}"}
        name = gssapi.Name(self.principal, gssapi.NameType.kerberos_principal) if self.principal else None
        return gssapi.Credentials(name=name, usage="initiate", mechs=[KERBEROS], store=store or None)


class KerberosOffer:
    """One KRB_AP_REQ, and the context that can tell the KRB_AP_REP to it from any other."""

    def __init__(self, service: str, credentials: gssapi.Credentials, framing: Framing, mutual: Mutual) -> None:
        self._name = service_name(service)
        self._credentials = credentials
        self._framing = framing
        self._mutual = mutual
        # Never delegation: the acceptor is told who the user is, not made able to act for them.
        self._flags = [Flag.integrity] if mutual == "none" else [Flag.integrity, Flag.mutual_authentication]
        started = self._step(None, None)
        self._context: Any = started.context
        field = bare_ap_req(started.token) if framing == "raw" else started.token
        self._credential: Credential | None = Credential(IdentityType.KERBEROS, field)

    @property
    def credential(self) -> Credential:
        """The 58H to send; raises `CredentialUnavailable` once the offer has ended."""
        if self._credential is None:
            raise CredentialUnavailable("the offer has ended; a ticket is used once, ask the provider again")
        return self._credential

    def confirm(self, server_response: bytes | None) -> Confirmation:
        """Judge the Server-response; raises `NotConfirmed` unless it is this ticket's KRB_AP_REP, in the form sent."""
        if server_response is None:
            raise NotConfirmed("no server response: the acceptor may have ignored the ticket (PS3.7 D.3.3.7)")
        if self._mutual == "none":
            return _unproved(server_response)
        try:
            if self._framing == "gss":
                bare_ap_rep(server_response)
            token = framed_ap_rep(server_response) if self._framing == "raw" else server_response
            finished = self._step(self._context, token)
        except WireError as error:
            raise NotConfirmed(f"the server response is not a server ticket: {error}") from None
        except Error as error:
            raise NotConfirmed(f"the server ticket does not prove the acceptor: {explain(error)}") from None
        if finished.more_steps or Flag.mutual_authentication not in finished.flags:
            raise NotConfirmed("the server ticket does not complete mutual authentication")
        acceptor = target_name(finished.context)
        return Confirmation(raw.display_name(acceptor, False).name.decode("utf-8", "backslashreplace"), mutual=True)

    def end(self) -> None:
        """Drop the ticket and the session key."""
        self._credential = self._context = None

    def _step(self, context: Any, token: bytes | None) -> Any:
        return raw.init_sec_context(
            self._name, self._credentials, context, mech=KERBEROS, flags=self._flags, input_token=token
        )


def _unproved(server_response: bytes) -> Confirmation:
    if server_response:
        raise NotConfirmed(
            f"the server response has {len(server_response)} bytes, to a ticket that asked for no server ticket"
        )
    return Confirmation()
