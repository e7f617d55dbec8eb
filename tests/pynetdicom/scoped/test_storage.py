"""C-STORE under a scope: what is stored brings no study of another into it, and tells of none."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import evt

from tests.pynetdicom.scoped.asking import STUDY_ROOT, archive, association, find, identifier, retrieve
from tests.pynetdicom.scoped.index import Index, instance
from tests.pynetdicom.scoped.rows import ALL

SCOPE = {"PatientID": "P1"}
WORKLIST_SCOPE = {"ScheduledProcedureStepSequence.ScheduledStationAETitle": "CT_1"}


@pytest.mark.threat("Q7")
def test_the_comment_of_a_storage_is_not_told(index: Index) -> None:
    def on_store(event: evt.Event) -> Dataset:
        status = Dataset()
        status.Status, status.ErrorComment = 0xA700, "study of Roe^Richard is locked"
        return status

    def answered(scope: object) -> Dataset:
        image = instance({"SOPInstanceUID": "9.1", "StudyInstanceUID": "1.2.1", "PatientID": "P1"})
        image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        handlers = [*index.handlers, (evt.EVT_C_STORE, on_store)]
        with archive(handlers, scope) as acceptor, association(acceptor) as assoc:
            return assoc.send_c_store(image)

    assert "ErrorComment" in answered(None)
    status = answered(SCOPE)
    assert (status.Status, "ErrorComment" in status) == (0xA700, False)


def stored(index: Index, scope: object, **entity: Any) -> int:
    image = instance({"SOPInstanceUID": "9.1", "SeriesInstanceUID": "9", "Modality": "CT"} | entity)
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    with archive(index.handlers, scope) as acceptor, association(acceptor) as assoc:
        status = int(assoc.send_c_store(image).Status)
        assert len(acceptor.served) == (status == 0)
        return status


@pytest.mark.threat("Q9")
def test_storing_brings_no_study_of_another_into_scope(index: Index) -> None:
    """An index that believes the latest instance would give the study away."""
    assert stored(index, SCOPE, StudyInstanceUID="1.2.1", PatientID="P1") == 0x0000
    assert stored(index, SCOPE, StudyInstanceUID="1.2.9", PatientID="P1") == 0x0000
    assert stored(index, None, StudyInstanceUID="1.2.2", PatientID="P1") == 0x0000
    assert stored(index, SCOPE, StudyInstanceUID="1.2.2", PatientID="P1") == 0x0124
    assert stored(index, SCOPE, StudyInstanceUID="1.2.1", PatientID="P2") == 0x0124
    assert stored(index, SCOPE, StudyInstanceUID="1.2.9", PatientID="P2") == 0x0124
    assert stored(index, SCOPE, StudyInstanceUID="1.2.9") == 0x0124
    assert stored(index, SCOPE, PatientID="P1") == 0x0124
    assert stored(index, {"PatientID": "{claims.none}"}, StudyInstanceUID="1.2.2", PatientID="P1") == 0x0124


def test_a_modality_that_is_scoped_by_its_worklist_stores_whatever_it_makes(index: Index) -> None:
    """No study is in its scope whatever it stores."""
    assert stored(index, WORKLIST_SCOPE, StudyInstanceUID="1.2.2", PatientID="P2") == 0x0000
    with archive(index.handlers, WORKLIST_SCOPE) as acceptor, association(acceptor) as assoc:
        assert find(assoc, ALL) == (0x0000, [])
        wanted = identifier("STUDY", StudyInstanceUID="1.2.1")
        assert retrieve(assoc.send_c_get(wanted, STUDY_ROOT["GET"]))[0].Status == 0x0124


@pytest.mark.threat("Q9")
def test_a_scope_of_worklists_with_a_patient_stores_what_is_the_patients(index: Index) -> None:
    scope = SCOPE | WORKLIST_SCOPE
    assert stored(index, scope, StudyInstanceUID="1.2.1", PatientID="P1") == 0x0000
    assert stored(index, scope, StudyInstanceUID="1.2.9", PatientID="P1") == 0x0000
    assert stored(index, scope, StudyInstanceUID="1.2.2", PatientID="P2") == 0x0124
    assert stored(index, scope, StudyInstanceUID="1.2.2", PatientID="P1") == 0x0124
