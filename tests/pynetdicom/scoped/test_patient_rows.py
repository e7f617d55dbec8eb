"""Rows of any shape: what only a study out of scope says is never shown, and what is in scope always."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, config
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag
from pynetdicom.dsutils import decode, encode

from tests.pynetdicom.scoped.asking import identifier
from useridentity import Assurance, Identity, Scope
from useridentity.pynetdicom.scoped.find import Rows
from useridentity.pynetdicom.scoped.lookup import Studies

MINE, OTHER, SECRET = "1.2.1", "1.2.2", "SECRET"
BOUND = Scope.of({"StudyInstanceUID": MINE}).bind(Identity("idp:alice", "alice", "idp", Assurance.AUTHENTICATED))

TAGS = [
    *map(Tag, ["AccessionNumber", "StudyDescription", "PatientName", "OtherPatientIDs", "PatientComments"]),
    *map(Tag, ["PatientSpeciesCodeSequence", "SOPClassesInStudy", "PatientAge", "StrainAdditionalInformation"]),
    *map(BaseTag, [0x00100041, 0x00110010, 0x00111001, 0x0020FFFF, 0x60003000]),  # of no keyword
]
TEXTS = st.sampled_from(["", "MINE", SECRET, f"{SECRET}^X", f"{SECRET}{'x' * 40}"])


def element(tag: BaseTag, vr: str, text: str) -> DataElement | RawDataElement:
    """An element of the VR, or, where that is "raw", one that was not read yet."""
    if vr == "raw":
        return RawDataElement(tag, "LO", len(text), text.encode(), 0, True, True)
    value = text.encode() if vr == "OB" else [text, "MINE"] if vr == "PN" else text
    return DataElement(tag, vr, value, validation_mode=config.IGNORE)


PLAIN = st.builds(element, st.sampled_from(TAGS), st.sampled_from(["LO", "OB", "PN", "UT", "raw"]), TEXTS)


def item(elements: list[DataElement | RawDataElement]) -> Dataset:
    return Dataset({each.tag: each for each in elements})


def sequence(tag: BaseTag, items: list[Dataset]) -> DataElement:
    return DataElement(tag, "SQ", items)


ELEMENTS = st.recursive(
    PLAIN,
    lambda inner: st.builds(
        sequence, st.sampled_from(TAGS), st.lists(st.builds(item, st.lists(inner, max_size=2)), max_size=2)
    ),
    max_leaves=4,
)


def octets(dataset: Dataset) -> bytes:
    return encode(dataset, True, True) or SECRET.encode()  # what cannot be written is shown to nobody


def study(uid: str, said: Dataset) -> Dataset:
    study = Dataset(dict(said.items()))
    study.StudyInstanceUID, study.PatientID = uid, "P1"
    return study


def shown(row: Dataset, silent: set[BaseTag]) -> Dataset | None:
    """What is seen of `row`: one study of the patient's is in scope, and says what is no secret.

    The index answers no `silent` attribute.
    """
    plain = Dataset({tag: each for tag, each in row.items() if SECRET.encode() not in octets(item([each]))})
    return rows([study(MINE, plain), study(OTHER, row)], silent).patient(row)


def rows(index: list[Dataset], silent: set[BaseTag]) -> Rows:
    def ask(wanted: Dataset) -> Iterator[Dataset]:
        asked = set(wanted.keys()) - silent
        yield from (Dataset({tag: each[tag] for tag in asked if tag in each}) for each in index)

    return Rows(BOUND, Studies(BOUND, ask))


@pytest.mark.filterwarnings("ignore:VR lookup failed", "ignore:Invalid value")
@pytest.mark.threat("Q2")
@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(ELEMENTS, max_size=3, unique_by=lambda each: each.tag), st.sets(st.sampled_from(TAGS)))
def test_nothing_is_seen_of_a_patient_that_only_a_study_out_of_scope_says(
    elements: list[DataElement | RawDataElement], silent: set[BaseTag]
) -> None:
    row = identifier("PATIENT", PatientID="P1")
    row.update({each.tag: each for each in elements})
    is_secret = any(SECRET.encode() in octets(item([each])) for each in elements if each.tag not in silent)
    seen = shown(row, silent)
    event(f"secret {is_secret}, seen {seen is not None}")
    assert seen is None or SECRET.encode() not in octets(seen)
    assert is_secret or seen is not None
    assert seen is None or decode(BytesIO(octets(seen)), True, True).PatientID == "P1"


@pytest.mark.parametrize("level", ["PATIENT", "STUDY"])
@pytest.mark.filterwarnings("ignore:VR lookup failed", "ignore:Invalid value")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(elements=st.lists(ELEMENTS, max_size=3, unique_by=lambda each: each.tag), silent=st.sets(st.sampled_from(TAGS)))
def test_a_row_of_whom_all_studies_are_in_scope_is_seen_as_it_is(
    level: str, elements: list[DataElement | RawDataElement], silent: set[BaseTag]
) -> None:
    row = identifier(level, PatientID="P1")
    if level == "STUDY":
        row.StudyInstanceUID = MINE
    row.update({each.tag: each for each in elements})
    found = rows([study(MINE, row)], silent)
    seen = found.patient(row) if level == "PATIENT" else found.below_patient(row)
    assert seen is not None
    assert octets(seen) == octets(row)
