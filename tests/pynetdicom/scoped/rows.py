"""Archives whose handler of EVT_C_FIND is somebody else's, and the rows that are seen of what it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydicom import Dataset
from pynetdicom import evt

from tests.pynetdicom.scoped.asking import archive, association, find, identifier
from tests.pynetdicom.scoped.index import Index, Series, Study

Rows = Iterator[tuple[Any, Any]]


def study(number: int, patient_id: str, **patient: Any) -> Study:
    uid = f"1.2.{number}"
    series = [Series({"SeriesInstanceUID": f"{uid}.1", "Modality": "CT"}, 2)]
    attributes = {"StudyInstanceUID": uid, "AccessionNumber": f"A{number}", "StudyDate": "20261122"}
    return Study({"PatientID": patient_id, "PatientName": f"Doe^{patient_id}", **patient}, attributes, series)


INDEX = Index([study(1, "P1"), study(2, "P2"), study(3, "P1"), study(4, "P2")])
ALL = identifier("STUDY", StudyInstanceUID=None, PatientID=None)
EVERYTHING = identifier("STUDY", StudyInstanceUID=None, PatientID=None, PatientName=None, AccessionNumber=None)


def answers(handler: Callable[[evt.Event], Rows], wanted: Dataset, model: str, scope: object) -> tuple[int, list[Any]]:
    with archive([(evt.EVT_C_FIND, handler)], scope) as acceptor, association(acceptor) as assoc:
        return find(assoc, wanted, model)


def patients(rows: list[Dataset]) -> list[str]:
    return [row.PatientID for row in rows]
