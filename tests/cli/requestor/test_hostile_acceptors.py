"""Acceptors that stall, lie, leave and talk out of turn: a documented exit code each time, no traceback, no hang."""

from __future__ import annotations

import json
import signal
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.cli.requestor.conftest import Command, Done
from tests.lib.pdus import pdu
from tests.lib.rawacceptor import (
    ABORT,
    HANG,
    RELEASE_RP,
    RELEASE_RQ,
    Behaviour,
    Peer,
    Request,
    command_set,
    context,
    data_set,
    raw_acceptor,
)
from useridentity.cli.requestor import interrupt

Codes = int | Mapping[str, int]
KEYS = ("-k", "StudyInstanceUID=1.2.3")
COMMANDS: dict[str, tuple[str, ...]] = {
    "echo": (),
    "find": KEYS,
    "store": (),
    "move": (*KEYS, "--to", "WS_2"),
    "get": (*KEYS, "--sop-class", "CTImageStorage", "--output", "got"),
}
IMPLICIT, JPEG_2000 = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.4.90"
PATIENT_ID = bytes.fromhex("1000 2000 02000000 3137")
MUCH = bytes(1_000_000)

Run = Callable[..., Done]


@pytest.fixture
def run(command: Command, ct_path: Path) -> Run:
    """Runs a command against an acceptor that does this."""

    def against(name: str, behave: Behaviour, timeout: float = HANG) -> Done:
        with raw_acceptor(behave) as port:
            files = (ct_path,) if name == "store" else ()
            return command(name, "127.0.0.1", port, *files, *COMMANDS[name], "--timeout", timeout)

    return against


def lying(octets: bytes, by: int) -> bytes:
    """A PDU that says it is so much longer than it is."""
    return octets[:2] + struct.pack(">I", len(octets) - 6 + by) + octets[6:]


def answering(*octets: bytes) -> Behaviour:
    """To the A-ASSOCIATE-RQ."""
    return then(lambda peer: peer.send(*octets))


def then(act: Callable[[Peer], object]) -> Behaviour:
    """Read the A-ASSOCIATE-RQ, do this, and then nothing more."""

    def behave(peer: Peer) -> None:
        peer.requested()
        act(peer)
        peer.hold()

    return behave


def accepting(**answer: Any) -> Behaviour:
    return then(lambda peer: peer.send(peer.ac(**answer)))


def in_contexts(*arguments: Any) -> Behaviour:
    """Accept every context with these arguments of `context`."""
    return then(lambda peer: peer.send(peer.ac(*(context(each.context_id, *arguments) for each in peer.proposed))))


# Instead of an association, or at its very beginning

HANDSHAKES: dict[str, tuple[Behaviour, Codes]] = {
    "leaves at once": (lambda peer: None, 7),
    "leaves when asked": (lambda peer: peer.requested(), 7),
    "HTTP": (answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), 7),
    "P-DATA": (answering(command_set(1, b"abc")), 7),
    "A-RELEASE-RQ": (answering(RELEASE_RQ), 7),
    "A-ABORT": (answering(ABORT), 7),
    "A-ASSOCIATE-RJ of unknown reason": (answering(pdu(3, bytes([0, 9, 9, 99]))), 7),
    "A-ASSOCIATE-RJ without any": (answering(pdu(3, b"")), 7),
    "A-ASSOCIATE-RJ": (answering(pdu(3, bytes([0, 1, 1, 1]))), 5),
    "A-ASSOCIATE-AC, empty": (answering(pdu(2, b"")), 7),
    "A-ASSOCIATE-AC, cut off": (then(lambda peer: peer.send(pdu(2, peer.ac()[6:-7]))), 7),
    "A-ASSOCIATE-AC, longer than it says": (then(lambda peer: peer.send(lying(peer.ac(), -30))), 7),
    "A-ASSOCIATE-AC of 4 GiB": (answering(struct.pack(">BxI", 2, 2**32 - 1), MUCH), 7),
    "two A-ASSOCIATE-AC": (then(lambda peer: peer.send(peer.ac(), peer.ac())), 7),
    "accepts and aborts": (then(lambda peer: peer.send(peer.ac(), ABORT)), 7),
    "accepts and releases": (then(lambda peer: peer.send(peer.ac(), RELEASE_RQ)), 7),
    "accepts and leaves": (lambda peer: peer.accept(), 7),
    "accepts a context that is unknown": (then(lambda peer: peer.send(peer.ac(context(251, IMPLICIT)))), 8),
    "accepts a context of an even number": (then(lambda peer: peer.send(peer.ac(context(2, IMPLICIT)))), 7),
    "rejects all contexts": (in_contexts(b"", 3), 8),
    "answers contexts with an unknown result": (in_contexts(b"", 77), 8),
    "no transfer syntax": (in_contexts(b""), 7),
    "a transfer syntax that is no UID": (in_contexts(b"\xff"), 7),
    "a transfer syntax that is none": (in_contexts(b"1.2.3.4"), 7),
    "another transfer syntax": (in_contexts(JPEG_2000), 7),
    "takes PDUs of 1 octet": (accepting(maximum_length=1), 7),
    "takes PDUs of 7 octets": (accepting(maximum_length=7), 7),
}


@pytest.mark.threat("R6")
@pytest.mark.parametrize("name", ["echo", "store"])
@pytest.mark.parametrize(("behave", "code"), HANDSHAKES.values(), ids=HANDSHAKES)
def test_an_association_that_does_not_come_about(run: Run, behave: Behaviour, code: int, name: str) -> None:
    done = run(name, behave)
    assert done.code == code, done
    assert done.err.startswith(("error: ", "warning: "))
    assert done.out == ""


# Instead of an answer to the request


def answered(act: Callable[[Peer, Request], object]) -> Behaviour:
    """Do this when the request has come, and then nothing more."""

    def behave(peer: Peer) -> None:
        act(peer, peer.asked())
        peer.hold()

    return behave


def saying(make: Callable[[Request], bytes], *more: bytes) -> Behaviour:
    """Answer with these octets."""
    return answered(lambda peer, request: peer.send(make(request), *more))


def commands(make: Callable[[Request], bytes], *more: bytes) -> Behaviour:
    """Answer with this command set."""
    return saying(lambda request: command_set(request.context_id, make(request)), *more)


def pending(request: Request) -> bytes:
    """A match, or what `get` and `move` are told meanwhile."""
    return matching(request, PATIENT_ID)


def matching(request: Request, octets: bytes) -> bytes:
    told = command_set(request.context_id, request.response(0xFF00, data_set=1))
    return told + data_set(request.context_id, octets)


def announcing(peer: Peer) -> None:
    request = peer.asked()
    peer.send(command_set(request.context_id, request.response(0xFF00)))
    peer.answer(request)


NOT_PENDING = {"echo": 8, "store": 8}  # whose responses are final, whatever they say

ANSWERS: dict[str, tuple[Behaviour, Codes]] = {
    "aborts": (answered(lambda peer, request: peer.send(ABORT)), 7),
    "leaves": (lambda peer: peer.asked(), 7),
    "PDU of unknown type": (saying(lambda request: pdu(0x99, b"abcd")), 7),
    "PDU longer than it says": (saying(lambda request: lying(pending(request), -20)), 7),
    "PDU of 4 GiB": (saying(lambda request: struct.pack(">BxI", 4, 2**32 - 1), MUCH), 7),
    "PDV longer than its PDU": (saying(lambda request: pdu(4, struct.pack(">IBB", 9999, request.context_id, 3))), 7),
    "PDV of no length": (saying(lambda request: pdu(4, bytes(6))), 7),
    "command set of nonsense": (commands(lambda request: b"\xff" * 50), 7),
    "command set, cut off": (commands(lambda request: request.response(0)[:-5]), 7),
    "command set, empty": (commands(lambda request: b""), 7),
    "no status": (commands(lambda request: request.response(0)[:-10]), 7),
    "unknown command": (commands(lambda request: request.response(0, command=0x7777)), 7),
    "unknown status": (lambda peer: peer.answer(peer.asked(), 0x1234), 8),
    "wrong group length": (lambda peer: peer.answer(peer.asked(), length=3), 0),
    "group length beyond the end": (lambda peer: peer.answer(peer.asked(), length=2**32 - 16), 0),
    "matches, and aborts": (saying(pending, ABORT), NOT_PENDING),
    "a match that it does not send": (announcing, NOT_PENDING | {"find": 8, "get": 0, "move": 0}),
}


@pytest.mark.threat("R6")
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("behave", "codes"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_none(run: Run, name: str, behave: Behaviour, codes: Codes) -> None:
    done = run(name, behave)
    code = codes if isinstance(codes, int) else codes.get(name, 7)
    assert done.code == code, done
    assert (done.code == 0) == ("error: " not in done.err)


UNREADABLE: dict[str, Callable[[Request], bytes]] = {
    "no data set": lambda request: command_set(request.context_id, request.response(0xFF00)),
    "nothing": lambda request: matching(request, b""),
    "too short": lambda request: matching(request, PATIENT_ID[:3]),
    "nonsense": lambda request: matching(request, b"\xff" * 40),
}


@pytest.mark.parametrize("unreadable", UNREADABLE.values(), ids=UNREADABLE)
def test_matches_that_cannot_be_read_are_counted_and_no_success(
    command: Command, unreadable: Callable[[Request], bytes]
) -> None:
    """The others are shown."""

    def find(*answers: Callable[[Request], bytes]) -> Done:
        def behave(peer: Peer) -> None:
            request = peer.asked()
            peer.send(*(make(request) for make in answers))
            peer.answer(request)

        with raw_acceptor(behave) as port:
            return command("find", "127.0.0.1", port, "--json")

    assert (find(pending, pending).code, find().code) == (0, 0)
    done = find(pending, unreadable, unreadable, pending)
    *matches, ended = map(json.loads, done.out.splitlines())
    assert matches == [{"PatientID": "17"}] * 2
    assert (done.code, ended["outcome"], ended["matches"], ended["unreadable"]) == (9, "partial", 2, 2)
    assert "2 matches of the acceptor could not be read" in done.err
    done = find(unreadable)
    assert (done.code, done.json["outcome"], done.json["unreadable"]) == (8, "refused", 1)


def test_what_matched_before_it_aborted_is_shown(run: Run) -> None:
    done = run("find", saying(lambda request: 3 * pending(request), ABORT))
    assert (done.code, done.out.count("\n")) == (7, 3)


def test_an_answer_to_another_message_stores_nothing(run: Run) -> None:
    """It would be taken for that of the next file."""
    for wrong, code in (({}, 0), ({"message_id": 99}, 7)):
        assert run("store", lambda peer, wrong=wrong: peer.answer(peer.asked(), **wrong)).code == code


@pytest.mark.parametrize(("status", "code"), [(0x0000, 0), (0xB000, 0), (0xA702, 9), (0xC001, 9), (0xFE00, 9)])
def test_a_move_that_ends_early_is_partial(run: Run, status: int, code: int) -> None:
    """Whatever the acceptor leaves out of its numbers."""
    done = run("move", lambda peer: peer.answer(peer.asked(), status, completed=1))
    assert (done.code, "ended early" in done.err) == (code, code != 0), done


# Nothing more comes, and --timeout ends it

SHORT = 0.5  # seconds that a command waits where it is to wait in vain

STALLS: dict[str, Behaviour] = {
    "before anything": lambda peer: peer.hold(),
    "within the A-ASSOCIATE-AC": then(lambda peer: peer.send(lying(peer.ac(), 100))),
    "before the response": answered(lambda peer, request: None),
    "within the response": saying(lambda request: lying(pending(request), 500)),
    "before the final response": saying(pending),
    "after a release of its own": answered(lambda peer, request: peer.send(RELEASE_RQ)),
    "with empty PDUs": saying(lambda request: pdu(4, b"")),
}


@pytest.mark.threat("R6")
@pytest.mark.parametrize("name", ["find", "get"])
@pytest.mark.parametrize("behave", STALLS.values(), ids=STALLS)
def test_an_acceptor_that_stalls_is_left(run: Run, behave: Behaviour, name: str) -> None:
    assert run(name, behave, SHORT).code == 7


@pytest.mark.threat("R6")
@pytest.mark.parametrize("name", COMMANDS)
def test_an_acceptor_that_drips_is_left(run: Run, name: str) -> None:
    """An octet now and then is no answer."""

    def drip(peer: Peer) -> None:
        peer.requested()
        for octet in peer.ac():
            peer.send(bytes([octet]))
            if peer.is_gone(within=SHORT / 2):
                return

    assert run(name, drip, SHORT).code == 7


# What was done stays done, however the association ends


def ask_for_it_too(peer: Peer) -> None:
    peer.send(RELEASE_RQ)
    peer.read()
    peer.send(RELEASE_RP)


RELEASES: dict[str, tuple[Callable[[Peer], object], float]] = {
    "does not answer": (lambda peer: peer.hold(), SHORT),
    "aborts": (lambda peer: peer.send(ABORT), HANG),
    "leaves": (lambda peer: None, HANG),
    "asks for it too": (ask_for_it_too, HANG),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("release", "timeout"), RELEASES.values(), ids=RELEASES)
def test_a_release_that_fails_takes_nothing_back(
    run: Run, name: str, release: Callable[[Peer], object], timeout: float
) -> None:
    def behave(peer: Peer) -> None:
        request = peer.asked()
        peer.send(command_set(request.context_id, request.response(0)))
        assert peer.read()[0] == RELEASE_RQ[0]
        release(peer)

    assert run(name, behave, timeout).code == 0


# Ctrl-C once


def press_control_c() -> None:
    """To the thread that runs the command, so that it wakes up."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.mark.threat("R6")
def test_control_c_ends_a_command_whose_acceptor_stands_still(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "LAST", SHORT)

    def behave(peer: Peer) -> None:
        peer.asked()
        press_control_c()
        peer.hold()

    for name in ("store", "find", "get"):
        done = run(name, behave)
        assert (done.code, done.err.count("error: interrupted")) == (130, 1), done


def test_control_c_ends_a_store_that_nobody_reads(
    command: Command, ct_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More is on its way than all queues and buffers take."""
    monkeypatch.setattr(interrupt, "LAST", SHORT)
    image, left = dcmread(ct_path), threading.Event()
    image.PixelData = bytes(40_000_000)
    image.save_as(tmp_path / "large.dcm")

    def behave(peer: Peer) -> None:
        peer.accept()
        peer.read()
        press_control_c()
        left.wait(HANG)

    with raw_acceptor(behave) as port:
        done = command("store", "127.0.0.1", port, "large.dcm")
        left.set()
    assert (done.code, done.err.count("error: interrupted")) == (130, 1), done
