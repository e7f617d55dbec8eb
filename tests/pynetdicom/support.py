"""A guarded acceptor in a thread, what happened to it, and DIMSE requests as bytes."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_ECHO_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from tests.lib.pdus import associate_rq, pdu
from tests.lib.rawpeer import HANG, Pdu, PduType, RawPeer
from tests.lib.threads import until
from useridentity import Policy, Rule, UsernameValidator, passcode_check
from useridentity.pynetdicom import AE, GuardedServer

PASSCODE = b"right-passcode-7f3a"

LIFE = [
    evt.EVT_CONN_OPEN, evt.EVT_REQUESTED, evt.EVT_ACCEPTED, evt.EVT_REJECTED, evt.EVT_ESTABLISHED,
    evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE,
]  # fmt: skip

Handler = Callable[[evt.Event], Any]


def passcodes(name: str, passcode: bytes) -> bool:
    return (name, passcode) == ("alice", PASSCODE)


def usual_policy(**limits: Any) -> Policy:
    """Usernames at their word, and one passcode: alice's."""
    from useridentity import Limits

    rule = Rule([UsernameValidator(), passcode_check(passcodes, plaintext="allow")], weakest="asserted")
    return Policy([rule], limits=Limits(**limits))


@dataclass
class Acceptor:
    """A running guarded server of Verification and CT Image Storage, and what it has seen."""

    ae: AE
    server: GuardedServer
    events: list[str] = field(default_factory=list)
    served: list[evt.Event] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def serve(self, event: evt.Event) -> int:
        self.served.append(event)
        return 0x0000

    def settle(self) -> None:
        """Wait until every association has ended, and whatever was counted for it is given back."""
        until(lambda: not self.ae.active_associations and not upper_layers(self.ae))
        assert not self.ae._places
        assert not self.server.lobby._waiting
        assert not self.server.lobby._per_peer

    def life(self, *, associations: int = 1) -> list[str]:
        """The events so far, once so many connections have closed."""
        until(lambda: self.events.count("EVT_CONN_CLOSE") >= associations)
        self.settle()
        return self.events


def upper_layers(ae: Any = None) -> list[DULServiceProvider]:
    """The threads of the upper layer that are running, of `ae` or of all."""
    alive = [thread for thread in threading.enumerate() if isinstance(thread, DULServiceProvider)]
    return [each for each in alive if ae is None or each.assoc.ae is ae]


@contextmanager
def serving(
    policy: Policy | None = None,
    *,
    handlers: list[Any] | None = None,
    tls: ssl.SSLContext | None = None,
    address: Any = ("127.0.0.1", 0),
    contexts: list[PresentationContext] | None = None,
    **settings: Any,
) -> Iterator[Acceptor]:
    """A guarded acceptor until the block ends; `settings` are attributes of its AE."""
    ae = AE("ARCHIVE")
    for name, value in settings.items():
        setattr(ae, name, value)
    contexts = contexts or [build_context(Verification), build_context(CTImageStorage)]
    server = ae.make_server(
        address, contexts=contexts, ssl_context=tls, evt_handlers=handlers, policy=policy or usual_policy()
    )
    acceptor = Acceptor(ae, server)
    record(server, acceptor.events)
    for event in (evt.EVT_C_ECHO, evt.EVT_C_STORE):
        if server.get_handlers(event)[0] is evt.get_default_handler(event):
            server.bind(event, acceptor.serve)
    # What `start_server` does, polling faster for the end: half a second per test otherwise.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="guarded acceptor")
    thread.start()
    try:
        yield acceptor
    finally:
        server.shutdown()
        thread.join(HANG)
        for association in ae.active_associations:
            association.abort()
        acceptor.settle()


def record(bindable: Any, events: list[str]) -> None:
    """Note the names of the events in an association's life."""
    for event in LIFE:
        bindable.bind(event, lambda event: events.append(event.event.name))


def ask(acceptor: Acceptor, *user_items: bytes, **request: Any) -> Pdu | Any:
    """The answer to an A-ASSOCIATE-RQ, from a peer that then goes in the ordinary way."""
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(*user_items, **request))
        return peer.read_pdu()


def establish(peer: RawPeer, *user_items: bytes, **request: Any) -> None:
    peer.send(associate_rq(*user_items, **request))
    answer = peer.read_pdu()
    assert isinstance(answer, Pdu), answer
    assert answer.type is PduType.ASSOCIATE_AC, answer


def dimse(message: Any, primitive: Any, context_id: int = 1) -> bytes:
    """A DIMSE message as P-DATA-TF PDUs, whatever context it belongs on."""
    message.primitive_to_message(primitive)
    message.context_id = context_id
    pdus = []
    for fragment in message.encode_msg(context_id, 16384):
        pdu = P_DATA_TF()
        pdu.from_primitive(fragment)
        pdus.append(pdu.encode())
    return b"".join(pdus)


def status_of(answer: Pdu | Any) -> int | PduType:
    """The status of a DIMSE response; of any other PDU its type."""
    assert isinstance(answer, Pdu), answer
    if answer.type is not PduType.P_DATA_TF:
        return answer.type
    read, response = P_DATA_TF(), DIMSEMessage()
    read.decode(pdu(4, answer.body))
    response.decode_msg(read.to_primitive())
    return int(response.command_set.Status)


def c_echo_rq(context_id: int = 1) -> bytes:
    request = C_ECHO()
    request.MessageID = 1
    request.AffectedSOPClassUID = Verification
    return dimse(C_ECHO_RQ(), request, context_id)


def requestor(*contexts: str, **settings: Any) -> AE:
    """An AE that proposes these contexts, Verification without any."""
    ae = AE("SCU")
    for name, value in settings.items():
        setattr(ae, name, value)
    for context in contexts or (Verification,):
        ae.add_requested_context(context, ImplicitVRLittleEndian)
    return ae


def echo(assoc: Association) -> int | None:
    """The status of a C-ECHO, None where there was no answer."""
    status: int | None = assoc.send_c_echo().get("Status")
    return status
