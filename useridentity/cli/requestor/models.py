"""Query/Retrieve information models (PS3.4 C.6) and levels, and what is asked for where nothing else is said."""

from __future__ import annotations

from enum import StrEnum

import typer
from pydicom import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)


class Model(StrEnum):
    """An information model."""

    STUDY = "study"
    PATIENT = "patient"
    WORKLIST = "worklist"


class Level(StrEnum):
    """A query/retrieve level, from the root down."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    IMAGE = "image"


FIND = {
    Model.STUDY: StudyRootQueryRetrieveInformationModelFind,
    Model.PATIENT: PatientRootQueryRetrieveInformationModelFind,
    Model.WORKLIST: ModalityWorklistInformationFind,
}
GET = {
    Model.STUDY: StudyRootQueryRetrieveInformationModelGet,
    Model.PATIENT: PatientRootQueryRetrieveInformationModelGet,
}
MOVE = {
    Model.STUDY: StudyRootQueryRetrieveInformationModelMove,
    Model.PATIENT: PatientRootQueryRetrieveInformationModelMove,
}

UNIQUE_KEYS = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}
"""The unique key of each level (PS3.4 C.6)."""

COLUMNS = {
    Level.PATIENT: ["PatientID", "PatientName", "PatientBirthDate", "PatientSex"],
    Level.STUDY: ["PatientID", "PatientName", "StudyDate", "ModalitiesInStudy", "StudyDescription", "StudyInstanceUID"],
    Level.SERIES: ["SeriesNumber", "Modality", "SeriesDescription", "SeriesInstanceUID"],
    Level.IMAGE: ["InstanceNumber", "SOPClassUID", "SOPInstanceUID"],
}
"""What is asked for and shown where no columns are named."""

WORKLIST_COLUMNS = ["PatientID", "PatientName", "AccessionNumber", "RequestedProcedureDescription"]


def deepest_level(dataset: Dataset) -> Level | None:
    """The lowest level whose unique key has a value; None where none has."""
    given = [level for level in Level if dataset.get(UNIQUE_KEYS[level])]
    return given[-1] if given else None


def retrieved(dataset: Dataset, level: Level | None, model: Model | None) -> Model:
    """Complete an identifier to retrieve by; its model. Raises `typer.BadParameter` where nothing is named."""
    level = level or deepest_level(dataset)
    if level is None or not dataset.get(UNIQUE_KEYS[level]):
        keys = UNIQUE_KEYS.values() if level is None else [UNIQUE_KEYS[level]]
        raise typer.BadParameter(
            f"what to retrieve? give {' or '.join(keys)}; `useridentity find` tells them", param_hint="-k"
        )
    if model is Model.WORKLIST:
        raise typer.BadParameter("a worklist cannot be retrieved; write study or patient", param_hint="--model")
    dataset.QueryRetrieveLevel = level.name
    return model or (Model.PATIENT if level is Level.PATIENT else Model.STUDY)
