"""An archive of 2,000 studies of 500 patients, with all that makes matching difficult, and queries of every kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from pydicom import Dataset

from tests.pynetdicom.scoped.asking import PATIENT_ROOT, STUDY_ROOT, WORKLIST, identifier
from tests.pynetdicom.scoped.index import Index, Series, Study

PATIENTS, STUDIES_OF_EACH = 500, 4
LARGE, MANY = 48, 10_000  # a study, and its instances

PHYSICIANS = ["House^Gregory", "Wilson^James", "Cuddy^Lisa"]

Query = tuple[str, Dataset]


def _patient(number: int) -> dict[str, Any]:
    """Every tenth patient has what the others have not."""
    plain = {
        "PatientID": f"P{number:04}",
        "IssuerOfPatientID": "HOSP_A",
        "PatientName": f"Doe^Jane{number}",
        "PatientSex": "FMO"[number % 3],
        "PatientBirthDate": f"19{number % 90 + 10}0101",
        "OtherPatientIDs": [],
    }
    oddities: dict[int, dict[str, Any]] = {
        1: {"PatientID": f"P{number - 1:04}", "IssuerOfPatientID": "HOSP_B"},  # the same ID
        2: {
            "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
            "PatientName": f"Yamada^Tarou{number}=山田^太郎=やまだ^たろう",
        },
        3: {"SpecificCharacterSet": "GB18030", "PatientName": f"Wang^XiaoDong{number}=王^小东="},
        4: {
            "SpecificCharacterSet": "ISO_IR 192",
            "PatientName": f"Müller^Jörg{number}",
            "IssuerOfPatientID": "SPITAL_Ä",
        },
        5: {"OtherPatientIDs": [f"OLD{number}", f"OLDER{number}"]},  # merged
        6: {"PatientName": "", "PatientSex": "", "IssuerOfPatientID": ""},
        7: {"SpecificCharacterSet": "ISO_IR 100", "PatientName": f"Ångström^Anders{number}"},
    }
    return plain | oddities.get(number % 10, {})


def _study(patient: dict[str, Any], number: int) -> Study:
    uid = f"1.2.826.{number}"
    attributes = {
        "StudyInstanceUID": uid,
        "StudyDate": f"2026{number % 12 + 1:02}15" if number % 9 else "",
        "AccessionNumber": f"A{number}" if number % 7 else "",
        "StudyDescription": f"Schädel {number}" if number % 10 == 4 else f"Study {number}",
        "ReferringPhysicianName": PHYSICIANS[number % 3],
        "PhysiciansOfRecord": PHYSICIANS[: number % 4],
    }
    sizes = [MANY] if number == LARGE else [1 + number % 3, 1]
    series = [
        Series({"SeriesInstanceUID": f"{uid}.{n}", "Modality": ("CT", "MR", "SR")[(number + n) % 3]}, size)
        for n, size in enumerate(sizes, 1)
    ]
    return Study(patient, attributes, series)


def _item(number: int) -> Dataset:
    step = Dataset()
    step.ScheduledStationAETitle, step.Modality = f"CT_{number % 3}", "CT"
    step.ScheduledProcedureStepStartDate = f"202611{number % 28 + 1:02}"
    entry = identifier(PatientID=f"P{number:04}", PatientName=f"Doe^Jane{number}", IssuerOfPatientID="HOSP_A")
    entry.ScheduledProcedureStepSequence = [step]
    return entry


@cache
def hospital() -> Index:
    """The index; whoever asks gets the same one."""
    studies = [
        _study(_patient(number), number * STUDIES_OF_EACH + n)
        for number in range(PATIENTS)
        for n in range(STUDIES_OF_EACH)
    ]
    return Index(studies, [_item(number) for number in range(60)])


COHORT = [f"P{number:04}" for number in range(PATIENTS) if number // 10 % 2]
SCOPE = {"PatientID": COHORT, "IssuerOfPatientID": ["HOSP_A", "SPITAL_Ä"]}


def is_mine(study: Study) -> bool:
    """Whether a study is in SCOPE, told without any code of the package."""
    return study.patient["PatientID"] in COHORT and study.patient["IssuerOfPatientID"] in SCOPE["IssuerOfPatientID"]


def mine(belongs: Callable[[Study], bool] = is_mine) -> Index:
    """The archive whose index holds the user's studies and items only."""
    index = hospital().only(belongs)
    index.worklist = [item for item in hospital().worklist if item.PatientID in COHORT]
    return index


def _step(**keys: Any) -> list[Dataset]:
    step = Dataset()
    for keyword, value in keys.items():
        setattr(step, keyword, value)
    return [step]


def _query(level: str, root: dict[str, str] = STUDY_ROOT, **keys: Any) -> Query:
    return root["FIND"], identifier(level, **keys)


def _studies(**keys: Any) -> Query:
    shown = dict.fromkeys(["StudyInstanceUID", "PatientName", "PatientID", "IssuerOfPatientID", "StudyDate"])
    return STUDY_ROOT["FIND"], identifier("STUDY", **shown | keys)


def _items(**step: Any) -> Query:
    return WORKLIST, identifier(PatientID=None, IssuerOfPatientID=None, ScheduledProcedureStepSequence=_step(**step))


UIDS = [f"1.2.826.{n}" for n in range(30, 90, 5)]
IMAGES = [f"1.2.826.{LARGE}.1.{n}" for n in range(1, MANY, 99)]

QUERIES: dict[str, Query] = {
    "single value": _studies(PatientID="P0010", NumberOfPatientRelatedStudies=None),
    "single value, same ID": _query("PATIENT", PATIENT_ROOT, PatientID="P0010", PatientName=None),
    "list of UIDs": _studies(StudyInstanceUID=UIDS),
    "wildcard": _studies(PatientName="Doe^Jane1?"),
    "wildcard, ideographic": _studies(PatientName="*=山田*", PatientID="P00*"),
    "wildcard, three groups": _query("PATIENT", PATIENT_ROOT, PatientID="P01*", PatientName="*王^小东*"),
    "wildcard, umlaut": _query("PATIENT", PATIENT_ROOT, PatientID=None, PatientName="m?ller*", IssuerOfPatientID=None),
    "range": _studies(StudyDate="20260301-20260501", PatientID="P00*"),
    "several values": _studies(PatientID="P00*", PhysiciansOfRecord="Cuddy*"),
    "empty value": _studies(PatientID="P001*", AccessionNumber=None, IssuerOfPatientID=""),
    "universal": _query("PATIENT", PATIENT_ROOT, PatientID=None, NumberOfPatientRelatedStudies=None),
    "series": _query("SERIES", StudyInstanceUID="1.2.826.50", SeriesInstanceUID=None, Modality=None),
    "series out of scope": _query("SERIES", StudyInstanceUID="1.2.826.6", SeriesInstanceUID=None),
    "some of 10,000 instances": _query(
        "IMAGE", StudyInstanceUID=f"1.2.826.{LARGE}", SeriesInstanceUID=f"1.2.826.{LARGE}.1", SOPInstanceUID=IMAGES
    ),
    "sequence": _items(ScheduledStationAETitle="CT_1", ScheduledProcedureStepStartDate=None),
    "sequence, range": _items(ScheduledProcedureStepStartDate="20261105-20261115"),
}
"""Queries of each kind of matching (PS3.4 C.2.2.2), of which few rows are the user's."""
