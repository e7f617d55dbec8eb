"""One association as its acceptor: read, decide, and only then let pynetdicom have it."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE
from pynetdicom.transport import AddressInformation

from useridentity import log, wire
from useridentity.credential import Credential
from useridentity.decision import Decision, Reason, Rejected
from useridentity.errors import WireError
from useridentity.facts import Facts, Proposal, Tls, peer_address
from useridentity.pynetdicom.acse import GuardedACSE
from useridentity.pynetdicom.audited import AuditedAssociation
from useridentity.pynetdicom.contexts import copied
from useridentity.pynetdicom.reactor import LINGER, bound_now
from useridentity.pynetdicom.scoped import StudyLookup
from useridentity.pynetdicom.transport import MAX_DISCARDED, READ_AHEAD, IdentitySocket, cut
from useridentity.tls.peer import TlsPeer

if TYPE_CHECKING:
    from useridentity.pynetdicom.server import GuardedServer

LOGGER = logging.getLogger("useridentity.pynetdicom")

HEADER = 6
"""Bytes of a PDU before its content: type, reserved, length (PS3.8 9.3.1)."""

ABORT = 7
"""PDU-type of an A-ABORT (PS3.8 9.3.8)."""

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"


class AcceptorAssociation(AuditedAssociation):
    """An association that exists for its peer only once the policy has accepted it."""

    def __init__(self, server: GuardedServer, request: socket.socket, address: Any) -> None:
        self.server = server
        self._transport = request
        self._arrived = time.monotonic()
        self._accepted = False
        self._titles = ("", "")
        super().__init__(server.ae, MODE_ACCEPTOR, server.driver.policy.audit)
        # Kept under a name of our own too: a handler may replace `acse`, and negotiates nothing by that.
        self.acse = self._guarded_acse = GuardedACSE(self)
        self._server = server
        self.name = f"AcceptorThread@{datetime.now(UTC):%Y%m%d%H%M%S}"
        self._describe_both_sides(address)

    def _bind_defaults(self) -> None:
        self._handlers = bound_now(self.server._handlers)

    def _describe_both_sides(self, address: Any) -> None:
        ae = self.ae
        self.acceptor.maximum_length = ae.maximum_pdu_size
        self.acceptor.ae_title = self.server.ae_title
        self.acceptor.address_info = AddressInformation.from_tuple(self.server.server_address)
        self.acceptor.implementation_class_uid = ae.implementation_class_uid
        self.acceptor.implementation_version_name = ae.implementation_version_name
        self.requestor.address_info = AddressInformation.from_tuple(address)

    @property
    def scope_lookup(self) -> StudyLookup | None:
        return self.server.scope_lookup

    def bind(self, event: Any, handler: Callable[..., Any], args: list[Any] | None = None) -> None:
        from useridentity.pynetdicom.server import refuse_user_id

        refuse_user_id(event, handler)
        super().bind(event, handler, args)

    def hang_up(self) -> None:
        """Cut the connection; whatever waits for it wakes up."""
        cut(self._transport)

    def outgoing(self, pdu: bytes) -> bytes:
        """The last door: nothing accepts an association that was not decided, whoever asks for it."""
        if pdu[0] == wire.ACCEPT and not self._accepted:
            raise PermissionError("an A-ASSOCIATE-AC without a decision to accept")
        return super().outgoing(pdu)

    def wake(self) -> None:
        super().wake()
        if not self._accepted and self._is_abandoned:
            self._give_up_place()

    def run_reactor(self) -> None:
        try:
            if self._is_let_in():
                self._run_reactor()
        except BaseException:  # a handler may raise anything, SystemExit too
            LOGGER.exception("the association failed; aborting it")
            self._abort_for_failure()
        finally:
            self._end()

    def _abort_for_failure(self) -> None:
        """Abort without an event: a handler of it may be what has failed."""
        self.is_aborted = True
        self.is_established = False
        primitive = A_ABORT()
        primitive.abort_source = 2  # the UL service-provider (PS3.8 Table 9-26)
        self.dul.to_provider_queue.put(primitive)

    def _is_let_in(self) -> bool:
        """Read the request and answer it; nothing of it, the credential least of all, outlives this call."""
        request = self._receive()
        if request is None:
            return False
        self._socket.push_back(request.normalised())
        self.dul.start()
        self._started_dul = True
        primitive = self.dul.receive_pdu(wait=True, timeout=self.acse_timeout)
        if not isinstance(primitive, A_ASSOCIATE):
            return False
        self.requestor.primitive = primitive
        self.requestor.ae_title = request.calling_ae_title
        # Those that were not proposed cannot matter; a handler may still set others.
        proposed = set(request.abstract_syntaxes)
        self.acceptor.supported_contexts = copied(cx for cx in self.server.contexts if cx.abstract_syntax in proposed)
        evt.trigger(self, evt.EVT_REQUESTED, {})
        if not (self.is_aborted or self.is_rejected):
            self._negotiate(request)
        return self._accepted and self.is_established

    # Before the decision: in this thread, without pynetdicom.

    def _receive(self) -> wire.Associate | None:
        """The peer's request; None where it sent none, or none that can be answered with a decision."""
        limits = self.server.limits
        deadline = self._arrived + limits.associate_deadline
        try:
            self._secure(min(limits.tls_handshake, limits.associate_deadline))
            self.set_socket(IdentitySocket(self, client_socket=self._transport))
            self._transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.limit(limits.max_associate_pdu, deadline)
            evt.trigger(self, evt.EVT_CONN_OPEN, {"address": self.peer.as_tuple})
            if self.is_aborted:  # by a handler of that event
                self._socket.send(wire.encode_abort(0, 0))
                return None
            pdu = self._read_request()
            self._titles = wire.titles(pdu)
            return wire.decode(pdu, limit=limits.max_associate_pdu) if pdu else None
        except WireError as error:
            self._answer_malformed(error)
        except OSError as error:
            LOGGER.debug("%s: no association request: %s", self.peer.address, type(error).__name__)
            if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):  # who just left did nothing
                why = getattr(error, "reason", None) or error  # OpenSSL's word, where it is OpenSSL that failed
                failed = Rejected(Reason.TLS_REQUIRED, f"the TLS handshake failed: {why}")
                self.recorded(failed, self._facts(None), None)
        return None

    def _secure(self, handshake_timeout: float) -> None:
        if self.server.ssl_context is not None:
            self._transport.settimeout(handshake_timeout)
            wrapped = self.server.ssl_context.wrap_socket(
                self._transport, server_side=True, do_handshake_on_connect=False
            )
            self._transport = wrapped
            wrapped.do_handshake()
            self.tls_peer = TlsPeer.of(wrapped)

    def _read_request(self) -> bytes:
        """The first PDU, empty where the peer just left or aborted; raises `WireError` if it is no request."""
        header = self._socket.recv(HEADER)
        if len(header) < HEADER or header[0] == ABORT:
            return b""
        if header[0] != wire.REQUEST:
            raise WireError("PS3.8 Table 9-10, Sta2", f"PDU type {header[0]:02X}H where an A-ASSOCIATE-RQ is due")
        length = int.from_bytes(header[2:])
        if HEADER + length > self.server.limits.max_associate_pdu:
            raise WireError("limits.max_associate_pdu", f"an A-ASSOCIATE-RQ of {HEADER + length} bytes")
        return bytes(header + self._socket.recv(length))

    def _answer_malformed(self, error: WireError) -> None:
        """Answer, and wait a moment for the peer to read it: closing at once could destroy the answer."""
        facts, rejected = self._facts(None), Rejected(Reason.MALFORMED, str(error))
        self.recorded(rejected, facts, None)
        log.decision(facts, rejected, self._arrived)
        if error.about_identity:
            self.is_rejected = True
            self._socket.send(wire.encode_rejection(rejected.answer))
            evt.trigger(self, evt.EVT_REJECTED, {})
        else:
            self.is_aborted = True
            self._socket.send(wire.encode_abort(2, 6))
        self._drain()

    def _drain(self) -> None:
        deadline, drained = time.monotonic() + LINGER, 0
        with suppress(OSError):
            self._transport.shutdown(socket.SHUT_WR)
            while drained < MAX_DISCARDED and (left := deadline - time.monotonic()) > 0:
                self._transport.settimeout(left)
                received = len(self._transport.recv(READ_AHEAD))
                if not received:
                    return
                drained += received

    # The decision.

    def _negotiate(self, request: wire.Associate) -> None:
        outcome = self._guarded_acse.negotiate_contexts()
        facts, credential = self._facts(request, outcome.proposals), request.credential
        decision = self._refuse_before_credentials(request) or self._decide(facts, credential)
        decision = self.recorded(decision, facts, credential)
        abandoned = self._is_abandoned
        log.decision(facts, decision, self._arrived, credential, abandoned=abandoned)
        if abandoned:
            self._note_abort()
        elif isinstance(decision, Rejected):
            self._step_back()
            self._guarded_acse.reject(decision)
        else:
            self._accepted = True
            self.identity = decision.identity
            self._ends = self._end_of(decision.expires_at, facts.now)
            self._socket.ease(self.acceptor.maximum_length or 0, self.network_timeout)
            asked = credential is not None and credential.positive_response_requested
            self._guarded_acse.accept(
                decision.server_response if asked else None, outcome.narrowed(decision.permission)
            )
            self.record_established()

    def _end_of(self, expires_at: datetime | None, now: datetime) -> float:
        """When the association ends, on the monotonic clock: setting the machine's clock prolongs nothing."""
        longest = self.server.limits.max_association
        left = (expires_at - now).total_seconds() if expires_at is not None else longest
        return time.monotonic() + min(left, longest)

    def _decide(self, facts: Facts, credential: Credential | None) -> Decision:
        self.server.lobby.leave(self)
        self.wake()  # the peer may have gone before there was a place to give up
        return self.server.decide(self, facts, credential)

    @property
    def _is_abandoned(self) -> bool:
        """Whether the peer has gone or broken the protocol since it asked, or the application has aborted."""
        return self.is_aborted or self._transport.fileno() < 0 or self._guarded_acse.is_aborted()

    def _refuse_before_credentials(self, request: wire.Associate) -> Rejected | None:
        ae = self.ae
        if not request.protocol_version & 1:
            return Rejected(Reason.PROTOCOL_VERSION, f"protocol version {request.protocol_version:04X}H")
        if request.application_context_name not in ("", APPLICATION_CONTEXT):
            return Rejected(Reason.APPLICATION_CONTEXT, f"application context {request.application_context_name!r}")
        if ae.require_called_aet and request.called_ae_title != self.acceptor.ae_title.strip():
            return Rejected(Reason.CALLED_AE_TITLE, "require_called_aet")
        if ae.require_calling_aet and request.calling_ae_title not in [t.strip() for t in ae.require_calling_aet]:
            return Rejected(Reason.CALLING_AE_TITLE, "require_calling_aet")
        if not self.server.ae.take_place(self):
            return Rejected(Reason.CAPACITY, f"{ae.maximum_associations} associations are open")
        return None

    def _facts(self, request: wire.Associate | None, contexts: tuple[Proposal, ...] = ()) -> Facts:
        certificate, tls = b"", Tls.NONE
        if isinstance(self._transport, ssl.SSLSocket) and self._transport.version():  # None while shaking hands
            certificate, tls = self._transport.getpeercert(binary_form=True) or b"", Tls.SERVER
        credential = request.credential if request is not None else None
        return Facts(
            called_ae_title=self._titles[0],
            calling_ae_title=self._titles[1],
            address=peer_address(self.peer.address),
            port=self.peer.port,
            tls=Tls.MUTUAL if certificate else tls,
            peer_certificate=certificate,
            contexts=contexts,
            identity_type=credential.identity_type if credential is not None else None,
            now=datetime.now(UTC),
        )

    # The end.

    def _release_as_asked(self) -> None:
        self._give_up_place()  # before the peer learns of it, and asks for the next one
        super()._release_as_asked()

    def _end(self) -> None:
        try:
            if self._started_dul:
                self.dul.end()
            else:
                self._transport.close()
                if self.dul.socket is not None:
                    evt.trigger(self, evt.EVT_CONN_CLOSE, {"address": self.peer.as_tuple})
        finally:
            self.server.lobby.leave(self)
            self._give_up_place()
            self.dimse.discard_rest()
            self.record_end()

    def _step_back(self) -> None:
        """Give up the place inside, and be counted among those at the door for as long as the peer does not go."""
        self.server.lobby.enter(self, self.peer.address)
        self._give_up_place()

    def _give_up_place(self) -> None:
        self.server.ae.give_up_place(self)

    @property
    def _socket(self) -> IdentitySocket:
        assert self.dul.socket is not None  # noqa: S101  set before anything is read
        return self.dul.socket
