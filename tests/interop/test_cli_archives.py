"""Every command against the archives people have: DCMTK's, Orthanc and dcmjs-dimse; stock's in test_cli_stock.py.

None of them looks at identities, so none confirms one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from tests.cli.requestor.conftest import Command, _own_configuration, command
from tests.lib.archive import Archive, archive, dcmjs, orthanc

__all__ = ["_own_configuration", "command"]

Start = Callable[[Path], AbstractContextManager[Archive]]
ARCHIVES: dict[str, Start] = {"DCMTK": archive, "Orthanc": orthanc, "dcmjs-dimse": lambda _folder: dcmjs()}
NAMES = ("CT_small.dcm", "MR_small.dcm")


@pytest.fixture(scope="module", params=ARCHIVES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Each archive, empty at first; the tests run in order."""
    with ARCHIVES[request.param](tmp_path_factory.mktemp("archive") / "files") as started:
        yield started


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """A CT and an MR image of two patients."""
    return [Path(str(get_testdata_file(name, download=False))) for name in NAMES]


def test_echo_is_answered_and_no_identity_confirmed(command: Command, running: Archive) -> None:
    assert command("echo", *running.peer).code == 0
    done = command("echo", *running.peer, "--identity", "username:alice")
    assert (done.code, done.out) == (6, "")
    done = command("echo", *running.peer, "--identity", "username:alice", "--confirmation", "wanted", "--json")
    assert (done.code, done.json["outcome"]) == (0, "accepted")


def test_images_are_stored_found_and_moved_here(
    command: Command, running: Archive, files: list[Path], tmp_path: Path
) -> None:
    """In one test, because each needs what the one before it did."""
    stored = command("store", *running.peer[:2], *files, *running.peer[2:], "--json")
    assert (stored.code, stored.json["stored"]) == (0, 2), stored.err
    found = command("find", *running.peer, "-k", "PatientID=1CT1", "--columns", "PatientID,StudyInstanceUID")
    study = dcmread(files[0]).StudyInstanceUID
    assert (found.code, found.out) == (0, f"1CT1\t{study}\n")
    here = ("--receive", running.workstation, "--to", "WS_1", "--output", "here")
    keys = ("-k", "PatientID=1CT1", "-k", f"StudyInstanceUID={study}")
    moved = command("move", *running.peer, *keys, *here, "--json")
    assert (moved.code, moved.json["completed"]) == (0, 1), moved.err
    (file,) = moved.json["files"]
    assert same(dcmread(tmp_path / "here" / file), dcmread(files[0]))


def test_a_study_is_got_on_the_association(
    command: Command, running: Archive, files: list[Path], tmp_path: Path
) -> None:
    command("store", *running.peer[:2], *files, *running.peer[2:])
    study = dcmread(files[1]).StudyInstanceUID
    got = command("get", *running.peer, "-k", f"StudyInstanceUID={study}", "--output", "here", "--json")
    if running.ae_title == "DCMJS":  # which has no C-GET, and says so
        assert got.code == 8, got
        return
    assert (got.code, got.json["completed"]) == (0, 1), got.err
    (file,) = got.json["files"]
    assert same(dcmread(tmp_path / "here" / file), dcmread(files[1]))


def same(one: Dataset, other: Dataset) -> bool:
    return (one.SOPInstanceUID, one.PixelData) == (other.SOPInstanceUID, other.PixelData)
