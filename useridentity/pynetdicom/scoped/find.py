"""The rows of a C-FIND that a user sees: those whose study is in scope."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence, Set
from copy import deepcopy
from functools import lru_cache
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from useridentity.pynetdicom.scoped.lookup import MAX_PATIENTS, PENDING, Studies, Study, code_of, count
from useridentity.pynetdicom.scoped.models import BESIDE_A_PATIENT, COUNTS, OF_A_PATIENT, unique_key
from useridentity.pynetdicom.scoped.values import UNDECODED, texts, values_of
from useridentity.scope import BoundScope

Row = tuple[int, Dataset | None]
Keep = Callable[[Dataset], Dataset | None]
"""What the user sees of a row; None for nothing."""

ISSUER = "IssuerOfPatientID"


def rows(answers: Iterable[Any], keep: Keep, is_over: Callable[[], bool]) -> Iterator[Row]:
    """The answers of a handler of EVT_C_FIND with the rows that `keep` leaves.

    Statuses pass as numbers: an Error Comment of the handler's could tell of rows that are withheld. `is_over` is
    asked where nothing is yielded, by which pynetdicom would learn that the peer has gone.
    """
    for status, row in answers:
        code = code_of(status)
        if code not in PENDING:
            yield code, None
        elif (kept := keep(row)) is not None:
            yield code, kept
        elif is_over():
            return


class Rows:
    """What one C-FIND may show: each row is decided by its study, which is looked up."""

    def __init__(self, bound: BoundScope, studies: Studies) -> None:
        self._bound = bound
        self._studies = studies
        self._shown: Counter[int] = Counter()
        self._counts = lru_cache(MAX_PATIENTS)(self._counted)  # a patient has a row for each study

    def below_patient(self, row: Dataset) -> Dataset | None:
        """A row at STUDY level or below: kept if its study is in scope, and it does not say otherwise itself."""
        row = _copied(row)
        study = self._studies.in_scope(unique_key(row, "STUDY"))
        if study is None or self._bound.contradicts(values_of(row, self._bound.values)):
            return None
        return self._recounted(row, study)

    def patient(self, row: Dataset) -> Dataset | None:
        """A row at PATIENT level: kept if one of the patient's studies is in scope and says what the row says.

        Another patient may have the same ID from another issuer, and a study out of scope another name of the same
        patient. Or a patient may have no study yet, so that this is so as well where all studies with the ID are in
        scope. What the index says of no study tells nobody apart: it is left out unless all studies are in scope.
        """
        row = _copied(row)
        patient_id = texts(row, "PatientID")  # with a wildcard more is looked up than counts
        if len(patient_id) != 1 or not self._bound.reaches_studies:
            return None
        if self._bound.contradicts(values_of(row, self._bound.values)):
            return None
        keywords = set(map(_keyword, row.keys())) - {"", *BESIDE_A_PATIENT, *COUNTS}
        studies = self._studies.of_patient(*patient_id, keywords)
        answered = {ISSUER}.union(*(study.said for study in studies))
        told = {word: value for word, value in values_of(row, keywords).items() if word in answered or not value}
        mine = [each for each in studies if each.in_scope and all(_says(each, *what) for what in told.items())]
        patient = self._next_patient(mine, told) if mine else None
        if patient is None:
            return None
        if not all(study.in_scope for study in studies):
            _keep_only({*told, *BESIDE_A_PATIENT, *COUNTS}, row)
        return self._recounted(row, patient)

    def worklist_item(self, row: Dataset) -> Dataset | None:
        """An item of a worklist, kept if it is in scope itself."""
        return row if self._bound.admits(values_of(row, self._bound.values)) else None

    def _next_patient(self, mine: Sequence[Study], told: Mapping[str, tuple[str, ...]]) -> Study | None:
        """A study of whom the next row with this content is about: one for each issuer of the ID, and no more."""
        content = hash(frozenset(told.items()))  # a number, for there may be a million patients
        patients = {study.said.get(ISSUER): study for study in reversed(mine)}
        shown, self._shown[content] = self._shown[content], self._shown[content] + 1
        return list(reversed(patients.values()))[shown] if shown < len(patients) else None

    def _recounted(self, row: Dataset, study: Study) -> Dataset:
        """`row` with counts over those of the patient's studies that are in scope."""
        if any(keyword in row for keyword in COUNTS):
            counts = self._counts(study.said.get("PatientID", ()), study.said.get(ISSUER))
            for keyword, counted in counts.items():
                if keyword in row:
                    row.add(DataElement(keyword, "IS", counted))
        return row

    def _counted(self, patient_id: tuple[str, ...], issuer: tuple[str, ...] | None) -> Mapping[str, int | None]:
        """The counts of a patient that are to be told instead of the handler's.

        Where the index does not count, they are emptied, unless all studies are in scope.
        """
        asked = [each for each in COUNTS.values() if each]
        studies = self._studies.of_patient(patient_id[0], asked) if len(patient_id) == 1 else ()
        whole = bool(studies) and all(each.in_scope for each in studies)
        mine = [each for each in studies if each.in_scope and each.said.get(ISSUER) == issuer]
        counts = {keyword: count(mine, keyword) if mine else None for keyword in COUNTS}
        return {keyword: counted for keyword, counted in counts.items() if counted is not None or not whole}


def _copied(row: Dataset) -> Dataset:
    """What `row` says now: the handler may fill it again for others, and is asked itself in a look-up.

    What nobody has read yet stays unread, so that a row is withheld whatever else is wrong with it.
    """
    copied = Dataset({tag: _own(row.get_item(tag)) for tag in row.keys()})  # noqa: SIM118  which would read them
    is_implicit, is_little_endian = row.original_encoding
    copied.set_original_encoding(is_implicit, is_little_endian, row.original_character_set)
    return copied


def _own(element: DataElement | RawDataElement) -> DataElement | RawDataElement:
    """`element` as nobody else can change it."""
    if isinstance(element, RawDataElement):
        return element
    value = deepcopy(element.value) if isinstance(element.value, MutableSequence) else element.value
    return DataElement(element.tag, element.VR, value, already_converted=True)


def _keep_only(keywords: Set[str], row: Dataset) -> None:
    """Leave all else out of `row`; what it holds is not read."""
    for tag in [tag for tag in row.keys() if _keyword(tag) not in keywords]:  # noqa: SIM118  which would read them
        del row[tag]


def _keyword(tag: BaseTag) -> str:
    return dictionary_keyword(tag) if dictionary_has_tag(tag) else ""


def _says(study: Study, keyword: str, value: tuple[str, ...]) -> bool:
    """Whether the index says of `study` what a row says of this attribute.

    What is empty says something where it is the patient's; of a study nothing is told then.
    """
    is_same = study.said.get(keyword, ()) == value != (UNDECODED,)
    return is_same or (not value and keyword not in OF_A_PATIENT)
