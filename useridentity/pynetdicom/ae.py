"""pynetdicom's application entity, with `identity=` where it requests and `policy=` where it accepts."""

from __future__ import annotations

import ssl
import threading
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from socket import gaierror
from typing import TYPE_CHECKING, Any

import pynetdicom
from pynetdicom._globals import DEFAULT_MAX_LENGTH
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.transport import AddressInformation
from pynetdicom.utils import make_target

from useridentity.credential import CONFIRMATION_WORDS, ConfirmationWord, CredentialProvider, Offer
from useridentity.errors import ConfigurationError, CredentialUnavailable
from useridentity.facts import Peer, peer_address
from useridentity.identity import Identity
from useridentity.permission import Permission
from useridentity.policy import Policy
from useridentity.pynetdicom.acceptor import AcceptorAssociation
from useridentity.pynetdicom.contexts import copied
from useridentity.pynetdicom.requestor import IdentityExchange, Outcome, RequestorAssociation
from useridentity.pynetdicom.scoped import ScopeOfEvent, StudyLookup
from useridentity.pynetdicom.server import GuardedServer
from useridentity.pynetdicom.service import SERVING_MOVE, Move
from useridentity.pynetdicom.transport import IdentitySocket
from useridentity.tls.reload import ServerTls
from useridentity.wire import MAX_ASSOCIATE_LENGTH

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event, EventHandlerType
    from pynetdicom.presentation import PresentationContext

Address = tuple[str, int] | tuple[str, int, int, int]
TlsArguments = tuple[ssl.SSLContext, str]


class AE(pynetdicom.AE):
    """An application entity as in pynetdicom; what differs is said at `associate` and `start_server`."""

    def __init__(self, ae_title: str = "PYNETDICOM") -> None:
        super().__init__(ae_title)
        self._places_lock = threading.Lock()
        self._places: set[object] = set()

    # As association requestor.

    def associate(
        self,
        addr: str | tuple[str, int, int],
        port: int,
        contexts: list[PresentationContext] | None = None,
        ae_title: str = "ANY-SCP",
        max_pdu: int = DEFAULT_MAX_LENGTH,
        ext_neg: list[Any] | None = None,
        bind_address: Address | None = None,
        tls_args: TlsArguments | None = None,
        evt_handlers: list[EventHandlerType] | None = None,
        *,
        identity: CredentialProvider | None = None,
        confirmation: ConfirmationWord = "required",
    ) -> Association:
        """Request an association as pynetdicom does, and as `identity`, which is asked for a credential for it.

        `confirmation` "required" aborts it before any DIMSE message unless the acceptor confirms the identity, "wanted"
        takes a missing one but no wrong one, "none" asks for none (PS3.7 D.3.3.7). What the peer does never raises.

        Raises `CredentialUnavailable`, before connecting, where the identity cannot or may not be sent, and
        `ConfigurationError` for arguments that contradict each other. `outcome_of` tells how it ended.
        """
        _check_arguments(identity, confirmation, ext_neg)
        peer = _peer(addr, port, ae_title, tls_args)
        move = SERVING_MOVE.get()

        def prepared(exchange: IdentityExchange | None, acceptor: AddressInformation) -> RequestorAssociation:
            assoc = RequestorAssociation(self, exchange)
            assoc.acceptor.ae_title = ae_title
            assoc.acceptor.address_info = acceptor
            self._configure(assoc, bind_address, tls_args, max_pdu, ext_neg or [], contexts)
            for bound in evt_handlers or []:
                assoc.bind(*bound)
            return assoc

        try:
            acceptor = AddressInformation.from_addr_port(addr, port)
            _check_destination(move, ae_title, (addr, port), acceptor.address)
            with nullcontext() if identity is None else identity.offer(peer) as offer:
                assoc = prepared(None if identity is None else _exchange(offer, confirmation), acceptor)
                assoc.request()
        except (CredentialUnavailable, gaierror) as error:  # a name that does not resolve raises in pynetdicom too
            if move is None:
                raise
            assoc = prepared(None, AddressInformation("0.0.0.0", port))  # noqa: S104  nothing is bound to it
            assoc.withdraw(str(error))
        if assoc.is_established:
            assoc.start()
        return assoc

    def _configure(
        self,
        assoc: RequestorAssociation,
        bind_address: Address | None,
        tls_args: TlsArguments | None,
        max_pdu: int,
        ext_neg: list[Any],
        contexts: list[PresentationContext] | None,
    ) -> None:
        """Describe our side and the contexts, as `pynetdicom.AE.associate` does."""
        anywhere = ("", 0) if assoc.peer.is_ipv4 else ("::0", 0)
        requestor = AddressInformation.from_tuple(bind_address or anywhere)
        proposed = copied(contexts or self.requested_contexts)
        self._validate_requested_contexts(proposed)
        if not proposed:
            raise RuntimeError("at least one requested presentation context is required (PS3.8 Table 9-11)")
        for index, context in enumerate(proposed):
            context.context_id = 2 * index + 1
        assoc.name = f"RequestorThread@{datetime.now(UTC):%Y%m%d%H%M%S}"
        assoc.requestor.address_info = requestor
        assoc.requestor.ae_title = self.ae_title
        assoc.requestor.maximum_length = max_pdu
        assoc.requestor.implementation_class_uid = self.implementation_class_uid
        assoc.requestor.implementation_version_name = self.implementation_version_name
        assoc.requestor.requested_contexts = proposed
        for item in ext_neg:
            assoc.requestor.add_negotiation_item(item)
        sock = IdentitySocket(assoc, address=requestor)
        sock.limit(MAX_ASSOCIATE_LENGTH)
        sock.tls_args = tls_args
        if tls_args and assoc.connection_timeout is None:  # else a silent acceptor holds the handshake for ever
            assoc.connection_timeout = assoc.acse_timeout
        assoc.set_socket(sock)

    # As association acceptor.

    def start_server(
        self,
        address: Address,
        block: bool = True,
        ssl_context: ssl.SSLContext | ServerTls | None = None,
        evt_handlers: list[EventHandlerType] | None = None,
        ae_title: str | None = None,
        contexts: list[PresentationContext] | None = None,
        *,
        policy: Policy | str | Path | None = None,
        scope_lookup: StudyLookup | None = None,
    ) -> GuardedServer | None:
        """Accept associations as `policy` decides, a `Policy` or the path of its file.

        `scope_lookup` tells which studies are in the scope of an identity; without it the handler of EVT_C_FIND is
        asked. As in pynetdicom otherwise. Raises `ConfigurationError` without a policy, or with one that cannot work;
        `Policy.unguarded()` says aloud that everybody is let in.
        """
        server = self.make_server(
            address, ae_title, contexts, ssl_context, evt_handlers, policy=policy, scope_lookup=scope_lookup
        )
        self._servers.append(server)
        if not block:
            name = f"AcceptorServer@{datetime.now(UTC):%Y%m%d%H%M%S}"
            threading.Thread(target=make_target(server.serve_forever), name=name, daemon=True).start()
            return server
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            server.shutdown()
        return None

    def make_server(  # type: ignore[override]  # other server classes are refused
        self,
        address: Address,
        ae_title: str | None = None,
        contexts: list[PresentationContext] | None = None,
        ssl_context: ssl.SSLContext | ServerTls | None = None,
        evt_handlers: list[EventHandlerType] | None = None,
        server_class: type[GuardedServer] | None = None,
        *,
        policy: Policy | str | Path | None = None,
        **kwargs: Any,
    ) -> GuardedServer:
        """A server as `start_server` would run; `server_class` must be a `GuardedServer`."""
        server_class = server_class or GuardedServer
        if not issubclass(server_class, GuardedServer):
            raise ConfigurationError(
                f"server_class: {server_class.__name__} would let everybody in; derive it from "
                "useridentity.pynetdicom.GuardedServer"
            )
        server: GuardedServer = super().make_server(  # type: ignore[assignment]  # what server_class makes
            address,
            ae_title=ae_title,
            contexts=contexts,
            ssl_context=ssl_context,  # type: ignore[arg-type]  # of which ServerTls has what is used
            evt_handlers=evt_handlers,
            server_class=server_class,
            policy=_policy(policy),
            **kwargs,
        )
        return server

    def shutdown(self) -> None:
        """As in pynetdicom, but servers end before associations do, so that nobody comes in between."""
        for server in self._servers[:]:
            server.shutdown()
        super().shutdown()

    def take_place(self, assoc: object) -> bool:
        """Count `assoc` among those accepted or being decided about; False where it is one too many."""
        with self._places_lock:
            if len(self._places) >= self.maximum_associations:
                return False
            self._places.add(assoc)
            return True

    def give_up_place(self, assoc: object) -> None:
        """Stop counting `assoc`."""
        with self._places_lock:
            self._places.discard(assoc)


def _policy(policy: Policy | str | Path | None) -> Policy:
    if isinstance(policy, Policy):
        return policy
    if isinstance(policy, (str, Path)):
        return Policy.load(policy)
    raise ConfigurationError(
        "policy: missing, so nobody can be let in; pass a Policy or the path of a policy file, or "
        "Policy.unguarded() to let everybody in"
    )


def _check_arguments(identity: object, confirmation: str, ext_neg: list[Any] | None) -> None:
    problems = []
    if confirmation not in CONFIRMATION_WORDS:
        problems.append(f"confirmation: {confirmation!r} is none of {', '.join(CONFIRMATION_WORDS)}")
    if identity is not None and not isinstance(identity, CredentialProvider):
        problems.append(f"identity: {type(identity).__name__} is no credential provider, such as Username or Kerberos")
    if identity is not None and any(isinstance(item, UserIdentityNegotiation) for item in ext_neg or []):
        problems.append("ext_neg: holds a UserIdentityNegotiation beside identity=; an association has one identity")
    if problems:
        raise ConfigurationError(problems)


def _check_destination(move: Move | None, ae_title: str, place: tuple[object, int], address: str) -> None:
    if move is not None and not move.allows(ae_title, place, peer_address(address)):
        raise CredentialUnavailable(f"{ae_title} at {address} is no Move Destination that the requestor may name")


def _exchange(offer: Offer | None, confirmation: ConfirmationWord) -> IdentityExchange:
    if offer is None:  # a provider's mistake, which must not make the request one without identity
        raise ConfigurationError("identity: the credential provider's context manager gave None, not an offer")
    return IdentityExchange(offer, confirmation)


def _peer(addr: str | tuple[str, int, int], port: int, ae_title: str, tls_args: TlsArguments | None) -> Peer:
    if not isinstance(port, int):
        raise TypeError("'port' must be int")
    context, name = tls_args or (None, "")
    verified = context is not None and context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    return Peer(addr if isinstance(addr, str) else addr[0], port, ae_title, verified, name)


def outcome_of(assoc: Association) -> Outcome:
    """What became of an association that `AE.associate` returned; raises `TypeError` for any other."""
    if not isinstance(assoc, RequestorAssociation):
        raise TypeError("only an association requested through useridentity.pynetdicom.AE has an outcome")
    return assoc.outcome


def identity_of(source: Event | Association) -> Identity:
    """The identity of the association requestor, from an event or an association of a guarded server.

    Raises `LookupError` where nobody has been accepted (yet), or on an association of another kind.
    """
    assoc = getattr(source, "assoc", source)
    identity = assoc.identity if isinstance(assoc, AcceptorAssociation) else None
    if identity is None:
        raise LookupError("this association has no accepted identity")
    return identity


def permission_of(source: Event | Association) -> Permission:
    """What the association requestor may do, from an event or an association of a guarded server.

    A handler has no need to ask: what is not permitted does not reach it. It may want to know, as in
    `permission_of(event).allows("store")`.
    Raises `LookupError` where nobody has been accepted (yet), or on an association of another kind.
    """
    assoc = getattr(source, "assoc", source)
    permission = assoc.permission if isinstance(assoc, AcceptorAssociation) else None
    if permission is None:
        raise LookupError("this association has no accepted identity")
    return permission


def scope_of(event: Event) -> ScopeOfEvent | None:
    """The scope of whom `event` is about, for handlers that filter themselves; None where none is, as of a look-up.

    Raises `LookupError` on an association that is not of a guarded server, or has not been accepted (yet).
    """
    permission_of(event)
    scoping = event.assoc.scoping  # type: ignore[attr-defined]  # of a guarded server, or that has raised
    return None if scoping is None else scoping.of_event(event)
