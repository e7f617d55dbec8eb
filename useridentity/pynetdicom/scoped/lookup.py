"""Which studies are in scope, asked of the index behind the application."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContextTuple

from useridentity.pynetdicom.scoped.models import COUNTS, STUDY_ROOT_FIND, unique_key
from useridentity.pynetdicom.scoped.values import texts, values_of
from useridentity.scope import BoundScope

if TYPE_CHECKING:
    from useridentity.pynetdicom.service import ServingAssociation

LOGGER = logging.getLogger("useridentity.pynetdicom")

SUCCESS, PENDING = 0x0000, (0xFF00, 0xFF01)  # PS3.4 Table C.4-1

MAX_STUDIES = 8192
"""Studies kept for an association, about 1 KB each: more than a user looks at in one."""

MAX_PATIENTS = 256
"""Patients whose studies are kept, each with the attributes asked for."""

PATIENT = ("PatientID", "IssuerOfPatientID")
"""What tells patients apart."""

StudyLookup = Callable[[Dataset], Iterable[Dataset]]
"""Answers the identifier of a C-FIND at STUDY level in Study Root (PS3.4 C.6.2): the studies that match its one key,
StudyInstanceUID or PatientID, each with the attributes that the identifier has. May raise anything where it cannot."""


class Undecided(Exception):
    """Whether a study is in scope cannot be told now."""


class Study(NamedTuple):
    """A study of the index, whether it is in scope, and what the index says of it, by keyword.

    Text, not the data set that came: a handler may fill the same one for the next answer.
    """

    uid: str
    in_scope: bool
    said: Mapping[str, tuple[str, ...]]


K = TypeVar("K")
V = TypeVar("V")


class Bounded(OrderedDict[K, V], Generic[K, V]):
    """A mapping that forgets its oldest entry when it is full."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        if len(self) > self._size:
            self.popitem(last=False)


class Studies:
    """What one association has learnt about studies; each is looked up once, a patient once for each request."""

    def __init__(self, bound: BoundScope, ask: StudyLookup) -> None:
        self._bound = bound
        self._ask = ask
        self._known: Bounded[str, Study] = Bounded(MAX_STUDIES)
        self._patients: Bounded[tuple[str, frozenset[str]], tuple[Study, ...]] = Bounded(MAX_PATIENTS)

    def in_scope(self, uid: str) -> Study | None:
        """The study with this UID if the index knows it, and it is in scope; raises `Undecided`."""
        study = self.study(uid) if uid and self._bound.reaches_studies else None
        return study if study is not None and study.in_scope else None

    def study(self, uid: str) -> Study | None:
        """The study with this UID; None where the index knows none. Raises `Undecided`.

        One that is not known is asked for again next time: it may be stored meanwhile.
        """
        if uid not in self._known:
            found = self._asked("StudyInstanceUID", uid)
            if found:
                # Where the index contradicts itself, the study is in scope only if every answer says so.
                worst = min(found, key=lambda study: study.in_scope)
                self._known[uid] = worst._replace(
                    said={word: worst.said[word] for word in PATIENT if word in worst.said}
                )
        return self._known.get(uid)

    def of_patient(self, patient_id: str, more: Iterable[str] = ()) -> tuple[Study, ...]:
        """All studies with this Patient ID, whoever issued it, with the attributes `more`; raises `Undecided`."""
        keywords = frozenset(more)
        known = self._patients.get((patient_id, keywords))
        if known is None:
            known = tuple(self._asked("PatientID", patient_id, keywords))
            if known:
                self._patients[patient_id, keywords] = known
        return known

    def forget_patients(self) -> None:
        """Ask anew which studies a patient has, as each request does: one may be stored meanwhile."""
        self._patients.clear()

    def _asked(self, key: str, value: str, more: Iterable[str] = ()) -> list[Study]:
        """The studies that have this value, whatever else is answered."""
        keywords = frozenset(("StudyInstanceUID", *PATIENT, *self._bound.values, *more))
        try:
            answers = self._ask(_identifier(keywords, key, value))
            judged = (self._judged(answer, keywords) for answer in answers)
            return [study for study in judged if study.said.get(key) == (value,)]
        except Exception as error:
            # The text of an application's exception may hold what it is about.
            LOGGER.warning("the lookup of studies failed: %s", type(error).__name__)
            raise Undecided from error

    def _judged(self, answer: Dataset, keywords: frozenset[str]) -> Study:
        """The study of an answer; what was not asked for is not read."""
        if not isinstance(answer, Dataset):
            raise TypeError("the lookup has answered with what is no data set")
        uid = unique_key(answer, "STUDY")
        admitted = bool(uid) and self._bound.admits(values_of(answer, self._bound.values))
        return Study(uid, admitted, {keyword: texts(answer, keyword) for keyword in keywords if keyword in answer})


def _identifier(keywords: Iterable[str], key: str, value: str) -> Dataset:
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    identifier.QueryRetrieveLevel = "STUDY"
    for keyword in keywords:
        # Unjudged: UIDs that PS3.5 9.1 does not allow are in many archives.
        asked = value if keyword == key else None
        identifier.add(DataElement(keyword, dictionary_VR(keyword), asked, validation_mode=config.IGNORE))
    return identifier


class LookupEvent(evt.Event):
    """A C-FIND that no peer has sent: it is of no scope, or a handler that filters itself would hide what is asked."""


def has_gone(assoc: ServingAssociation) -> bool:
    """Whether the association was aborted, or its connection has ended.

    A release that the peer asks for meanwhile is left to be answered: pynetdicom forgets one that it is asked about,
    and sees no abort that comes behind it.
    """
    return assoc.acse.is_aborted() or assoc.dul.state_machine.current_state == "Sta1"


def asking_the_application(assoc: ServingAssociation) -> StudyLookup:
    """A lookup by the application's own handler of EVT_C_FIND, as if the peer had asked it at STUDY level."""

    def ask(identifier: Dataset) -> Iterator[Dataset]:
        handler, args = Association.get_handlers(assoc, evt.EVT_C_FIND)
        event = LookupEvent(assoc, evt.EVT_C_FIND, _request(identifier))
        for status, row in handler(event, *(args or ())) or ():  # type: ignore[operator]
            if has_gone(assoc):
                raise Undecided("nobody waits for the answer")
            code = code_of(status)
            if code not in PENDING:
                if code != SUCCESS:
                    raise Undecided(f"the handler answered {code:04X}H")
                return
            yield row

    return ask


def _request(identifier: Dataset) -> dict[str, Any]:
    """The attributes of an event of a C-FIND that no peer has sent; nobody can cancel it."""
    encoded = encode(identifier, True, True)
    if encoded is None:  # an empty identifier in its place would ask for everything
        raise Undecided("the identifier of the look-up cannot be encoded")
    request = C_FIND()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = UID(STUDY_ROOT_FIND)
    request.Identifier = BytesIO(encoded)
    context = PresentationContextTuple(1, UID(STUDY_ROOT_FIND), ImplicitVRLittleEndian)
    return {"request": request, "context": context, "_is_cancelled": lambda _message_id: False}


def code_of(status: int | Dataset) -> int:
    """The number of a status as a handler yields it; what else it says (PS3.7 C) stays behind."""
    return int(status.Status if isinstance(status, Dataset) else status)


def count(studies: Sequence[Study], keyword: str) -> int | None:
    """One of `COUNTS` over `studies`; None where the index does not say."""
    if not COUNTS[keyword]:
        return len(studies)
    said = [study.said.get(COUNTS[keyword], ()) for study in studies]
    return sum(int(each[0]) for each in said) if all(len(each) == 1 and each[0].isdecimal() for each in said) else None
