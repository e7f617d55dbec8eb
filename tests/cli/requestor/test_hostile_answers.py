"""Data sets of a peer that lies: shown as far as they can be, and never a traceback."""

from __future__ import annotations

import json
import random
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.tag import Tag
from pynetdicom.dsutils import decode, encode

from tests.cli.requestor.conftest import Command
from tests.cli.requestor.test_retrieve import finder, finder_saw
from useridentity.cli.requestor.identifier import cell, plain

MUTANTS = 600


def honest() -> Dataset:
    """A match with values of many kinds."""
    item = Dataset()
    item.Modality, item.ScheduledProcedureStepStartDate = "CT", "20261122"
    match = Dataset()
    match.SpecificCharacterSet = "ISO_IR 192"
    match.PatientName, match.PatientID, match.PatientSize = "Müller^Zoë", "17", "1.8"
    match.ModalitiesInStudy, match.InstanceNumber, match.Rows = ["CT", "MR"], "5", 512
    match.StudyDate, match.StudyTime, match.StudyInstanceUID = "20261122", "1201", "1.2.3"
    match.ScheduledProcedureStepSequence = [item, item]
    match.RealWorldValueSlope, match.SelectorFDValue, match.SelectorULValue = 0.5, [0.5, 1], [1, 2]
    match.SmallestImagePixelValue, match.FrameIncrementPointer = 5, [Tag("FrameTime"), Tag("Rows")]
    return match


def test_an_honest_match_is_shown_as_it_is() -> None:
    shown = plain(honest())
    assert shown["ModalitiesInStudy"] == ["CT", "MR"]
    assert shown["ScheduledProcedureStepSequence"][1]["Modality"] == "CT"
    assert (shown["Rows"], shown["RealWorldValueSlope"], shown["PatientName"]) == (512, 0.5, "Müller^Zoë")
    assert cell(honest(), "ModalitiesInStudy") == "CT\\MR"
    assert cell(honest(), "ScheduledProcedureStepSequence") == "2 items"
    assert cell(honest(), "SelectorULValue") == "1\\2"
    assert (shown["SelectorULValue"], shown["FrameIncrementPointer"]) == ([1, 2], ["00181063", "00280010"])
    assert cell(honest(), "AccessionNumber") == ""


def test_a_match_as_json_is_an_identifier_again(command: Command, tmp_path: Path) -> None:
    """Whatever its attributes' VRs; with what else is to be shown."""
    finder_saw.clear()
    with finder((0xFF00, honest())) as scp:
        found = command("find", "127.0.0.1", scp.port, "--json")
        (tmp_path / "match.json").write_text(found.out)
        again = command("find", "127.0.0.1", scp.port, "--json", "--identifier", "match.json")
    assert (found.code, again.code, again.out) == (0, 0, found.out), again.err
    assert {each.keyword: finder_saw[1][each.tag].value for each in honest()} == {
        each.keyword: each.value for each in honest()
    }


@pytest.mark.parametrize("implicit", [True, False])
def test_whatever_a_peer_sends_is_shown_or_left_out(implicit: bool) -> None:
    octets = encode(honest(), implicit, True)
    assert octets
    shuffled = random.Random(8)
    shown = 0
    for _ in range(MUTANTS):
        mutant = bytearray(octets)
        for _ in range(shuffled.randint(1, 4)):
            mutant[shuffled.randrange(len(mutant))] = shuffled.randrange(256)
        del mutant[shuffled.randrange(len(mutant) // 2, len(mutant) + 1) :]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset = decode(BytesIO(mutant), implicit, True)
            except Exception:
                continue  # pynetdicom tells of these; they never reach us
            json.dumps(plain(dataset), allow_nan=False)
            for name in ("PatientName", "PatientSize", "InstanceNumber", "Rows", "ScheduledProcedureStepSequence"):
                cell(dataset, name)
        shown += 1
    assert shown > MUTANTS / 4


def test_a_number_that_is_none_is_shown_as_its_text(command: Command) -> None:
    match = Dataset()
    match.PatientID = "1"
    lie: Any = encode(match, True, True)
    lie += b"\x20\x00\x13\x00\x04\x00\x00\x00many"  # Instance Number, an integer string
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with finder((0xFF00, decode(BytesIO(lie), True, True))) as scp:
            done = command("find", "127.0.0.1", scp.port, "--columns", "PatientID,InstanceNumber")
    assert (done.code, done.out) == (0, "1\tmany\n")
