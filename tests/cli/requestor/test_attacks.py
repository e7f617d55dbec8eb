"""Files, identifiers, terminals and peers as somebody hostile or unlucky would have them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage

from tests.cli.requestor.conftest import Command
from tests.cli.requestor.test_retrieve import finder
from tests.lib.archive import orthanc
from tests.lib.ports import free_port
from tests.pynetdicom.support import Acceptor
from useridentity import Username
from useridentity.cli.requestor.retrieving import Counts
from useridentity.pynetdicom import AE, OutcomeKind, outcome_of

HANG = 60.0  # seconds; a command takes well under one


def test_results_stay_on_standard_output_where_errors_are_a_terminal(script: str) -> None:
    """The progress bar once took them along to standard error."""
    match = Dataset()
    match.PatientID = "17"
    ours, theirs = os.openpty()
    with finder((0xFF00, match)) as scp:
        arguments = [script, "find", "127.0.0.1", str(scp.port), "--json"]
        environment = {**os.environ, "TERM": "xterm"}
        done = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, timeout=HANG, check=False,
            env=environment,
        )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert (done.returncode, done.stdout) == (0, b'{"PatientID": "17"}\n')


def test_a_name_that_the_encoding_of_the_output_has_not_is_escaped(script: str) -> None:
    match = Dataset()
    match.SpecificCharacterSet, match.PatientName = "ISO_IR 192", "Müller"
    with finder((0xFF00, match)) as scp:
        arguments = [script, "find", "127.0.0.1", str(scp.port), "--columns", "PatientName"]
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run(arguments, capture_output=True, timeout=HANG, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, b"M\\xfcller\n")


@pytest.mark.parametrize(
    "key", ["PixelData=abc", "RealWorldValueSlope=abc", "Rows=99999999", "PatientName=\udcff", "ItemDelimitationItem="]
)
def test_a_value_that_cannot_be_sent_is_a_wrong_command_line(command: Command, acceptor: Acceptor, key: str) -> None:
    done = command("find", "127.0.0.1", acceptor.port, "-k", key)
    assert done.code == 2
    assert "-k" in done.err


def test_an_identifier_of_many_sequences_in_one_another_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text('{"ReferencedStudySequence":[' * 300 + "{}" + "]}" * 300)
    done = command("find", "127.0.0.1", 104, "--identifier", "deep.json")
    assert done.code == 1
    assert "sequences in one another" in done.err


@pytest.mark.parametrize("host", ["a..b", "a" * 70, "\udcff.example"])
def test_what_can_be_no_host_is_unreachable(command: Command, host: str) -> None:
    done = command("echo", host, 104)
    assert done.code == 4
    assert "check the name of the host" in done.err


@pytest.mark.parametrize("words", [("", "104"), ("127.0.0.1", "104", "")])
def test_an_empty_word_stands_for_nothing(command: Command, words: tuple[str, ...]) -> None:
    """Of `"$UNSET"` a shell makes one; as a folder it would be all that is here."""
    assert command("store", *words).code == 2


def test_an_empty_passcode_is_not_sent(
    command: Command, acceptor: Acceptor, monkeypatch: pytest.MonkeyPatch, passcode_file: Path
) -> None:
    who = ("echo", "127.0.0.1", acceptor.port, "--identity", "passcode:alice", "--plaintext", "allow")
    assert command(*who, "--passcode-file", passcode_file).code == 0
    passcode_file.write_bytes(b"\n")
    assert command(*who, "--passcode-file", passcode_file).code == 1
    monkeypatch.setenv("USERIDENTITY_PASSCODE", "")
    done = command(*who)
    assert done.code == 1
    assert "is empty" in done.err
    assert len(acceptor.served) == 1


def test_a_file_name_that_is_too_long_is_reported(command: Command, acceptor: Acceptor) -> None:
    done = command("store", "127.0.0.1", acceptor.port, "a" * 300)
    assert done.code == 8
    assert "File name too long" in done.err


@pytest.mark.parametrize("value", [None, [1, 2]])
def test_numbers_of_suboperations_that_are_none_are_passed_over(value: Any) -> None:
    response = Dataset()
    response.NumberOfCompletedSuboperations = 3
    counts = Counts()
    counts.note(response, None)
    response.NumberOfCompletedSuboperations = value
    counts.note(response, None)
    assert counts.completed == 3


def test_an_outcome_tells_why_nobody_was_reached() -> None:
    ae = AE()
    ae.add_requested_context("1.2.840.10008.1.1")
    outcome = outcome_of(ae.associate("127.0.0.1", free_port(), identity=Username("alice")))
    assert (outcome.kind, outcome.detail) == (OutcomeKind.UNREACHABLE, "Connection refused")


@pytest.fixture(scope="module")
def jpeg_archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    with orthanc(tmp_path_factory.mktemp("jpeg") / "files") as running:
        yield running.peer


@pytest.mark.parametrize("named", [True, False])
def test_a_compressed_instance_comes_as_it_is(
    command: Command, jpeg_archive: tuple[str, ...], tmp_path: Path, named: bool
) -> None:
    """From Orthanc, which chooses among the contexts of a class; dcmqrscp 3.6.7 takes the first one whatever it has."""
    path = Path(str(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm", download=False)))
    image = dcmread(path)
    assert (image.file_meta.TransferSyntaxUID, image.SOPClassUID) == (JPEGBaseline8Bit, SecondaryCaptureImageStorage)
    assert command("store", *jpeg_archive[:2], path, *jpeg_archive[2:]).code == 0
    sop_class = ("--sop-class", "SecondaryCaptureImageStorage") if named else ()
    keys = ("-k", f"StudyInstanceUID={image.StudyInstanceUID}")
    done = command("get", *jpeg_archive, *keys, *sop_class, "--output", "got")
    assert done.code == 0, done.err
    (got,) = (tmp_path / "got").iterdir()
    assert dcmread(got).file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert dcmread(got).PixelData == image.PixelData
