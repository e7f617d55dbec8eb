"""C-MOVE and C-GET under a scope: decided before the handler runs, and each instance that it yields once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from pydicom import Dataset

from useridentity.pynetdicom.scoped.lookup import PENDING, Studies, code_of
from useridentity.pynetdicom.scoped.models import Retrieval, unique_key
from useridentity.pynetdicom.scoped.values import values_of
from useridentity.scope import BoundScope

PRELIMINARIES = {"C-MOVE": 2, "C-GET": 1}
"""What a handler yields before instances: the destination of a C-MOVE, and the number of sub-operations."""


def studies_of(asked: Retrieval, studies: Studies) -> frozenset[str]:
    """The UIDs of the studies that `asked` reaches; none unless all are in scope. Raises `lookup.Undecided`.

    All studies with a Patient ID are the patient's, whoever issued it: a retrieval cannot name the issuer.
    """
    uids = asked.studies or [study.uid for study in studies.of_patient(asked.patient_id)]
    return frozenset(uids) if all(map(studies.in_scope, uids)) else frozenset()


def instances(
    answers: Iterable[Any], preliminaries: int, is_asked_for: Callable[[Any], bool]
) -> Iterator[Any | tuple[int, Dataset | None]]:
    """The answers of a handler of EVT_C_MOVE or EVT_C_GET without instances that were not asked for.

    In place of one that is withheld comes a data set that cannot be sent: the sub-operation counts as failed, with
    no UID that could be listed (PS3.4 C.4.2.1.6). Statuses pass as numbers, for the same reason.
    """
    answers = iter(answers)
    yield from islice(answers, preliminaries)
    for status, instance in answers:
        code = code_of(status)
        if code not in PENDING:
            yield code, None
        elif not instance or is_asked_for(instance):
            yield code, instance
        else:
            yield code, _unsendable()


def is_of(instance: Any, asked: frozenset[str], bound: BoundScope) -> bool:
    """Whether an instance is of one of the studies `asked` for, and does not say that it is out of scope."""
    if not isinstance(instance, Dataset) or unique_key(instance, "STUDY") not in asked:
        return False
    return not bound.contradicts(values_of(instance, bound.values))


def _unsendable() -> Dataset:
    """A data set without SOP Class and SOP Instance UID, which pynetdicom refuses to send; empty it would skip it."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset
