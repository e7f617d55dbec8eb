"""Which studies, patients and instances a request touches, read from its data set for the audit trail.

What a peer sent may be anything: whatever pydicom finds wrong with it, the request is recorded all the same, without
what could not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import MAX_WBITS, decompressobj

from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE, C_STORE

from useridentity.audit.record import Study, text
from useridentity.audit.transfers import MAX_ACCESSIONS, MAX_INSTANCES, MAX_STUDIES, Instance, grouped, study_of

if TYPE_CHECKING:
    from pynetdicom.presentation import PresentationContext

STUDY_WORDS = ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber")
"""What a record of an instance is made of, beside its UIDs."""

LAST_TAG = 0x0020000D
"""Study Instance UID: the last of these elements in a data set."""

MAX_INFLATED = 4 * 1024 * 1024
"""Octets that are read of a deflated data set, which may be a thousand times as large as what a peer sent: whose it is
stands at its beginning."""

_STUDY_SEQUENCES = ("ScheduledStepAttributesSequence", "ReferencedRequestSequence", "InputInformationSequence")
"""Where MPPS has its studies (PS3.4 Table F.7.2-1), and UPS those that were ordered and those to be read (CC.2.5-3)."""

_INSTANCE_SEQUENCES = ("ReferencedSOPSequence", "FailedSOPSequence")
"""Where storage commitment and its result have their instances (PS3.4 Tables J.3-1 and J.3-2)."""

_DATA_SETS = {
    "C-FIND": "Identifier",
    "C-MOVE": "Identifier",
    "C-GET": "Identifier",
    "N-CREATE": "AttributeList",
    "N-SET": "ModificationList",
    "N-ACTION": "ActionInformation",
    "N-EVENT-REPORT": "EventInformation",
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
    study, patient, name, accession = (_value(found, word) for word in STUDY_WORDS)
    return Instance(study, patient, name, accession, sop_class, sop_instance)


def _head_of(octets: BytesIO, context: PresentationContext) -> Dataset:
    """The elements up to the Study Instance UID."""
    return _decoded(octets, context, stop_when=_is_behind)


def _decoded(octets: BytesIO, context: PresentationContext, stop_when: Callable[..., bool] | None = None) -> Dataset:
    syntax = context.transfer_syntax[0]
    octets.seek(0)
    if syntax.is_deflated:
        octets = BytesIO(decompressobj(-MAX_WBITS).decompress(octets.read(), MAX_INFLATED))
    return read_dataset(octets, syntax.is_implicit_VR, syntax.is_little_endian, stop_when=stop_when)


def _head_of_file(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True, specific_tags=[*STUDY_WORDS, "SOPClassUID", "SOPInstanceUID"])


def _is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > LAST_TAG


def studies_of(request: Any, context: PresentationContext) -> tuple[Study, ...]:
    """The studies and the patient that a request names outright, and of a DIMSE-N service the instances; of a data
    set that cannot be read, nothing."""
    if isinstance(request, C_STORE):
        return (study_of([instance_received(request, context)]),)
    try:
        if isinstance(request, C_FIND | C_MOVE | C_GET):
            return tuple(islice(_asked(request, context), MAX_STUDIES))
        return tuple(islice(_manipulated(request, context), MAX_STUDIES))
    except Exception:  # noqa: BLE001  as above
        return _alone(request)
    finally:
        octets = _data_set(request)
        if octets is not None:
            octets.seek(0)


def _data_set(request: Any) -> BytesIO | None:
    return getattr(request, _DATA_SETS.get(request.msg_type, ""), None)


def _asked(request: Any, context: PresentationContext) -> Iterator[Study]:
    """Of the identifier of a query or retrieve."""
    found = _head_of(request.Identifier, context)
    patient, accession = _literal(found, "PatientID"), _literal(found, "AccessionNumber")
    name = _literal(found, "PatientName") if isinstance(request, C_FIND) else ""
    named = _values(found, "StudyInstanceUID") or [""]
    if any((*named, patient, accession, name)):
        for uid in named:
            yield Study(text(uid), patient, name, (accession,) if accession else ())


def _manipulated(request: Any, context: PresentationContext) -> Iterator[Study]:
    """Of a DIMSE-N request: the studies and the patient in its data set, and the instance that it is about; of
    storage commitment those that are to be kept."""
    octets = _data_set(request)
    if octets is None:
        yield from _alone(request)
        return
    found = _decoded(octets, context)
    patient, name = _value(found, "PatientID"), _value(found, "PatientName")
    instances = list(islice(_referenced(found), MAX_INSTANCES)) or list(_own(request))
    classes = study_of(instances).sop_classes if instances else ()
    for uid, numbers in _studies(found).items():
        yield Study(uid, patient, name, tuple(islice(numbers, MAX_ACCESSIONS)), classes)


def _studies(found: Dataset) -> dict[str, dict[str, None]]:
    """The accession numbers of each study that a data set names; one study at least, though its UID is not known."""
    items = [found, *(item for word in _STUDY_SEQUENCES for item in found.get(word) or ())]
    studies: dict[str, dict[str, None]] = {}
    for item in items:
        for uid in _values(item, "StudyInstanceUID"):
            studies.setdefault(text(uid), {}).update(dict.fromkeys(filter(None, [_value(item, "AccessionNumber")])))
    return studies or {"": {}}


def _alone(request: Any) -> tuple[Study, ...]:
    """The instance that a DIMSE-N request is about, of whose study it says nothing."""
    return grouped(_own(request))


def _own(request: Any) -> Iterator[Instance]:
    if request.msg_type.startswith("N-"):
        sop_class, sop_instance = (_uid(request, kind) for kind in ("SOPClassUID", "SOPInstanceUID"))
        yield Instance(sop_class=sop_class, sop_instance=sop_instance)


def _uid(request: Any, kind: str) -> str:
    return str(getattr(request, f"Requested{kind}", None) or getattr(request, f"Affected{kind}", None) or "")


def _referenced(found: Dataset) -> Iterator[Instance]:
    for word in _INSTANCE_SEQUENCES:
        for each in found.get(word) or ():
            sop_class, sop_instance = _value(each, "ReferencedSOPClassUID"), _value(each, "ReferencedSOPInstanceUID")
            yield Instance(sop_class=sop_class, sop_instance=sop_instance)


def _values(found: Dataset, word: str) -> list[str]:
    value = found.get(word) or ""
    return [each for each in ([value] if isinstance(value, str) else value) if each]


def _value(found: Dataset, word: str) -> str:
    """A value as it came, also where there are several in place of one (PS3.5 6.2)."""
    value = found.get(word) or ""
    return text("\\".join(map(str, value)) if isinstance(value, MultiValue) else value)


def _literal(found: Dataset, word: str) -> str:
    """A value that matches nothing but itself (PS3.4 C.2.2.2.4)."""
    value = _value(found, word)
    return "" if set(value) & set("*?\\") else value
