"""Instances that came or went on one association, put together by study as PS3.15 A.5.3.7 wants them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from useridentity.audit.record import Outcome, SopClass, Study, text

MAX_INSTANCES = 1000
"""Instances of one study and outcome in one record; with more there are several records, so that none is huge."""

MAX_STUDIES = 64
"""Studies put together at a time; with more, the one begun first is told."""

MAX_ACCESSIONS = 64
"""Accession numbers of one study in one record: a study has one, or those of the few orders that it fulfils."""


class Instance(NamedTuple):
    """What the records say of an instance."""

    study_instance_uid: str = ""
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    sop_class: str = ""
    sop_instance: str = ""

    @property
    def study(self) -> tuple[str, str, str]:
        """What tells its study from others; without an id, patients are told by their names."""
        return self.study_instance_uid, self.patient_id, "" if self.patient_id else self.patient_name


class Part(NamedTuple):
    """What is to be recorded of one study: `time` is when the last of the instances had been transferred, which is
    when a message says it was (Table A.5.3.7-1)."""

    outcome: Outcome
    study: Study
    time: datetime


@dataclass(slots=True)
class _Group:
    """Instances of one study and outcome, of which nothing has been told yet."""

    outcome: Outcome
    instances: list[Instance] = field(default_factory=list)
    time: datetime = datetime.min

    def add(self, instance: Instance) -> None:
        self.instances.append(instance)
        self.time = datetime.now(UTC)

    def told(self) -> Part:
        return Part(self.outcome, study_of(self.instances), self.time)


class Transfers:
    """The instances of one association, or of one retrieve. For one thread, but for `pending`."""

    def __init__(self) -> None:
        self._groups: dict[tuple[Outcome, tuple[str, str, str]], _Group] = {}
        self._begun: set[tuple[str, str, str]] = set()
        self.number = 0

    def has_begun(self, instance: Instance) -> bool:
        """Whether the study of this instance was noted as begun, and not many others since."""
        return instance.study in self._begun

    def begin(self, instance: Instance) -> None:
        """Note its study as begun."""
        if len(self._begun) >= MAX_STUDIES:
            self._begun.clear()
        self._begun.add(instance.study)

    def add(self, instance: Instance, outcome: Outcome) -> Iterator[Part]:
        """Count an instance; what is to be recorded now because it is enough."""
        self.number += 1
        key = outcome, instance.study
        group = self._groups.setdefault(key, _Group(outcome))
        group.add(instance)
        if len(group.instances) >= MAX_INSTANCES:
            yield self._groups.pop(key).told()
        elif len(self._groups) > MAX_STUDIES:
            yield self._groups.pop(next(iter(self._groups))).told()

    def rest(self) -> Iterator[Part]:
        """What has not been recorded yet, at the end."""
        while self._groups:
            yield self._groups.pop(next(iter(self._groups))).told()

    def pending(self) -> Iterator[Instance]:
        """The instances that were transferred, of which nothing has been told yet."""
        for group in tuple(self._groups.values()):
            if group.outcome is Outcome.SUCCESS:
                yield from tuple(group.instances)


def grouped(instances: Iterable[Instance]) -> tuple[Study, ...]:
    """The instances by study."""
    studies: dict[tuple[str, str, str], list[Instance]] = {}
    for each in instances:
        studies.setdefault(each.study, []).append(each)
    return tuple(map(study_of, studies.values()))


def instances_of(study: Study) -> Iterator[Instance]:
    """The instances that a record of `study` names: the contrary of `study_of`."""
    for sop_class in study.sop_classes:
        for uid in sop_class.instances:
            accession = next(iter(study.accession_numbers), "")
            yield Instance(
                study.study_instance_uid, study.patient_id, study.patient_name, accession, sop_class.uid, uid
            )


def study_of(instances: list[Instance]) -> Study:
    """One study, from the instances of it."""
    classes: dict[str, list[str]] = {}
    for each in instances:
        classes.setdefault(each.sop_class, []).append(each.sop_instance)
    accessions = dict.fromkeys(each.accession_number for each in instances if each.accession_number)
    first = instances[0]
    return Study(
        text(first.study_instance_uid),
        text(first.patient_id),
        text(first.patient_name),
        _texts(islice(accessions, MAX_ACCESSIONS)),
        tuple(SopClass(text(uid), len(found), _texts(found)) for uid, found in classes.items()),
    )


def created_as(uid: str, studies: Iterable[Study]) -> tuple[Study, ...]:
    """`studies` of an instance that was created, with its UID where the request had left that open."""
    return tuple(
        replace(
            study,
            sop_classes=tuple(
                each if each.instances else replace(each, instances=(uid,)) for each in study.sop_classes
            ),
        )
        for study in studies
    )


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(text(value) for value in values if value)
