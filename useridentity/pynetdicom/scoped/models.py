"""The information models a scope can decide about, and what their identifiers must say (PS3.4 C.4, C.6, K.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pydicom import DataElement, Dataset

from useridentity.pynetdicom.scoped.values import texts
from useridentity.scope import BoundScope

WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"

_PATIENT_LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
_STUDY_LEVELS = _PATIENT_LEVELS[1:]
_ROOTS = {"1.2.840.10008.5.1.4.1.2.1": _PATIENT_LEVELS, "1.2.840.10008.5.1.4.1.2.2": _STUDY_LEVELS}
_SERVICES = {"C-FIND": 1, "C-MOVE": 2, "C-GET": 3}

LEVELS: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {(kind, f"{root}.{n}"): levels for root, levels in _ROOTS.items() for kind, n in _SERVICES.items()}
)
"""The levels of Patient Root and Study Root, by request and SOP class, from above (PS3.4 C.6.1, C.6.2)."""

MODELS = frozenset(sop_class for _, sop_class in LEVELS) | {WORKLIST_FIND}

UNIQUE_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "PATIENT": "PatientID",
        "STUDY": "StudyInstanceUID",
        "SERIES": "SeriesInstanceUID",
        "IMAGE": "SOPInstanceUID",
    }
)

COUNTS: Mapping[str, str] = MappingProxyType(
    {
        "NumberOfPatientRelatedStudies": "",
        "NumberOfPatientRelatedSeries": "NumberOfStudyRelatedSeries",
        "NumberOfPatientRelatedInstances": "NumberOfStudyRelatedInstances",
    }
)
"""What is counted over all studies of a patient, and the count of one study that it is the sum of."""

BESIDE_A_PATIENT = ("SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveLevel", "RetrieveAETitle")
"""What a query or a row at PATIENT level has beside attributes of the patient and counts (PS3.4 C.4.1.1.3.2)."""

PATIENT_GROUPS = (0x0010, 0x0012)
"""The groups in which the attributes of patients are (PS3.6; PS3.3 C.7.1)."""

_STUDIES_OF_PATIENT_GROUPS = frozenset(
    [
        "PatientAge",
        "PatientSize",
        "PatientSizeCodeSequence",
        "PatientBodyMassIndex",
        "MeasuredAPDimension",
        "MeasuredLateralDimension",
        "PatientWeight",
        "MedicalAlerts",
        "Allergies",
        "Occupation",
        "SmokingStatus",
        "AdditionalPatientHistory",
        "PregnancyStatus",
        "LastMenstrualDate",
        "PatientSexNeutered",
        "ClinicalTrialTimePointID",
        "ClinicalTrialTimePointDescription",
        "LongitudinalTemporalOffsetFromEvent",
        "LongitudinalTemporalEventType",
        "ConsentForClinicalTrialUseSequence",
        "ClinicalTrialCoordinatingCenterName",
        "ClinicalTrialSeriesID",
        "ClinicalTrialSeriesDescription",
    ]
)
"""Those in them that each study or series has its own of (PS3.3 C.7.2.2, C.7.2.3, C.7.3.2)."""

_UID = re.compile(r"[0-9.]{1,64}")  # PS3.5 9.1
_SINGLE_VALUE = re.compile(r"[^*?\\\x00-\x1f]+")  # PS3.4 C.2.2.2.1


class Unsound(Exception):
    """An identifier from which nothing can be decided; says why, for the log."""


class Retrieval(NamedTuple):
    """What a C-MOVE or C-GET asks for: all studies of one patient, or all or some of these studies."""

    patient_id: str = ""
    studies: tuple[str, ...] = ()


def retrieval(identifier: Dataset, levels: tuple[str, ...]) -> Retrieval:
    """What an identifier asks for (PS3.4 C.4.2.1.4); raises `Unsound`."""
    level = _level(identifier, levels)
    keys = _unique_keys(identifier, level)
    if level == "PATIENT":
        return Retrieval(patient_id=keys[0])
    return Retrieval(studies=keys if level == "STUDY" else _unique_keys(identifier, "STUDY"))


def query_level(identifier: Dataset, levels: tuple[str, ...]) -> str:
    """The level of a C-FIND whose identifier is as PS3.4 C.4.1.2.1 demands; raises `Unsound`.

    Beyond the standard the key of a patient or study must be asked for, because a row without it cannot be decided
    about, and counts over a patient's studies must not be matched, because some may be out of scope. So may studies
    whose attributes are matched at PATIENT level: that a patient is found would tell what they say.
    """
    level = _level(identifier, levels)
    if level in ("PATIENT", "STUDY") and UNIQUE_KEYS[level] not in identifier:
        raise Unsound(f"{UNIQUE_KEYS[level]} is not asked for at {level} level")
    if matched := [keyword for keyword in COUNTS if keyword in identifier and not identifier[keyword].is_empty]:
        raise Unsound(f"{matched[0]} is matched")
    if level == "PATIENT" and (others := [element for element in identifier if not _may_match_patients(element)]):
        raise Unsound(f"{others[0].tag} is matched at PATIENT level")
    return level


def _may_match_patients(element: DataElement) -> bool:
    """Whether a key of a query at PATIENT level is the patient's, the query's own, or matches everything."""
    if not _has_value(element) or element.tag.element == 0 or element.keyword in BESIDE_A_PATIENT:
        return True
    return element.tag.group in PATIENT_GROUPS and element.keyword not in _STUDIES_OF_PATIENT_GROUPS


def _has_value(element: DataElement) -> bool:
    if element.VR == "SQ":
        return any(_has_value(inner) for item in element.value or () for inner in item)
    return not element.is_empty


def check_worklist_query(identifier: Dataset, bound: BoundScope) -> None:
    """Raise `Unsound` where a worklist query does not ask for what its items are decided by (PS3.4 K.6.1.2.2)."""
    for path in bound.values:
        if not _asks_for(identifier, path.split(".")):
            raise Unsound(f"{path} is not asked for")


def _asks_for(identifier: Dataset, path: list[str]) -> bool:
    if path[0] not in identifier:
        return False
    items = identifier[path[0]].value if len(path) > 1 else ()
    return all(_asks_for(item, path[1:]) for item in items or ())  # a sequence without an item asks for all of it


def _level(identifier: Dataset, levels: tuple[str, ...]) -> str:
    """The level, once every level above it has its unique key with a single value."""
    said = texts(identifier, "QueryRetrieveLevel")
    if len(said) != 1 or said[0] not in levels:
        raise Unsound(f"Query/Retrieve Level {said}")
    for above in levels[: levels.index(said[0])]:
        if not unique_key(identifier, above):
            raise Unsound(f"no single value of {UNIQUE_KEYS[above]}")
    return said[0]


def unique_key(dataset: Dataset, level: str) -> str:
    """The one value of the unique key of `level`; empty where there is none, or none that can be looked up."""
    values = texts(dataset, UNIQUE_KEYS[level])
    shape = _SINGLE_VALUE if level == "PATIENT" else _UID
    return values[0] if len(values) == 1 and shape.fullmatch(values[0]) else ""


def _unique_keys(identifier: Dataset, level: str) -> tuple[str, ...]:
    """The values at the level of a retrieval: a list of UIDs, but a single Patient ID."""
    values = texts(identifier, UNIQUE_KEYS[level])
    sound = values and all(map(_UID.fullmatch, values)) if level != "PATIENT" else unique_key(identifier, level)
    if not sound:
        raise Unsound(f"nothing that can be retrieved as {UNIQUE_KEYS[level]}")
    return values
