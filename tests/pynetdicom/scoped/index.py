"""An archive in memory, queried and retrieved from as PS3.4 Annexes C and K have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.sop_class import CTImageStorage, ModalityWorklistInformationFind  # type: ignore[attr-defined]

Attributes = Mapping[str, Any]  # by keyword

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
KEYS = dict(zip(LEVELS, ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), strict=True))
RANGES = ("DA", "TM")
NOT_KEYS = ("QueryRetrieveLevel", "SpecificCharacterSet")


@dataclass(frozen=True)
class Series:
    """A series of so many CT images."""

    attributes: Attributes
    size: int = 1


@dataclass(frozen=True)
class Study:
    """A study; all studies of a patient share the patient's attributes."""

    patient: Attributes
    attributes: Attributes
    series: Sequence[Series] = ()
    stored_patient: Attributes | None = None  # what the instances still say, where patients were merged since

    @property
    def uid(self) -> str:
        return str(self.attributes["StudyInstanceUID"])

    @property
    def own(self) -> Attributes:
        modalities = sorted({each.attributes["Modality"] for each in self.series})
        return {
            **self.attributes,
            "ModalitiesInStudy": modalities,
            "NumberOfStudyRelatedSeries": len(self.series),
            "NumberOfStudyRelatedInstances": sum(each.size for each in self.series),
        }


@dataclass
class Index:
    """An archive's index, and the handlers that answer from it.

    `patients` are those without studies. `asked` are the identifiers of all queries, those made to look studies up
    among them; `retrieved` those of retrievals.
    """

    studies: Sequence[Study] = ()
    worklist: Sequence[Dataset] = ()
    destinations: dict[str, tuple[str, int]] = field(default_factory=dict)
    patients: Sequence[Attributes] = ()
    asked: list[Dataset] = field(default_factory=list)
    retrieved: list[Dataset] = field(default_factory=list)
    _indexes: dict[str, dict[str, list[Study]]] = field(default_factory=dict, init=False, repr=False)

    def only(self, belongs: Callable[[Study], bool]) -> Index:
        """The index that holds these studies and their patients, and no other."""
        return Index([study for study in self.studies if belongs(study)], self.worklist, self.destinations)

    @property
    def handlers(self) -> list[Any]:
        return [(evt.EVT_C_FIND, self.on_find), (evt.EVT_C_GET, self.on_get), (evt.EVT_C_MOVE, self.on_move)]

    # C-FIND

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        identifier = event.identifier
        self.asked.append(identifier)
        if event.request.AffectedSOPClassUID == ModalityWorklistInformationFind:
            rows = iter(self._items(identifier))
        else:
            rows = self.find(identifier)
        for row in rows:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, row

    def find(self, identifier: Dataset) -> Iterator[Dataset]:
        """The rows that match."""
        level = LEVELS.index(identifier.QueryRetrieveLevel)
        for entity in self._entities(level, identifier):
            if all(_matches(element, entity.get(element.keyword)) for element in identifier):
                yield _row(identifier, entity)

    def _entities(self, level: int, identifier: Dataset) -> Iterator[Attributes]:
        counted = [keyword for keyword in _COUNTS if keyword in identifier]
        if level == 0:
            patients = {_identity(each): each for each in [*(study.patient for study in self.studies), *self.patients]}
            yield from (self._counted(patient, patient, counted) for patient in patients.values())
            return
        for study in self._candidates(identifier):
            entity = self._counted(study.patient, {**study.patient, **study.own}, counted)
            if level == 1:
                yield entity
            else:
                yield from (each for each in _below(study, entity, level))

    def _candidates(self, identifier: Dataset) -> Iterable[Study]:
        """The studies that can match: found by UID or Patient ID where one is asked for, as in any database."""
        for keyword in ("StudyInstanceUID", "PatientID"):
            value = identifier.get(keyword)
            if isinstance(value, str) and value and not set(value) & set("*?"):
                return self._by(keyword).get(value, ())
        return self.studies

    def _by(self, keyword: str) -> dict[str, list[Study]]:
        if keyword not in self._indexes:
            found = self._indexes[keyword] = {}
            for study in self.studies:
                found.setdefault({**study.patient, **study.attributes}[keyword], []).append(study)
        return self._indexes[keyword]

    def _counted(self, patient: Attributes, entity: Attributes, counted: Sequence[str]) -> Attributes:
        if not counted:
            return entity
        of_id = self._by("PatientID").get(patient["PatientID"], ())
        own = [each.own for each in of_id if _identity(each.patient) == _identity(patient)]
        return {**entity, **{keyword: _COUNTS[keyword](own) for keyword in counted}}

    def _items(self, identifier: Dataset) -> Iterator[Dataset]:
        for item in self.worklist:
            if all(_item_matches(element, item) for element in identifier):
                yield _asked_of(identifier, item)

    # Retrieval

    def on_get(self, event: evt.Event) -> Iterator[Any]:
        self.retrieved.append(event.identifier)
        instances = list(self.instances(event.identifier))
        yield len(instances)
        yield from ((0xFF00, instance) for instance in instances)

    def on_move(self, event: evt.Event) -> Iterator[Any]:
        yield self.destinations.get(event.move_destination or "", (None, None))
        yield from self.on_get(event)

    def instances(self, identifier: Dataset) -> Iterator[Dataset]:
        """The instances to send, made where they are asked for."""
        for study in self.studies:
            stored = {**(study.stored_patient or study.patient), **study.attributes}
            for entity in _below(study, stored, 3):
                if all(_matches(element, entity.get(element.keyword)) for element in identifier):
                    yield instance(entity)


_COUNTS: Mapping[str, Callable[[Sequence[Attributes]], int]] = {
    "NumberOfPatientRelatedStudies": len,
    "NumberOfPatientRelatedSeries": lambda own: sum(each["NumberOfStudyRelatedSeries"] for each in own),
    "NumberOfPatientRelatedInstances": lambda own: sum(each["NumberOfStudyRelatedInstances"] for each in own),
}


def instance(entity: Attributes) -> Dataset:
    """A CT image, as far as a C-STORE needs one."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = entity.get("SpecificCharacterSet", "ISO_IR 192")
    for keyword, value in entity.items():
        if keyword not in ("SpecificCharacterSet", "ModalitiesInStudy"):
            setattr(dataset, keyword, value)
    dataset.SOPClassUID = CTImageStorage
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def _identity(patient: Attributes) -> tuple[str, str]:
    return patient["PatientID"], patient.get("IssuerOfPatientID", "")


def _below(study: Study, entity: Attributes, level: int) -> Iterator[Attributes]:
    for series in study.series:
        merged = {**entity, **series.attributes}
        if level == 2:
            yield merged
            continue
        for number in range(1, series.size + 1):
            uid = f"{series.attributes['SeriesInstanceUID']}.{number}"
            yield {**merged, "SOPInstanceUID": uid, "InstanceNumber": number}


def _row(identifier: Dataset, entity: Attributes) -> Dataset:
    row = Dataset()
    row.SpecificCharacterSet = entity.get("SpecificCharacterSet", "ISO_IR 192")
    row.QueryRetrieveLevel = identifier.QueryRetrieveLevel
    for element in identifier:
        if element.keyword not in NOT_KEYS:
            value = entity.get(element.keyword)
            row.add(DataElement(element.tag, element.VR, None if value in ("", []) else value))
    return row


def _matches(key: DataElement, value: Any) -> bool:
    """Whether a value matches, in all the ways of PS3.4 C.2.2.2."""
    if key.keyword in NOT_KEYS or key.is_empty or key.VR == "SQ":
        return True
    values = [str(each) for each in (value if isinstance(value, list | tuple) else [value]) if each not in (None, "")]
    wanted = [str(each) for each in (key.value if key.VM > 1 else [key.value])]
    return any(_is(key.VR, one, each) for one in wanted for each in values)


def _is(vr: str, wanted: str, value: str) -> bool:
    if vr in RANGES and "-" in wanted:
        first, _, last = wanted.partition("-")
        return (not first or first <= value) and (not last or value <= last)
    if vr == "PN":  # case does not matter, and one component group suffices
        groups = [group for group in [value, *value.split("=")] if group]
        return any(_like(wanted.lower(), group.lower()) for group in groups)
    return wanted == value if vr in ("UI", *RANGES) else _like(wanted, value)


def _like(wanted: str, value: str) -> bool:
    pattern = re.escape(wanted).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def _item_matches(key: DataElement, item: Dataset) -> bool:
    if key.VR != "SQ":
        return _matches(key, item.get(key.keyword))
    wanted, found = key.value, item.get(key.keyword) or []
    return not wanted or any(all(_item_matches(each, inner) for each in wanted[0]) for inner in found)


def _asked_of(identifier: Dataset, item: Dataset) -> Dataset:
    """What a worklist query asks for of an item; all of it where it asks for a sequence without an item."""
    row = Dataset()
    if "SpecificCharacterSet" in item:
        row.SpecificCharacterSet = item.SpecificCharacterSet
    for key in identifier:
        if key.keyword in NOT_KEYS:
            continue
        value = item.get(key.keyword)
        if key.VR == "SQ" and key.value:
            value = [_asked_of(key.value[0], inner) for inner in value or []]
        row.add(DataElement(key.tag, key.VR, value))
    return row
