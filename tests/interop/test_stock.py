"""Stock pynetdicom: its requestor against our acceptor, its acceptor against our requestor."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from tests.lib.certificates import Certificates
from tests.lib.stock import Presented, StockScp, accept_silently, accept_with
from tests.pynetdicom.support import PASSCODE, requestor, serving, until, upper_layers
from useridentity import Username, UsernamePasscode
from useridentity.pynetdicom import OutcomeKind, identity_of, outcome_of
from useridentity.tls import client_context, server_context

StartScp = Callable[..., StockScp]

USERNAME = (1, b"alice", b"")
RIGHT, WRONG = (2, b"alice", PASSCODE), (2, b"alice", b"wrong")


def item(identity: Any, *, respond: bool = True) -> UserIdentityNegotiation:
    negotiation = UserIdentityNegotiation()
    negotiation.user_identity_type, negotiation.primary_field, negotiation.secondary_field = identity
    negotiation.positive_response_requested = respond
    return negotiation


@pytest.fixture
def associate() -> Iterator[Callable[..., Association]]:
    """Associations of a stock requestor, released when the test ends."""
    opened: list[Association] = []

    def open_one(port: int, *identities: Any, respond: bool = True, **arguments: Any) -> Association:
        ae = AE("STOCK")
        ae.add_requested_context(Verification)
        ae.add_requested_context(CTImageStorage)
        items: list[Any] = [item(each, respond=respond) for each in identities]
        opened.append(ae.associate("127.0.0.1", port, ext_neg=items, **arguments))
        return opened[-1]

    yield open_one
    for association in opened:
        if association.is_established:
            association.release()


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "mutual tls"])
@pytest.mark.parametrize(("identity", "subject"), [(USERNAME, "username:alice"), (RIGHT, "passcode:alice")])
def test_a_stock_requestor_stores_as_who_it_is(
    associate: Callable[..., Association], certificates: Certificates, ct_dataset: Dataset,
    identity: Any, subject: str, tls: bool,
) -> None:  # fmt: skip
    context = server_context(*certificates.server, client_ca=certificates.ca) if tls else None
    client: tuple[ssl.SSLContext, str] | None = None
    if tls:
        client = (client_context(certificates.ca, *certificates.client), "127.0.0.1")
    with serving(tls=context) as acceptor:
        association = associate(acceptor.port, identity, tls_args=client)
        assert association.acceptor.user_identity.server_response == b""
        assert association.send_c_echo().Status == 0
        assert association.send_c_store(ct_dataset).Status == 0
        association.release()
        assert [identity_of(event).subject for event in acceptor.served] == [subject] * 2


def test_a_stock_requestor_that_asks_for_no_response_gets_none(associate: Callable[..., Association]) -> None:
    with serving() as acceptor:
        association = associate(acceptor.port, USERNAME, respond=False)
        assert association.is_established
        assert association.acceptor.user_identity is None
        association.release()


# A stock requestor takes a connection that was answered and closed very soon for one that was never made,
# and its thread dies of that: the answer is read from what it received.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("identities", [(), (WRONG,), (RIGHT, WRONG), (RIGHT, RIGHT), ((5, b"a.b.c", b""),)], ids=repr)
def test_a_stock_requestor_is_rejected_for_good(associate: Callable[..., Association], identities: Any) -> None:
    received: list[bytes] = []
    with serving() as acceptor:
        association = associate(acceptor.port, *identities, evt_handlers=[(evt.EVT_DATA_RECV, note(received))])
        assert not association.is_established
        assert received == [bytes.fromhex("0300 00000004 00 010201")]
        assert acceptor.served == []
        until(lambda: not upper_layers())


def note(received: list[bytes]) -> Callable[[evt.Event], None]:
    return lambda event: received.append(event.data)


@pytest.mark.parametrize(
    ("decide", "kind"),
    [
        (accept_silently, OutcomeKind.NOT_CONFIRMED),
        (accept_with(b""), OutcomeKind.CONFIRMED),
        (accept_with(b"surprise"), OutcomeKind.NOT_CONFIRMED),
        (lambda event: (False, None), OutcomeKind.REJECTED),
    ],
    ids=["silent", "confirming", "wrong", "rejecting"],
)
def test_a_stock_acceptor_sees_the_identity_and_is_judged_by_its_answer(
    stock_scp: StartScp, decide: Any, kind: OutcomeKind
) -> None:
    scp = stock_scp(decide)
    identity = UsernamePasscode("alice", PASSCODE, plaintext="allow")
    assoc = requestor().associate("127.0.0.1", scp.port, identity=identity)
    assert outcome_of(assoc).kind is kind
    assert scp.identities == [Presented(2, b"alice", PASSCODE)]
    if assoc.is_established:
        assert assoc.send_c_echo().Status == 0
        assoc.release()
    assert scp.requests == (["C_ECHO"] if kind is OutcomeKind.CONFIRMED else [])
    until(lambda: not upper_layers())  # a stock acceptor that is ended while it rejects fails with a traceback


def test_a_stock_acceptor_behind_tls_gets_the_passcode(stock_scp: StartScp, certificates: Certificates) -> None:
    scp = stock_scp(accept_with(b""), tls=server_context(*certificates.server))
    tls = (client_context(certificates.ca), "127.0.0.1")
    assoc = requestor().associate("127.0.0.1", scp.port, identity=UsernamePasscode("alice", PASSCODE), tls_args=tls)
    assert outcome_of(assoc).kind is OutcomeKind.CONFIRMED
    assoc.release()
    assert scp.identities == [Presented(2, b"alice", PASSCODE)]


def test_without_an_identity_a_stock_acceptor_is_asked_for_none(stock_scp: StartScp, ct_dataset: Dataset) -> None:
    scp = stock_scp()
    ae = requestor(CTImageStorage)
    ae.requested_contexts[0].transfer_syntax = [ct_dataset.file_meta.TransferSyntaxUID]
    assoc = ae.associate("127.0.0.1", scp.port)
    assert outcome_of(assoc).kind is OutcomeKind.ACCEPTED
    assert assoc.send_c_store(ct_dataset).Status == 0
    assoc.release()
    assert scp.identities == []
    assert outcome_of(ae.associate("127.0.0.1", 1, identity=Username("alice"))).kind is OutcomeKind.UNREACHABLE
