"""The listening side: who may wait at the door, and for how long."""

from __future__ import annotations

import errno
import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Network
from itertools import islice
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom.transport import ThreadedAssociationServer

from useridentity.checks import Driver
from useridentity.credential import Credential
from useridentity.decision import Accepted, Decision, Reason, Rejected
from useridentity.errors import ConfigurationError
from useridentity.facts import Facts, peer_address
from useridentity.policy import Limits, Policy
from useridentity.pynetdicom.acceptor import AcceptorAssociation
from useridentity.pynetdicom.audited import AuditedServer
from useridentity.pynetdicom.scoped import StudyLookup
from useridentity.pynetdicom.service import Admission
from useridentity.tls.reload import ServerTls

if TYPE_CHECKING:
    import ssl

    from pynetdicom.events import EventHandlerType
    from pynetdicom.presentation import PresentationContext

    from useridentity.pynetdicom.ae import AE

LOGGER = logging.getLogger("useridentity.pynetdicom")

IPV6_SUBNET = 64
"""Bits of an IPv6 address that tell hosts apart: the rest is the host's own to choose (RFC 4291 2.5.4).

Penalties go by the /48, which may be a hospital's whole site: they are for who was wrong. Here nobody was yet, and
a site's modalities must not have to share the few places of one host; who has a /48 of addresses and fills the lobby
from all of it makes the longest waiting go, as with any other many addresses.
"""

DESCRIPTORS_OF_AN_ASSOCIATION = 3
"""Its connection, and the pair by which its upper layer is woken."""

BREATH = 0.05
"""Seconds without accepting where file descriptors ran out: the connection waits, and so need not we."""

DESCRIPTORS_EXHAUSTED = (errno.EMFILE, errno.ENFILE)


class Lobby:
    """The connections that have not sent a complete A-ASSOCIATE-RQ yet."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._waiting: dict[AcceptorAssociation, str] = {}
        self._per_peer: Counter[str] = Counter()

    def has_place(self, address: str) -> bool:
        """Whether the peer at `address` may wait for one more association."""
        with self._lock:
            return self._per_peer[_host(address)] < self.limits.max_pending_per_peer

    def enter(self, assoc: AcceptorAssociation, address: str) -> None:
        """Let `assoc` wait; where too many do, the one that has waited longest has to go."""
        with self._lock:
            if assoc in self._waiting:
                return
            self._waiting[assoc] = _host(address)
            self._per_peer[_host(address)] += 1
            too_many = len(self._waiting) - self.limits.max_pending
        self.evict_longest(max(0, too_many))

    def leave(self, assoc: AcceptorAssociation) -> None:
        """`assoc` waits no longer; calling twice does nothing."""
        with self._lock:
            host = self._waiting.pop(assoc, None)
            if host is None:
                return
            self._per_peer[host] -= 1
            if not self._per_peer[host]:
                del self._per_peer[host]

    def close(self) -> None:
        """Hang up on all who wait."""
        with self._lock:
            waiting = list(self._waiting)
        for assoc in waiting:
            assoc.hang_up()

    def evict_longest(self, number: int) -> None:
        """Hang up on those who have waited longest."""
        with self._lock:
            longest = list(islice(self._waiting, number))
        for assoc in longest:
            self.leave(assoc)
            assoc.hang_up()


def _host(address: str) -> str:
    peer = peer_address(address)
    return str(peer) if isinstance(peer, IPv4Address) else str(IPv6Network((peer, IPV6_SUBNET), strict=False))


class GuardedServer(ThreadedAssociationServer):
    """A pynetdicom server whose associations are decided by a policy.

    The accept loop does nothing but accept: handshakes and requests are read in the association's own
    thread, under a deadline.
    """

    ae: AE

    # pynetdicom's 5 makes a burst of 16 clients wait a second and more for the kernel to retry.
    request_queue_size = 256

    def __init__(
        self,
        ae: AE,
        address: tuple[str, int] | tuple[str, int, int, int],
        ae_title: str,
        contexts: list[PresentationContext],
        ssl_context: ssl.SSLContext | ServerTls | None = None,
        evt_handlers: list[EventHandlerType] | None = None,
        *,
        policy: Policy,
        scope_lookup: StudyLookup | None = None,
    ) -> None:
        for event, handler, *_ in evt_handlers or ():  # before the base class listens
            refuse_user_id(event, handler)
        self.driver = Driver(policy)
        self.lobby = Lobby(policy.limits)
        self.scope_lookup = scope_lookup
        self._reloading = threading.Lock()
        self._drops = 0
        super().__init__(ae, address, ae_title, contexts, ssl_context, evt_handlers)  # type: ignore[arg-type]  # ServerTls
        self._recording = AuditedServer(policy.audit, ae_title, self.server_address)

    @property
    def limits(self) -> Limits:
        return self.driver.policy.limits

    def decide(self, assoc: AcceptorAssociation, facts: Facts, credential: Credential | None) -> Decision:
        """The decision about `assoc`; one that is dropped while it falls is not accepted any more.

        A TLS client certificate that does not hold any more is refused before the policy is asked: nobody's guess
        is charged, and nothing is spent.
        """
        before = self._drops
        if (refused := self._refused_by_tls(assoc, facts)) is not None:
            return refused
        decision = self.driver.decide(facts, credential)
        if isinstance(decision, Accepted):
            assoc.admission = Admission(facts, decision)
            if self._drops != before:  # those who were admitted by then have been judged; this one was not among them
                decision = self._judged_anew(assoc, assoc.admission)
                assoc.admission = Admission(facts, decision) if isinstance(decision, Accepted) else None
        return decision

    def reload(self, drop: bool = False) -> int:
        """Read the policy's file and those of `ServerTls` again: all of them hold from now on, or none does.

        Associations in progress keep what they were accepted under. With `drop` they are judged anew, as far as
        that is possible without their credential: those that are refused now are aborted, the others go on under
        what they are permitted now. How many were aborted is returned. A policy made in code stays as it is.
        Raises `ConfigurationError` with everything that is wrong.
        """
        with self._reloading:
            with self._recording.reload():
                for use in self._prepared():
                    use()
            self.lobby.limits = self.limits
            return self._drop() if drop else 0

    def _prepared(self) -> list[Callable[[], None]]:
        policy, tls = self.driver.policy, self.ssl_context
        problems: list[str] = []
        ready: list[Callable[[], None]] = []
        for prepare in (policy.prepare if policy.source else None, getattr(tls, "prepare", None)):
            try:
                ready += [prepare()] if prepare else []
            except ConfigurationError as error:
                problems += error.problems
        if problems:
            raise ConfigurationError(problems)
        return ready

    def _drop(self) -> int:
        self._drops += 1
        return sum(not self._goes_on(assoc) for assoc in self._admitted())

    def _admitted(self) -> list[AcceptorAssociation]:
        alive = (assoc for assoc in self.ae.active_associations if isinstance(assoc, AcceptorAssociation))
        running = (assoc for assoc in alive if assoc.server is self and not assoc.is_aborted)
        return [assoc for assoc in running if assoc.admission is not None]

    def _goes_on(self, assoc: AcceptorAssociation) -> bool:
        if (admission := assoc.admission) is None:  # refused meanwhile, for want of a record
            return True
        facts, decision = admission.facts, self._judged_anew(assoc, admission)
        if isinstance(decision, Accepted):
            assoc.admission = Admission(facts, decision)  # first: who records the acceptance just now looks for it
            assoc.identity = decision.identity
            assoc.record_reconsidered(decision)
            return True
        assoc.record_reconsidered(decision)
        who = json.dumps(admission.accepted.identity.subject)
        LOGGER.warning("dropped subject=%s address=%s: %s", who, facts.address, decision.detail)
        assoc.abort_for(f"the policy was reloaded: {decision.detail}", block=False)
        return False

    def _judged_anew(self, assoc: AcceptorAssociation, admission: Admission) -> Decision:
        """What becomes of whoever was admitted, by the policy and the TLS files as they are now."""
        facts, accepted = replace(admission.facts, now=datetime.now(UTC)), admission.accepted
        try:
            refused = self._refused_by_tls(assoc, facts)
            if refused is None:
                return self.driver.reconsider(facts, accepted)
        except Exception as error:  # noqa: BLE001  whatever cannot be judged must not keep others from being dropped
            detail = f"cannot be judged anew: {type(error).__name__}"
            refused = Rejected(Reason.VALIDATOR_UNAVAILABLE, detail)
        return replace(refused, rule=accepted.rule, validator=accepted.validator)

    def _refused_by_tls(self, assoc: AcceptorAssociation, facts: Facts) -> Rejected | None:
        """Why the requestor's TLS client certificate does not hold any more; None where it does or there is none."""
        return assoc.tls_peer.refusal(self.ssl_context, facts.now) if assoc.tls_peer is not None else None

    def bind(self, event: Any, handler: Callable[..., Any], args: list[Any] | None = None) -> None:
        refuse_user_id(event, handler)
        super().bind(event, handler, args)

    def get_request(self) -> tuple[socket.socket, Any]:
        assert self.socket is not None  # noqa: S101  set by the constructor
        try:
            request, address = self.socket.accept()
        except OSError as error:
            if error.errno in DESCRIPTORS_EXHAUSTED:
                self.lobby.evict_longest(DESCRIPTORS_OF_AN_ASSOCIATION)
                time.sleep(BREATH)
            raise
        return request, address

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002  socketserver's signature
        refused = self._refused_at_accept(client_address[0])
        if refused is not None:
            self._recording.refused(refused, client_address)
        return refused is None

    def _refused_at_accept(self, address: str) -> Rejected | None:
        """Why a connection from `address` is closed before anything is read of it."""
        if not self.lobby.has_place(address):
            detail = f"closed at accept: {self.limits.max_pending_per_peer} connections of this address wait already"
            return Rejected(Reason.CAPACITY, detail)
        if self.driver.penalties.refuses_source(peer_address(address), datetime.now(UTC)):
            return Rejected(Reason.PENALTY, "closed at accept: too many wrong credentials from this source")
        return None

    def process_request(self, request: Any, client_address: Any) -> None:
        assoc = AcceptorAssociation(self, request, client_address)
        self.lobby.enter(assoc, client_address[0])
        try:
            assoc.start()
        except RuntimeError:  # no thread to be had
            self.lobby.leave(assoc)
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  socketserver's signature
        LOGGER.exception("%s: the connection could not be served", client_address[0])

    def service_actions(self) -> None:
        """pynetdicom collects garbage here, a third of a busy server's time; see docs/design-notes.md."""

    def shutdown(self) -> None:
        try:
            with suppress(ValueError):  # from pynetdicom for a server of `make_server`, which the AE does not list
                super().shutdown()
        finally:
            self.lobby.close()
            self.driver.close()
            self._recording.stop()


def refuse_user_id(event: Any, handler: Callable[..., Any]) -> None:
    """Raise `ConfigurationError` for a handler that would decide what the policy decides."""
    if event is evt.EVT_USER_ID and handler is not evt.get_default_handler(evt.EVT_USER_ID):
        raise ConfigurationError(
            "a handler for evt.EVT_USER_ID would never be called: the policy decides about identities; "
            "put the check into it with passcode_check(...) or FunctionValidator(...)"
        )
