"""Identifiers of queries: what they must ask for under a scope, what they may match, and that they pass unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from tests.pynetdicom.scoped.asking import MODELS, PATIENT_ROOT, STUDY_ROOT, archive, association, find, identifier
from tests.pynetdicom.scoped.index import Index
from tests.pynetdicom.scoped.rows import ALL
from useridentity.pynetdicom.scoped.models import OF_A_PATIENT, query_level

SCOPE = {"PatientID": "P1"}


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (STUDY_ROOT, identifier("SERIES", SeriesInstanceUID=None)),
        (STUDY_ROOT, identifier("SERIES", StudyInstanceUID=None, SeriesInstanceUID=None)),
        (STUDY_ROOT, identifier("SERIES", StudyInstanceUID=["1.2.1", "1.2.3"], SeriesInstanceUID=None)),
        (STUDY_ROOT, identifier("IMAGE", StudyInstanceUID="1.2.1", SOPInstanceUID=None)),
        (STUDY_ROOT, identifier("IMAGE", SeriesInstanceUID="1.2.1.1", SOPInstanceUID=None)),
        (PATIENT_ROOT, identifier("STUDY", StudyInstanceUID=None)),
        (PATIENT_ROOT, identifier("STUDY", StudyInstanceUID=None, PatientID="P*")),
        (PATIENT_ROOT, identifier("STUDY", StudyInstanceUID=None, PatientID=["P1", "P2"])),
        (PATIENT_ROOT, identifier("SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID=None)),
        (STUDY_ROOT, identifier("PATIENT", PatientID=None)),
        (STUDY_ROOT, identifier("", StudyInstanceUID=None)),
        (STUDY_ROOT, identifier("STUDY", PatientID=None)),
        (PATIENT_ROOT, identifier("PATIENT", PatientName=None)),
        (PATIENT_ROOT, identifier("PATIENT", PatientID=None, NumberOfPatientRelatedStudies="2")),
        (STUDY_ROOT, identifier("STUDY", StudyInstanceUID=None, NumberOfPatientRelatedStudies="2")),
    ],
)
@pytest.mark.threat("Q3")
def test_a_query_without_what_the_standard_and_a_scope_need_does_not_match_the_sop_class(
    index: Index, model: dict[str, str], wanted: Dataset
) -> None:
    with archive(index.handlers, SCOPE) as acceptor, association(acceptor) as assoc:
        assert find(assoc, ALL)[0] == 0x0000
        index.asked.clear()
        assert find(assoc, wanted, model["FIND"]) == (0xA900, [])
        assert index.asked == []


def asking(tag: int, vr: str, value: Any) -> Dataset:
    """What has no keyword, or none that pydicom knows."""
    wanted = identifier("PATIENT", PatientID=None)
    if tag >> 16 & 1:
        wanted.private_block(tag >> 16, "ACME", create=True).add_new(tag & 0xFF, vr, value)
    else:
        wanted.add_new(tag, vr, value)
    return wanted


STUDY_KEYS: dict[str, Dataset] = {
    keyword: identifier("PATIENT", PatientID=None, **{keyword: value})
    for keyword, value in {
        "StudyDescription": "HIV*",
        "AccessionNumber": "A2",
        "StudyInstanceUID": "1.2.2",
        "ModalitiesInStudy": "CT",
        "PatientAge": "040Y",
        "AnatomicalOrientationType": "QUADRUPED",
        "ClinicalTrialTimePointTypeCodeSequence": [identifier(CodeValue="1")],
        "IssuerOfClinicalTrialSeriesID": "A",
        "RequestAttributesSequence": [identifier(StudyInstanceUID="1.2.2")],
        "RetrieveAETitle": "TAPES",
    }.items()
} | {"private": asking(0x00110001, "LO", "secret"), "Gender Identity Sequence": asking(0x00100041, "UN", b"\0\0")}


@pytest.mark.parametrize("keyword", STUDY_KEYS)
@pytest.mark.filterwarnings("ignore:VR lookup failed")
@pytest.mark.threat("Q7")
def test_a_patient_is_not_matched_by_what_studies_have(index: Index, keyword: str) -> None:
    """That the patient is found would tell that a study out of scope has it."""
    universal = identifier("PATIENT", PatientID="P1", PatientSex=None, StudyDescription=None, StudyInstanceUID=None)
    with archive(index.handlers) as acceptor, association(acceptor) as assoc:
        assert find(assoc, STUDY_KEYS[keyword], PATIENT_ROOT["FIND"])[0] == 0x0000
    index.asked.clear()
    with archive(index.handlers, SCOPE) as acceptor, association(acceptor) as assoc:
        assert find(assoc, STUDY_KEYS[keyword], PATIENT_ROOT["FIND"]) == (0xA900, [])
        assert index.asked == []
        assert len(find(assoc, universal, PATIENT_ROOT["FIND"])[1]) == 1


def test_each_attribute_of_a_patient_is_in_the_data_dictionary_and_may_be_matched() -> None:
    for keyword in OF_A_PATIENT:
        wanted = identifier("PATIENT", PatientID=None)
        wanted.add_new(keyword, "OB", b"value ")
        assert query_level(wanted, ("PATIENT",)) == "PATIENT"


def test_the_identifier_passes_unchanged(index: Index) -> None:
    wanted = identifier("STUDY", StudyInstanceUID=None, PatientID="P?", NumberOfStudyRelatedInstances=None)
    with archive(index.handlers) as acceptor, association(acceptor) as assoc:
        find(assoc, wanted)
        unscoped = index.asked.pop()
    with archive(index.handlers, SCOPE) as acceptor, association(acceptor) as assoc:
        find(assoc, wanted)
    assert index.asked[0] == unscoped


@pytest.mark.threat("Q10")
def test_relational_queries_and_fuzzy_matching_are_not_negotiated() -> None:
    def on_extended(event: Any) -> dict[str, bytes]:
        return dict(event.app_info)

    def answered(scope: object) -> set[str]:
        items = []
        for uid in (*MODELS, CTImageStorage):
            items.append(SOPClassExtendedNegotiation())
            items[-1].sop_class_uid, items[-1].service_class_application_information = uid, b"\x01\x01\x01"
        with (
            archive([(evt.EVT_SOP_EXTENDED, on_extended)], scope) as acceptor,
            association(acceptor, ext_neg=items) as assoc,
        ):
            return {str(uid) for uid in assoc.acceptor.sop_class_extended}

    assert answered(None) == {*MODELS, CTImageStorage}
    assert answered(SCOPE) == {CTImageStorage}
