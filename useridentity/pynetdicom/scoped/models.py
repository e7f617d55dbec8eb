"""The information models a scope can decide about, and what their identifiers must say (PS3.4 C.4, C.6, K.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pydicom import DataElement, Dataset

from useridentity.pynetdicom.scoped.values import texts
from useridentity.scope import NEVER, BoundScope
from useridentity.scope.attributes import PATIENT_ATTRIBUTES

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

OF_A_QUERY = ("SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveLevel")
"""What an identifier has beside keys (PS3.4 C.4.1.1.3.1)."""

BESIDE_A_PATIENT = (*OF_A_QUERY, "RetrieveAETitle")
"""What a row at PATIENT level has beside attributes of the patient and counts (PS3.4 C.4.1.1.3.2)."""

OF_A_PATIENT = PATIENT_ATTRIBUTES | frozenset(
    [
        "BranchOfService",
        "BreedRegistrationSequence",
        "ClinicalTrialProtocolEthicsCommitteeApprovalNumber",
        "ClinicalTrialProtocolEthicsCommitteeName",
        "ClinicalTrialSubjectReadingID",
        "CountryOfResidence",
        "EthnicGroupCodeSequence",
        "GeneticModificationsSequence",
        "GroupOfPatientsIdentificationSequence",
        "IssuerOfClinicalTrialProtocolID",
        "IssuerOfClinicalTrialSiteID",
        "IssuerOfClinicalTrialSubjectID",
        "IssuerOfClinicalTrialSubjectReadingID",
        "IssuerOfPatientIDQualifiersSequence",
        "MilitaryRank",
        "OtherClinicalTrialProtocolIDsSequence",
        "OtherPatientIDsSequence",
        "PatientAddress",
        "PatientAlternativeCalendar",
        "PatientBirthDateInAlternativeCalendar",
        "PatientBirthName",
        "PatientBirthTime",
        "PatientBreedCodeSequence",
        "PatientBreedDescription",
        "PatientComments",
        "PatientDeathDateInAlternativeCalendar",
        "PatientInsurancePlanCodeSequence",
        "PatientMotherBirthName",
        "PatientPrimaryLanguageCodeSequence",
        "PatientReligiousPreference",
        "PatientSpeciesCodeSequence",
        "PatientTelecomInformation",
        "PatientTelephoneNumbers",
        "QualityControlSubject",
        "QualityControlSubjectTypeCodeSequence",
        "ReferencedPatientPhotoSequence",
        "ReferencedPatientSequence",
        "RegionOfResidence",
        "ResponsiblePersonRole",
        "SourcePatientGroupIdentificationSequence",
        "StrainAdditionalInformation",
        "StrainCodeSequence",
        "StrainDescription",
        "StrainNomenclature",
        "StrainStockSequence",
        "TypeOfPatientID",
    ]
)
"""Attributes that all studies of a patient share (PS3.3 C.7.1.1, C.7.1.3 and, of C.2.2 and C.2.3, what is not in
C.7.2.2). Whatever else there is, each study may have its own of."""

_UID = re.compile(r"[0-9.]{1,64}")  # PS3.5 9.1


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
    if not _has_value(element) or element.tag.element == 0:
        return True
    return element.keyword in OF_A_QUERY or element.keyword in OF_A_PATIENT


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
    return values[0] if len(values) == 1 and _is_single(level, values[0]) else ""


def _is_single(level: str, value: str) -> bool:
    """Whether a value matches itself and nothing else (PS3.4 C.2.2.2.1)."""
    return not NEVER.search(value) if level == "PATIENT" else _UID.fullmatch(value) is not None


def _unique_keys(identifier: Dataset, level: str) -> tuple[str, ...]:
    """The values at the level of a retrieval: a list of UIDs, but a single Patient ID."""
    values = texts(identifier, UNIQUE_KEYS[level])
    sound = values and all(map(_UID.fullmatch, values)) if level != "PATIENT" else unique_key(identifier, level)
    if not sound:
        raise Unsound(f"nothing that can be retrieved as {UNIQUE_KEYS[level]}")
    return values
