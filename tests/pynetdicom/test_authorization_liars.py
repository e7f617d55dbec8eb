"""A peer that was accepted, and lies: nothing of it reaches a handler, and its honest twin is served."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from pynetdicom import build_context, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    MRImageStorage,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from tests.cases.table import Roles
from tests.lib.commands import (
    COMMAND,
    ECHO,
    IDENTIFIER,
    LAST,
    Elements,
    command_set,
    element,
    message,
    p_data,
    request,
    request_elements,
    response_elements,
    us,
    value,
)
from tests.lib.pdus import associate_rq, presentation_context, user_identity
from tests.lib.rawpeer import Pdu, PduType, RawPeer
from tests.lib.stock import stock_scp
from tests.pynetdicom.support import Acceptor
from tests.pynetdicom.test_authorization_table import role_selection
from useridentity import Assurance, Grant, Policy, Rule, UsernameValidator, Who
from useridentity.pynetdicom.messages import MAX_DATA_SET

Accept = Callable[..., Acceptor]

ECHO_CX, CT_CX, MR_CX, FIND_CX = 1, 3, 5, 7
OFFERED = (Verification, CTImageStorage, MRImageStorage, StudyRootQueryRetrieveInformationModelFind)
FIND = StudyRootQueryRetrieveInformationModelFind
ALICE = user_identity(1, b"alice")

STORE = request_elements("C-STORE", CTImageStorage)
COMMAND_SET = command_set(STORE)


def permitting(*words: str, **details: Any) -> Policy:
    """Whoever says who they are may do this."""
    grant = Grant(words, who=Who(assurance=(Assurance.ASSERTED,)), **details)
    return Policy([Rule([UsernameValidator()])], authorize=[grant])


class Server:
    """A guarded acceptor under test, and what reached its handlers."""

    def __init__(self, accept: Accept, *words: str, offered: tuple[str, ...] = OFFERED) -> None:
        self.handled: list[str] = []
        events = (evt.EVT_C_ECHO, evt.EVT_C_STORE, evt.EVT_C_FIND, evt.EVT_N_ACTION, evt.EVT_N_EVENT_REPORT)
        contexts = [build_context(uid) for uid in offered]
        for context in contexts:
            context.scu_role = context.scp_role = True
        self._acceptor = accept(
            permitting(*(words or ("echo", "store", "find"))),
            contexts=contexts,
            handlers=[(event, self._note) for event in events],
        )
        self._offered = tuple(presentation_context(2 * i + 1, uid) for i, uid in enumerate(offered))

    def _note(self, event: evt.Event) -> Any:
        self.handled.append(event.event.name.removeprefix("EVT_"))
        if event.event in (evt.EVT_N_ACTION, evt.EVT_N_EVENT_REPORT):
            return 0, None
        return iter(()) if event.event is evt.EVT_C_FIND else 0

    def answers(self, *sent: bytes, items: tuple[bytes, ...] = (), of: int = 1) -> list[Any]:
        """So many answers to what was sent, fewer where the acceptor aborts."""
        with RawPeer(self._acceptor.port) as peer:
            peer.send(associate_rq(ALICE, *items, contexts=self._offered))
            accepted = peer.read_pdu()
            assert isinstance(accepted, Pdu)
            assert accepted.type is PduType.ASSOCIATE_AC
            for pdu in sent:
                peer.send(pdu)
            answers: list[Any] = []
            while len(answers) < of and PduType.ABORT not in answers:
                answer = peer.read_pdu()
                assert isinstance(answer, Pdu), answer
                answers.append(answer.type)
        self._acceptor.settle()
        return answers

    def serves(self, *sent: bytes, items: tuple[bytes, ...] = ()) -> bool:
        """Whether what was sent reached a handler; if not, it was answered by an abort."""
        before = len(self.handled)
        (answer,) = self.answers(*sent, items=items)
        served = len(self.handled) > before
        assert answer is (PduType.P_DATA_TF if served else PduType.ABORT)
        return served


@pytest.fixture
def server(accept: Accept) -> Server:
    return Server(accept)


# Lies about what the message is


LIES: dict[str, tuple[bytes, bytes]] = {
    "another SOP class": (
        request("C-STORE", CTImageStorage, CT_CX),
        request("C-STORE", CTImageStorage, MR_CX),
    ),
    "another service's SOP class": (
        request("C-FIND", FIND, FIND_CX),
        request("C-FIND", FIND, ECHO_CX),
    ),
    "a context that was never proposed": (
        request("C-ECHO", Verification, ECHO_CX),
        request("C-ECHO", Verification, 99),
    ),
    "an even context": (
        request("C-ECHO", Verification, ECHO_CX),
        request("C-ECHO", Verification, 2),
    ),
    "a store without its data set": (
        request("C-STORE", CTImageStorage, CT_CX),
        request("C-STORE", CTImageStorage, CT_CX, data_set=False),
    ),
    "a response that asks": (
        message(ECHO, None, ECHO_CX),
        message(ECHO | response_elements("C-ECHO", Verification), None, ECHO_CX),
    ),
    "a request that answers": (
        message(ECHO, None, ECHO_CX),
        message(ECHO | {0x0120: us(1), 0x0900: us(0)}, None, ECHO_CX),
    ),
    "two SOP classes": (
        message(STORE, IDENTIFIER, CT_CX),
        message(STORE | {0x0003: MRImageStorage.encode()}, IDENTIFIER, CT_CX),
    ),
    "a list of SOP classes": (
        message(STORE, IDENTIFIER, CT_CX),
        message(STORE | {0x0002: f"{CTImageStorage}\\{MRImageStorage}".encode()}, IDENTIFIER, CT_CX),
    ),
    "a Command Field that is none": (
        message(ECHO, None, ECHO_CX),
        message(ECHO | {0x0100: us(0x0666)}, None, ECHO_CX),
    ),
}


@pytest.mark.parametrize(("honest", "lie"), LIES.values(), ids=LIES)
@pytest.mark.threat("D2")
def test_a_lie_about_the_message_is_aborted_and_reaches_no_handler(server: Server, honest: bytes, lie: bytes) -> None:
    assert server.serves(honest)
    assert not server.serves(lie)


def test_stock_serves_what_is_no_request(accept: Accept) -> None:
    """Why the command set is read by us: pynetdicom goes by what elements there are, not by the Command Field."""
    lie = LIES["a response that asks"][1]
    with stock_scp() as scp, RawPeer(scp.port) as peer:
        peer.send(associate_rq(contexts=(presentation_context(1, Verification),)))
        assert isinstance(peer.read_pdu(), Pdu)
        peer.send(lie)
        answer = peer.read_pdu()
        assert isinstance(answer, Pdu)
        assert answer.type is PduType.P_DATA_TF
    assert not Server(accept).serves(lie)


# Lies about the command set's shape


def parts(elements: Elements) -> list[bytes]:
    return [element(number, elements[number]) for number in sorted(elements)]


def grouped(body: bytes, length: int | None = None) -> bytes:
    return element(0, struct.pack("<I", len(body) if length is None else length)) + body


ECHO_PARTS = parts(ECHO)
WHOLE = grouped(b"".join(ECHO_PARTS))

SHAPES = {
    "huge": grouped(b"".join(ECHO_PARTS) + element(0x5110, bytes(100_000))),
    "duplicated": grouped(b"".join([*ECHO_PARTS[:1], *ECHO_PARTS])),
    "with a second SOP class after the first": grouped(
        b"".join([*ECHO_PARTS[:1], element(0x0002, CTImageStorage.encode()), *ECHO_PARTS[1:]])
    ),
    "unordered": grouped(b"".join(reversed(ECHO_PARTS))),
    "short": WHOLE[:-1],
    "empty": b"",
    "without a group length": b"".join(ECHO_PARTS),
    "with a group length that leaves something out": grouped(b"".join(ECHO_PARTS), len(b"".join(ECHO_PARTS[:-1]))),
    "twice": WHOLE + WHOLE,
    "with elements of a data set": grouped(b"".join(ECHO_PARTS) + element(0x0010, b"DOE^JOHN", group=0x0010)),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.threat("D2")
def test_a_command_set_out_of_shape_is_aborted_and_reaches_no_handler(server: Server, shape: bytes) -> None:
    assert server.serves(message(WHOLE, None, ECHO_CX))
    assert not server.serves(message(shape, None, ECHO_CX))


def test_a_huge_command_set_is_aborted_before_it_has_come(server: Server) -> None:
    """However small its fragments are, and though none of them is the last."""
    fragment = p_data(value(ECHO_CX, COMMAND, bytes(4000)))
    assert server.answers(*[fragment] * 5) == [PduType.ABORT]


FRAGMENT = 128 * 1024


def with_a_data_set_of(length: int, elements: Elements, context_id: int) -> list[bytes]:
    """A request and so many octets, in fragments."""
    head = p_data(value(context_id, COMMAND | LAST, command_set(elements)))
    whole, rest = divmod(length, FRAGMENT)
    fragments = [p_data(value(context_id, 0, bytes(FRAGMENT)))] * whole
    return [head, *fragments, p_data(value(context_id, LAST, bytes(rest)))]


@pytest.mark.parametrize(
    "elements",
    [
        request_elements("C-STORE", FIND),
        request_elements("C-FIND", FIND),
        response_elements("C-FIND", FIND, status=0xFF00) | {0x0800: us(1)},
    ],
    ids=["a store on the context of a query", "a query", "an answer"],
)
def test_who_may_only_ask_sends_no_data_set_without_end(accept: Accept, elements: Elements) -> None:
    """Nor does an accepted peer in what it has not been asked: all of it would be kept until it is refused."""
    server = Server(accept, "echo", "find", "store")
    echo = request("C-ECHO", Verification, ECHO_CX)
    most = with_a_data_set_of(MAX_DATA_SET, elements, FIND_CX)
    assert PduType.ABORT not in server.answers(*most, echo)
    assert server.answers(*with_a_data_set_of(MAX_DATA_SET + 1, elements, FIND_CX)) == [PduType.ABORT]
    assert server.serves(*with_a_data_set_of(MAX_DATA_SET + 1, STORE, CT_CX))


# Lies about what belongs together


def test_a_message_may_be_cut_anywhere(server: Server) -> None:
    for cut in range(0, len(COMMAND_SET) + 1, 7):
        head, tail = value(CT_CX, COMMAND, COMMAND_SET[:cut]), value(CT_CX, COMMAND | LAST, COMMAND_SET[cut:])
        data = value(CT_CX, 0, IDENTIFIER[:5]), value(CT_CX, LAST, IDENTIFIER[5:])
        assert server.serves(p_data(head), p_data(tail), p_data(data[0]), p_data(data[1]))
        assert server.serves(p_data(head, tail, *data))
    single = [p_data(value(CT_CX, COMMAND, COMMAND_SET[at : at + 1])) for at in range(len(COMMAND_SET))]
    assert server.serves(*single, p_data(value(CT_CX, COMMAND | LAST, b"")), p_data(value(CT_CX, LAST, IDENTIFIER)))


HEAD, TAIL = value(CT_CX, COMMAND, COMMAND_SET[:30]), value(CT_CX, COMMAND | LAST, COMMAND_SET[30:])
MR_COMMAND = command_set(request_elements("C-STORE", MRImageStorage, message_id=2))
MR_HEAD, MR_TAIL = value(MR_CX, COMMAND, MR_COMMAND[:30]), value(MR_CX, COMMAND | LAST, MR_COMMAND[30:])
CT_DATA, MR_DATA = value(CT_CX, LAST, IDENTIFIER), value(MR_CX, LAST, IDENTIFIER)
WHOLE_ECHO = value(ECHO_CX, COMMAND | LAST, WHOLE)

MIXTURES: dict[str, list[bytes]] = {
    "two commands": [HEAD, MR_HEAD, TAIL, MR_TAIL, CT_DATA, MR_DATA],
    "two data sets": [HEAD, TAIL, MR_HEAD, MR_TAIL, CT_DATA, MR_DATA],
    "a command on one context, its data set on another": [HEAD, TAIL, MR_DATA],
    "a command begun on one context and ended on another": [value(ECHO_CX, COMMAND, COMMAND_SET[:30]), TAIL, CT_DATA],
    "an echo between a command and its data set": [HEAD, TAIL, WHOLE_ECHO, CT_DATA],
    "an echo amid a command": [HEAD, WHOLE_ECHO, TAIL, CT_DATA],
    "the data set before the command": [CT_DATA, HEAD, TAIL],
    "a second command in place of the data set": [HEAD, TAIL, HEAD, TAIL],
}


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
@pytest.mark.threat("D3")
def test_mixed_messages_are_aborted_and_none_of_them_reaches_a_handler(server: Server, mixture: list[bytes]) -> None:
    assert server.serves(*map(p_data, (HEAD, TAIL, CT_DATA)))
    assert server.serves(*map(p_data, (MR_HEAD, MR_TAIL, MR_DATA)))
    assert not server.serves(*map(p_data, mixture))


@pytest.mark.threat("D3")
def test_a_second_message_in_a_pdu_is_aborted_with_the_first(server: Server) -> None:
    """Stock would serve the first and lose the second."""
    assert server.serves(p_data(HEAD, TAIL, CT_DATA))
    assert server.answers(p_data(HEAD, TAIL, CT_DATA, WHOLE_ECHO)) == [PduType.ABORT]
    assert server.handled == ["C_STORE"]


# Lies about roles


ROLES = {
    "a store of one that is SCP only": (CTImageStorage, Roles(True, True), Roles(False, True), "C-STORE"),
    "an action of one that is SCP only": (
        StorageCommitmentPushModel, Roles(True, True), Roles(False, True), "N-ACTION"
    ),
    "a report of one that is SCU only": (
        StorageCommitmentPushModel, Roles(False, True), Roles(True, False), "N-EVENT-REPORT"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sop_class", "right", "wrong", "kind"), ROLES.values(), ids=ROLES)
@pytest.mark.threat("D4")
def test_a_request_in_a_role_that_was_not_selected_is_aborted(
    accept: Accept, sop_class: str, right: Roles, wrong: Roles, kind: str
) -> None:
    """PS3.7 D.3.3.4 leaves no other answer: what the peer sends breaks what it has agreed to."""
    server = Server(accept, "store", "get", "commit", offered=(sop_class,))
    sent = request(kind, sop_class, 1)
    assert server.serves(sent, items=(role_selection(sop_class, right),))
    assert not server.serves(sent, items=(role_selection(sop_class, wrong),))


@pytest.mark.threat("D4")
def test_a_role_that_the_permission_took_away_is_not_there(accept: Accept) -> None:
    both = (role_selection(CTImageStorage, Roles(True, True)),)
    sent = request("C-STORE", CTImageStorage, 1)
    assert Server(accept, "store", "get", offered=(CTImageStorage,)).serves(sent, items=both)
    assert not Server(accept, "get", offered=(CTImageStorage,)).serves(sent, items=both)
