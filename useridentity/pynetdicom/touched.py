"""Which studies, patients and instances a request touches, read from its data set for the audit trail.

What a peer sent may be anything: whatever pydicom finds wrong with it, the request is recorded all the same, without
what could not be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE, C_STORE
from pynetdicom.dsutils import decode

from useridentity.audit.record import SopClass, Study, text
from useridentity.audit.transfers import MAX_INSTANCES, MAX_STUDIES, Instance, study_of

if TYPE_CHECKING:
    from pynetdicom.presentation import PresentationContext

STUDY_WORDS = ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber")
"""What a record of an instance is made of, beside its UIDs."""

LAST_TAG = 0x0020000D
"""Study Instance UID: the last of these elements in a data set."""

_STUDY_SEQUENCES = ("ScheduledStepAttributesSequence", "ReferencedRequestSequence", "InputInformationSequence")
"""Where MPPS has its studies (PS3.4 Table F.7.2-1), and UPS those that were ordered and those to be read (CC.2.5-3)."""

_DATA_SETS = {
    "C-FIND": "Identifier",
    "C-MOVE": "Identifier",
    "C-GET": "Identifier",
    "N-CREATE": "AttributeList",
    "N-SET": "ModificationList",
    "N-ACTION": "ActionInformation",
}
"""The parameter of a request that is its data set (PS3.7 9.1, 10.1)."""


def instance_received(request: Any, context: PresentationContext) -> Instance:
    """What is recorded of a C-STORE request; the UIDs of its command set where the data set cannot be read."""
    uids = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
    try:
        if request._dataset_path is not None:  # _config.STORE_RECV_CHUNKED_DATASET
            found = _head_of_file(request._dataset_path)
        else:
            found = _head_of(request.DataSet, context)
        return _instance(found, *uids)
    except Exception:  # noqa: BLE001  whatever pydicom finds wrong with a peer's data set; the handler decides about it
        return Instance("", "", "", "", *uids)
    finally:
        if request.DataSet is not None:
            request.DataSet.seek(0)


def instance_sent(dataset: Any) -> Instance:
    """What is recorded of an instance that was sent: a data set, or the file it is in."""
    try:
        found = _head_of_file(Path(dataset)) if isinstance(dataset, str | Path) else dataset
        return _instance(found, str(found.get("SOPClassUID", "")), str(found.get("SOPInstanceUID", "")))
    except Exception:  # noqa: BLE001  as above; that something was sent is recorded all the same
        return Instance()


def _instance(found: Dataset, sop_class: str, sop_instance: str) -> Instance:
    study, patient, name, accession = (text(found.get(word) or "") for word in STUDY_WORDS)
    return Instance(study, patient, name, accession, sop_class, sop_instance)


def _head_of(octets: BytesIO, context: PresentationContext) -> Dataset:
    """The elements up to the Study Instance UID."""
    syntax = context.transfer_syntax[0]
    octets.seek(0)
    if syntax.is_deflated:
        return decode(octets, syntax.is_implicit_VR, syntax.is_little_endian, deflated=True)
    return read_dataset(octets, syntax.is_implicit_VR, syntax.is_little_endian, stop_when=_is_behind)


def _head_of_file(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True, specific_tags=[*STUDY_WORDS, "SOPClassUID", "SOPInstanceUID"])


def _is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > LAST_TAG


def studies_of(request: Any, context: PresentationContext) -> tuple[Study, ...]:
    """The studies and the patient that a request names outright; nothing of one that cannot be read."""
    if isinstance(request, C_STORE):
        return (study_of([instance_received(request, context)]),)
    octets = getattr(request, _DATA_SETS.get(request.msg_type, ""), None)
    if octets is None:
        return ()
    try:
        read = _asked if isinstance(request, C_FIND | C_MOVE | C_GET) else _manipulated
        return tuple(islice(read(request, octets, context), MAX_STUDIES))
    except Exception:  # noqa: BLE001  as above
        return ()
    finally:
        octets.seek(0)


def _asked(request: Any, octets: BytesIO, context: PresentationContext) -> Iterator[Study]:
    """Of the identifier of a query or retrieve."""
    found = _head_of(octets, context)
    patient, accession = _literal(found, "PatientID"), _literal(found, "AccessionNumber")
    name = _literal(found, "PatientName") if isinstance(request, C_FIND) else ""
    named = _values(found, "StudyInstanceUID") or [""]
    if any((*named, patient, accession, name)):
        for uid in named:
            yield Study(text(uid), patient, name, (accession,) if accession else ())


def _manipulated(_request: Any, octets: BytesIO, context: PresentationContext) -> Iterator[Study]:
    """Of the data set of a DIMSE-N service: MPPS, UPS and storage commitment, which names instances alone."""
    syntax = context.transfer_syntax[0]
    octets.seek(0)
    found = decode(octets, syntax.is_implicit_VR, syntax.is_little_endian, deflated=syntax.is_deflated)
    items = [found, *(item for word in _STUDY_SEQUENCES for item in found.get(word) or ())]
    accessions: dict[str, dict[str, None]] = {}
    for item in items:
        for uid in _values(item, "StudyInstanceUID"):
            numbers = [text(item.get("AccessionNumber"))] if item.get("AccessionNumber") else []
            accessions.setdefault(text(uid), {}).update(dict.fromkeys(numbers))
    patient, name = text(found.get("PatientID") or ""), text(found.get("PatientName") or "")
    classes = _committed(found)
    if not accessions and (patient or name or classes):
        yield Study("", patient, name, (), classes)
    for uid, numbers_of in accessions.items():
        yield Study(uid, patient, name, tuple(numbers_of), classes)


def _committed(found: Dataset) -> tuple[SopClass, ...]:
    """The instances that storage commitment is asked for (PS3.4 Table J.3-1)."""
    named = [
        Instance(sop_class=str(each.ReferencedSOPClassUID), sop_instance=str(each.ReferencedSOPInstanceUID))
        for each in islice(found.get("ReferencedSOPSequence") or (), MAX_INSTANCES)
    ]
    return study_of(named).sop_classes if named else ()


def _values(found: Dataset, word: str) -> list[str]:
    value = found.get(word) or ""
    return [each for each in ([value] if isinstance(value, str) else value) if each]


def _literal(found: Dataset, word: str) -> str:
    """A value that matches nothing but itself (PS3.4 C.2.2.2.4)."""
    value = text(found.get(word) or "")
    return "" if set(value) & set("*?\\") else value
