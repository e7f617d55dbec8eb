"""Instances that came or went on one association, put together by study as PS3.15 A.5.3.7 wants them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from useridentity.audit.record import Outcome, SopClass, Study, text

MAX_INSTANCES = 1000
"""Instances of one study and outcome in one record; with more there are several records, so that none is huge."""

MAX_STUDIES = 64
"""Studies put together at a time; with more, the one begun first is told."""


class Instance(NamedTuple):
    """What the records say of an instance."""

    study_instance_uid: str = ""
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    sop_class: str = ""
    sop_instance: str = ""


class Transfers:
    """The instances of one association, or of one retrieve. For one thread."""

    def __init__(self) -> None:
        self._studies: dict[tuple[Outcome, str, str], list[Instance]] = {}
        self._begun: set[tuple[str, str]] = set()
        self.number = 0

    def begins(self, instance: Instance) -> bool:
        """Whether this is the first instance of its study, or of many studies; it is noted as begun."""
        key = (instance.study_instance_uid, instance.patient_id)
        if key in self._begun:
            return False
        if len(self._begun) >= MAX_STUDIES:
            self._begun.clear()
        self._begun.add(key)
        return True

    def add(self, instance: Instance, outcome: Outcome) -> Iterator[tuple[Outcome, Study]]:
        """Count an instance; what is to be recorded now because it is enough."""
        self.number += 1
        key = (outcome, instance.study_instance_uid, instance.patient_id)
        self._studies.setdefault(key, []).append(instance)
        if len(self._studies[key]) >= MAX_INSTANCES:
            yield outcome, study_of(self._studies.pop(key))
        elif len(self._studies) > MAX_STUDIES:
            first = next(iter(self._studies))
            yield first[0], study_of(self._studies.pop(first))

    def rest(self) -> Iterator[tuple[Outcome, Study]]:
        """What has not been recorded yet, at the end."""
        while self._studies:
            key = next(iter(self._studies))
            yield key[0], study_of(self._studies.pop(key))


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
        tuple(map(text, accessions)),
        tuple(SopClass(uid, len(found), tuple(found)) for uid, found in classes.items()),
    )
