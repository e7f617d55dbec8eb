"""`useridentity store`: files, folders and globs, the contexts they need, and the ones that are not sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MRImageStorage,
)
from pynetdicom import evt
from pynetdicom.presentation import build_context

from tests.cli.requestor.conftest import Command
from tests.lib.stock import StockScp
from tests.pynetdicom.support import Acceptor, serving
from useridentity import Policy
from useridentity.cli.requestor.files import EXECUTABLE, Instance, instance
from useridentity.cli.requestor.searching import Problem
from useridentity.cli.requestor.sending import fragment_size
from useridentity.cli.requestor.storing import MAX_CONTEXTS, groups

Make = Callable[..., Path]


@pytest.fixture
def make(ct_path: Path, tmp_path: Path) -> Make:
    """Writes a CT image with another UID, preamble or class; the path."""

    def write(name: str, preamble: bytes = b"", **attributes: Any) -> Path:
        dataset = dcmread(ct_path)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.SOPInstanceUID = f"1.2.3.{sum(name.encode())}"
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.preamble = preamble.ljust(128, b"\0")
        dataset.save_as(path)
        return path

    return write


def test_what_arrives_is_what_was_in_the_file(command: Command, acceptor: Acceptor, ct_path: Path) -> None:
    done = command("store", "127.0.0.1", acceptor.port, "--identity", "username:alice", ct_path)
    assert (done.code, done.err) == (0, "")
    assert "stored 1 file" in done.out
    (event,) = acceptor.served
    assert event.encoded_dataset(include_meta=False) == ct_path.read_bytes()[instance_of(ct_path).offset :]


def test_folders_and_globs_are_searched_and_every_file_sent_once(
    command: Command, acceptor: Acceptor, make: Make
) -> None:
    make("study/one.dcm")
    make("study/deeper/two.dcm")
    make("three.dcm")
    peer = ("store", "127.0.0.1", acceptor.port, "--identity", "username:alice")
    done = command(*peer, "study", "study/one.dcm", "thr*.dcm", "stu*", "--json")
    assert done.code == 0
    assert (done.json["stored"], done.json["not_stored"], done.json["outcome"]) == (3, 0, "done")
    assert len({event.request.AffectedSOPInstanceUID for event in acceptor.served}) == 3


def test_a_file_that_is_not_dicom_is_reported_and_the_others_are_sent(
    command: Command, acceptor: Acceptor, make: Make, tmp_path: Path
) -> None:
    good = make("good.dcm")
    (tmp_path / "notes.txt").write_text("not an image")
    peer = ("store", "127.0.0.1", acceptor.port, "--identity", "username:alice")
    assert command(*peer, good).code == 0
    done = command(*peer, good, "notes.txt", "missing.dcm")
    assert done.code == 9
    assert "notes.txt: is no DICOM file" in done.err
    assert "missing.dcm: does not exist" in done.err
    assert "stored 1 file" in done.out
    assert "error: 2 of 3 files not stored" in done.err


@pytest.mark.threat("R4")
@pytest.mark.parametrize("sign", EXECUTABLE, ids=lambda sign: sign.hex())
def test_a_preamble_that_makes_a_file_a_program_or_archive_is_reported(make: Make, sign: bytes) -> None:
    assert isinstance(instance(make("clean.dcm")), Instance)
    assert isinstance(instance(make("tiff.dcm", b"II*\0")), Instance)
    found = instance(make("program.dcm", sign))
    assert isinstance(found, Problem)
    assert EXECUTABLE[sign] in found.why


@pytest.mark.threat("R4")
def test_files_with_such_preambles_stay_here(command: Command, acceptor: Acceptor, make: Make) -> None:
    make("study/clean.dcm")
    make("study/program.dcm", b"MZ")
    done = command("store", "127.0.0.1", acceptor.port, "--identity", "username:alice", "study", "--json")
    assert done.code == 9
    assert [each["file"] for each in done.json["failures"]] == ["study/program.dcm"]
    assert "Windows program" in done.json["failures"][0]["why"]
    assert len(acceptor.served) == 1


@pytest.mark.parametrize("cut", [0, 100, 131, 140, 200])
def test_a_file_that_ends_too_early_is_reported(ct_path: Path, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(ct_path.read_bytes()[:cut])
    assert isinstance(instance(path), Problem)


def test_a_dicomdir_is_not_stored() -> None:
    from pydicom.data import get_testdata_file

    found = instance(Path(str(get_testdata_file("DICOMDIR", download=False))))
    assert isinstance(found, Problem)
    assert "DICOMDIR" in found.why


def instance_of(path: Path) -> Instance:
    found = instance(path)
    assert isinstance(found, Instance)
    return found


def made_up(sop_class: str, transfer_syntax: str) -> Instance:
    return Instance(Path("x"), sop_class, "1.2.3", transfer_syntax, 0, 1, (0, 0, 1, 0))


def test_contexts_are_those_the_files_need_and_the_default_one() -> None:
    files = [
        made_up(CTImageStorage, ExplicitVRLittleEndian),
        made_up(CTImageStorage, ExplicitVRLittleEndian),
        made_up(CTImageStorage, JPEGBaseline8Bit),
        made_up(MRImageStorage, ImplicitVRLittleEndian),
    ]
    ((contexts, members),) = groups(files)
    assert contexts == [
        (CTImageStorage, ExplicitVRLittleEndian),
        (CTImageStorage, ImplicitVRLittleEndian),
        (CTImageStorage, JPEGBaseline8Bit),
        (MRImageStorage, ImplicitVRLittleEndian),
    ]
    assert sorted(map(id, members)) == sorted(map(id, files))


def test_more_contexts_than_an_association_has_are_several_associations() -> None:
    files = [made_up(f"1.2.{number}", JPEGBaseline8Bit) for number in range(2000)]
    split = list(groups(files))
    assert [len(contexts) for contexts, _ in split] == [128] * 15 + [80]
    assert [each for _, members in split for each in members] == files
    uncompressed = [made_up(f"1.2.{number}", ExplicitVRLittleEndian) for number in range(100)]
    assert all(len(contexts) <= MAX_CONTEXTS for contexts, _ in groups(uncompressed))


def test_several_associations_are_made_where_they_are_needed(
    command: Command, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("useridentity.cli.requestor.storing.MAX_CONTEXTS", 2)
    make("study/ct.dcm")
    make("study/mr.dcm", SOPClassUID=MRImageStorage)
    with serving(Policy.unguarded(), contexts=[build_context(CTImageStorage), build_context(MRImageStorage)]) as scp:
        assert command("store", "127.0.0.1", scp.port, "study").code == 0
        assert len(scp.served) == 2
        assert scp.events.count("EVT_RELEASED") == 2


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_an_acceptor_of_the_default_transfer_syntax_alone_gets_that(
    command: Command, make: Make, ct_dataset: Dataset, syntax: str
) -> None:
    path = make("ct.dcm")
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.save_as(path)
    with serving(Policy.unguarded(), contexts=[build_context(CTImageStorage, ImplicitVRLittleEndian)]) as scp:
        assert command("store", "127.0.0.1", scp.port, path).code == 0
        (event,) = scp.served
        assert event.context.transfer_syntax == ImplicitVRLittleEndian
        assert event.dataset.PixelData == ct_dataset.PixelData


def test_a_class_that_the_acceptor_does_not_take_is_refused(command: Command, acceptor: Acceptor, make: Make) -> None:
    make("study/ct.dcm")
    peer = ("store", "127.0.0.1", acceptor.port, "--identity", "username:alice", "study")
    assert command(*peer).code == 0
    make("study/mr.dcm", SOPClassUID=MRImageStorage)
    done = command(*peer)
    assert done.code == 9
    assert "the acceptor takes no MR Image Storage in Explicit VR Little Endian" in done.err


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (0x0000, 0, ""),
        (0xB007, 0, "stored with a warning: data set does not match the SOP class (B007H)"),
        (0x0124, 8, "refused: not authorised (0124H)"),
        (0xA700, 8, "refused: out of resources (A700H)"),
        (0xC123, 8, "refused: cannot understand (C123H)"),
    ],
)
def test_each_status_has_its_words_and_its_exit_code(
    command: Command, ct_path: Path, status: int, code: int, said: str
) -> None:
    with serving(Policy.unguarded(), handlers=[(evt.EVT_C_STORE, lambda _event: status)]) as scp:
        done = command("store", "127.0.0.1", scp.port, ct_path)
        assert done.code == code
        assert said in done.err


def test_an_acceptor_that_aborts_ends_the_command(command: Command, make: Make) -> None:
    for name in ("a.dcm", "b.dcm", "c.dcm"):
        make(f"study/{name}")
    seen: list[Any] = []

    def once(event: Any) -> int:
        seen.append(event)
        if len(seen) == 2:
            event.assoc.abort()
        return 0

    with serving(Policy.unguarded(), handlers=[(evt.EVT_C_STORE, once)]) as scp:
        done = command("store", "127.0.0.1", scp.port, "study", "--json")
        assert done.code == 7
        assert (done.json["outcome"], done.json["stored"], done.json["not_stored"]) == ("aborted", 1, 2)


def test_nothing_to_store_is_a_wrong_command_line(command: Command, acceptor: Acceptor) -> None:
    done = command("store", "127.0.0.1", acceptor.port)
    assert done.code == 2
    assert "name at least one file" in done.err


@pytest.mark.threat("R3")
def test_file_names_cannot_move_the_cursor(command: Command, acceptor: Acceptor, tmp_path: Path) -> None:
    (tmp_path / "evil\x1b[2J\n.txt").write_text("x")
    done = command("store", "127.0.0.1", acceptor.port, "--identity", "username:alice", tmp_path / "evil\x1b[2J\n.txt")
    assert "\x1b" not in done.err + done.out
    assert "evil\\x1b[2J\\n.txt" in done.err


@pytest.mark.parametrize(("maximum", "fragment"), [(0, 1024 * 1024), (16384, 16378), (65541, 65534), (2**31, 1024**2)])
def test_fragments_fit_into_the_acceptors_pdus_and_are_even(maximum: int, fragment: int) -> None:
    assert fragment_size(maximum) == fragment


def test_a_large_object_is_never_in_memory_as_a_whole(
    command: Command, stock_scp: Callable[..., StockScp], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits to be sent stays below its bound, however slowly it is taken."""
    from useridentity.cli.requestor import sending

    waiting: list[int] = []
    original = sending._wait_for_room
    monkeypatch.setattr(sending, "MAX_WAITING", 64 * 1024)

    def noted(assoc: Any, window: int) -> None:
        original(assoc, window)
        waiting.append(assoc.dul.to_provider_queue.qsize())

    monkeypatch.setattr(sending, "_wait_for_room", noted)
    path = make("large.dcm", PixelData=bytes(8_000_000))
    assert command("store", "127.0.0.1", stock_scp().port, path).code == 0
    assert max(waiting) <= 4
    assert len(waiting) > 400
