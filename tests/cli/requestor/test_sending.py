"""Files that change under the sender's hands, links that are slow, and peers that stop reading."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import CTImageStorage, MRImageStorage  # type: ignore[attr-defined]

from tests.cli.requestor.conftest import Command
from tests.pynetdicom.support import HANG, serving, until
from useridentity import Policy
from useridentity.cli.ending import Exit, Failure
from useridentity.cli.requestor import interrupt, sending, storing
from useridentity.cli.requestor.files import Instance, instance
from useridentity.cli.requestor.outcome import Status
from useridentity.pynetdicom import AE


@pytest.fixture
def study(ct_path: Path, tmp_path: Path) -> Path:
    """Three CT images."""
    folder = tmp_path / "study"
    folder.mkdir()
    dataset = dcmread(ct_path)
    for number in range(3):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{number}")
        dataset.save_as(folder / f"{number}.dcm")
    return folder


def shorter(path: Path) -> None:
    os.truncate(path, 5000)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def other(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(path.read_bytes())
    os.replace(beside, path)


def gone(path: Path) -> None:
    path.unlink()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def meddling(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, path: Path, meddle: Callable[[Path], None]
) -> None:
    """Have this happen to a file before `name` is called for it."""
    original = getattr(module, name)

    def call(*arguments: Any) -> Any:
        if any(getattr(each, "path", None) == path for each in arguments):
            meddle(path)
        return original(*arguments)

    monkeypatch.setattr(module, name, call)


@pytest.mark.parametrize("meddle", [shorter, longer, other, gone, a_pipe])
def test_a_file_that_was_changed_since_it_was_found_is_told_and_the_others_go_on(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[Path], None]
) -> None:
    with serving(Policy.unguarded()) as scp:
        assert command("store", "127.0.0.1", scp.port, "study").code == 0
        meddling(monkeypatch, storing, "_store_one", Path("study/1.dcm"), meddle)
        done = command("store", "127.0.0.1", scp.port, "study", "--json")
        assert (done.code, done.json["stored"]) == (9, 2)
        assert [each["file"] for each in done.json["failures"]] == ["study/1.dcm"]
        assert scp.life(associations=2).count("EVT_RELEASED") == 2


@pytest.mark.parametrize("meddle", [shorter, longer])
def test_a_file_that_is_changed_while_it_is_sent_is_never_stored_and_the_others_go_on(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[Path], None]
) -> None:
    """A data set that was begun cannot be taken back but by an abort."""
    with serving(Policy.unguarded()) as scp:
        meddling(monkeypatch, sending, "_request", Path("study/1.dcm"), meddle)
        done = command("store", "127.0.0.1", scp.port, "study", "--json")
        assert (done.code, done.json["stored"], done.json["not_stored"]) == (9, 2, 1)
        assert done.json["failures"] == [{"file": "study/1.dcm", "why": "not stored: it was changed while it was sent"}]
        stored = [event.request.AffectedSOPInstanceUID for event in scp.served]
        assert stored == ["1.2.3.0", "1.2.3.2"]
        events = scp.life(associations=2)
        assert (events.count("EVT_ABORTED"), events.count("EVT_RELEASED")) == (1, 1)


def test_a_data_set_that_cannot_be_encoded_is_told_and_the_others_go_on(command: Command, study: Path) -> None:
    """By an acceptor that takes only the default transfer syntax, so that each has to be."""
    contexts = [build_context(CTImageStorage, ImplicitVRLittleEndian)]
    with serving(Policy.unguarded(), contexts=contexts) as scp:
        assert command("store", "127.0.0.1", scp.port, "study").code == 0
        damaged = study / "1.dcm"
        octets = damaged.read_bytes()
        damaged.write_bytes(octets.replace(b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x10\x00US\x03\x00"))
        assert damaged.read_bytes() != octets
        done = command("store", "127.0.0.1", scp.port, "study", "--json")
        assert (done.code, done.json["stored"]) == (9, 2)
        assert "cannot be written in Implicit VR Little Endian" in done.json["failures"][0]["why"]


def test_an_association_of_which_nothing_is_taken_is_no_end_of_the_others(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "MAX_CONTEXTS", 2)
    dataset = dcmread(study / "0.dcm")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.save_as(study / "0.dcm")
    with serving(Policy.unguarded(), contexts=[build_context(CTImageStorage, ExplicitVRLittleEndian)]) as scp:
        done = command("store", "127.0.0.1", scp.port, "study", "--json")
        assert (done.code, done.json["stored"]) == (9, 2)
        assert "takes no MR Image Storage" in done.json["failures"][0]["why"]


@pytest.mark.parametrize("at_work", [True, False])
def test_a_slow_link_may_take_longer_than_the_timeout_and_a_dead_one_may_not(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch, at_work: bool
) -> None:
    """An acceptor answers after several time-outs, in which its system has acknowledged more each time, or nothing."""
    acknowledged, asked, answer = count(), count(), threading.Event()

    def taken(_assoc: Any) -> int:
        if next(asked) >= 8:
            answer.set()
        return next(acknowledged) if at_work else 7

    def slow(_event: Any) -> int:
        answer.wait(HANG)
        return 0

    def impatient(assoc: Any) -> Any:
        assoc.dimse_timeout = 0.05
        return accepted(assoc)

    accepted = storing._accepted
    monkeypatch.setattr(storing, "_accepted", impatient)
    monkeypatch.setattr(sending, "taken_octets", taken)
    with serving(Policy.unguarded(), handlers=[(evt.EVT_C_STORE, slow)]) as scp:
        done = command("store", "127.0.0.1", scp.port, study / "0.dcm")
        answer.set()
    assert done.code == (0 if at_work else 7)


def test_octets_that_the_peers_system_has_acknowledged_are_counted() -> None:
    with serving(Policy.unguarded()) as scp:
        ae = AE()
        assoc = ae.associate("127.0.0.1", scp.port, [build_context(CTImageStorage)])
        before = interrupt.taken_octets(assoc)
        assert before > 100
        assoc.send_c_store(a_ct())
        until(lambda: interrupt.taken_octets(assoc) > before + 10_000)
        assoc.release()
        until(lambda: interrupt.taken_octets(assoc) == 0)


def test_an_answer_that_cannot_come_is_not_waited_for(ct_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an acceptor that aborts after an answer."""
    image = instance(ct_path)
    assert isinstance(image, Instance)

    def send(message_id: int) -> Status:
        with sending.data_set(image) as (data, length):
            return sending.send(assoc, 1, message_id, image, data, length, lambda _: None)

    with serving(Policy.unguarded()) as scp:
        assoc = AE().associate("127.0.0.1", scp.port, [build_context(CTImageStorage, ExplicitVRLittleEndian)])
        assert send(1).is_success
        scp.served[0].assoc.abort()
        until(lambda: not assoc.is_established)
        monkeypatch.setattr(sending, "_answer", lambda _assoc: pytest.fail("it was waited for"))
        with pytest.raises(Failure) as caught:
            send(2)
    assert caught.value.code == Exit.ABORTED


def a_ct() -> Dataset:
    from pydicom.data import get_testdata_file

    return dcmread(str(get_testdata_file("CT_small.dcm", download=False)))


@contextmanager
def deaf_acceptor() -> Iterator[int]:
    """Accepts an association by what a real one answered, then reads nothing any more; its port."""
    with serving(Policy.unguarded()) as real, socket.create_server(("127.0.0.1", 0)) as listening:
        ends: list[socket.socket] = []

        def answer() -> None:
            ours, _ = listening.accept()
            theirs = socket.create_connection(("127.0.0.1", real.port))
            ends.extend((ours, theirs))
            theirs.sendall(whole_pdu(ours))
            ours.sendall(whole_pdu(theirs))

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            thread.join(HANG)
            for each in ends:
                each.close()


def whole_pdu(connection: socket.socket) -> bytes:
    head = connection.recv(6, socket.MSG_WAITALL)
    return head + connection.recv(int.from_bytes(head[2:], "big"), socket.MSG_WAITALL)


def test_a_peer_that_stops_reading_is_left_after_the_timeout(command: Command, ct_path: Path, tmp_path: Path) -> None:
    """More is on its way than all queues and buffers take, so that not even an abort gets through."""
    image = dcmread(ct_path)
    image.PixelData = bytes(40_000_000)
    image.save_as(tmp_path / "large.dcm")
    with deaf_acceptor() as port:
        done = command("store", "127.0.0.1", port, "large.dcm", "--timeout", "1", "--json")
    assert (done.code, done.json["stored"]) == (7, 0)
