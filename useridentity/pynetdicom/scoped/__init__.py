"""The scope of an association's user, kept on every request of it.

Served under a scope are C-FIND, C-MOVE and C-GET in Patient Root and Study Root, C-FIND of Modality Worklist, and
what only brings something in: C-ECHO, C-STORE, N-CREATE and N-SET of MPPS, N-ACTION of storage commitment, and
notifications. Anything else could show what nobody has decided about, and is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.presentation import PresentationContext

from useridentity.decision import Accepted
from useridentity.pynetdicom.requests import NOT_AUTHORIZED, NOT_PERMITTED
from useridentity.pynetdicom.scoped.find import Rows, rows
from useridentity.pynetdicom.scoped.lookup import (
    LookupEvent,
    Studies,
    StudyLookup,
    Undecided,
    asking_the_application,
    code_of,
    has_gone,
)
from useridentity.pynetdicom.scoped.models import (
    LEVELS,
    WORKLIST_FIND,
    Unsound,
    check_worklist_query,
    query_level,
    retrieval,
    unique_key,
)
from useridentity.pynetdicom.scoped.retrieve import PRELIMINARIES, instances, is_of, studies_of
from useridentity.pynetdicom.scoped.values import values_of
from useridentity.scope import BoundScope

if TYPE_CHECKING:
    from useridentity.pynetdicom.service import ServingAssociation

__all__ = ["Refusal", "ScopeOfEvent", "Scoping", "StudyLookup"]

LOGGER = logging.getLogger("useridentity.pynetdicom")

_MPPS, _COMMITMENT = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.1.20.1"

BRINGS_IN: Mapping[str, frozenset[str] | None] = MappingProxyType(
    {
        "C-ECHO": None,
        "N-EVENT-REPORT": None,
        "N-CREATE": frozenset({_MPPS}),
        "N-SET": frozenset({_MPPS}),
        "N-ACTION": frozenset({_COMMITMENT}),
    }
)
"""Requests that show nothing of any study, and the SOP classes of which that holds; None for all."""

_EVENTS = {"C-FIND": evt.EVT_C_FIND, "C-MOVE": evt.EVT_C_MOVE, "C-GET": evt.EVT_C_GET, "C-STORE": evt.EVT_C_STORE}


class Refusal(NamedTuple):
    """How a request is refused: a status, an Error Comment for the peer, and what only the log is told."""

    status: int
    comment: str
    detail: str


def _not_authorized(detail: str) -> Refusal:
    return Refusal(NOT_AUTHORIZED, NOT_PERMITTED, detail)


def _unsound(detail: str) -> Refusal:
    return Refusal(0xA900, "the identifier lacks what a scoped query needs", detail)  # PS3.4 Table C.4-1


class Scoping:
    """What a scope means for one association."""

    def __init__(self, assoc: ServingAssociation, accepted: Accepted, lookup: StudyLookup | None = None) -> None:
        scope = accepted.permission.scope
        assert scope is not None  # noqa: S101  made only where there is one
        self.accepted = accepted
        self.bound = scope.bind(accepted.identity)
        self._assoc = assoc
        ask = lookup or asking_the_application(assoc)
        self._studies = Studies(self.bound, ask)
        self._storable = self.bound.of_studies
        self._joined = Studies(self._storable, ask) if self.bound.is_of_worklists else self._studies
        self._handled: WeakSet[evt.Event] = WeakSet()
        self._wrappers: Mapping[Any, Callable[..., Any]] = {
            evt.EVT_C_FIND: self._find,
            evt.EVT_C_MOVE: partial(self._retrieve, "C-MOVE"),
            evt.EVT_C_GET: partial(self._retrieve, "C-GET"),
            **dict.fromkeys((evt.EVT_C_ECHO, evt.EVT_C_STORE), _status),
            **dict.fromkeys((evt.EVT_N_CREATE, evt.EVT_N_SET, evt.EVT_N_ACTION, evt.EVT_N_EVENT_REPORT), _reply),
        }

    def refuses(self, request: Any, context: PresentationContext) -> Refusal | None:
        """How `request` is refused before any handler runs; None where it is served."""
        kind, sop_class = request.msg_type, _sop_class(request)
        if _only_brings_in(kind, sop_class):
            return None
        self._studies.forget_patients()
        if kind not in _EVENTS:
            return _not_authorized(f"{kind} of {sop_class} under a scope")
        try:
            return self._judge(kind, sop_class, request, context)
        except Unsound as error:
            return _unsound(str(error))
        except Undecided:
            return _not_authorized("the lookup of studies failed")
        except Exception as error:
            # pydicom decodes late, so that any access to what a peer sent may raise anything.
            LOGGER.debug("the data set of the %s", kind, exc_info=True)
            return _unsound(f"the data set of the {kind} cannot be read: {type(error).__name__}")

    def _judge(self, kind: str, sop_class: str, request: Any, context: PresentationContext) -> Refusal | None:
        event = evt.Event(self._assoc, _EVENTS[kind], {"request": request, "context": context.as_tuple})
        if kind == "C-STORE":
            return None if self._may_store(event.dataset) else _not_authorized("C-STORE out of scope")
        if kind == "C-FIND" and sop_class == WORKLIST_FIND:
            check_worklist_query(event.identifier, self.bound)
            return None
        levels = LEVELS.get((kind, sop_class))
        if levels is None:
            return _not_authorized(f"{kind} of {sop_class} under a scope")
        if kind == "C-FIND":
            query_level(event.identifier, levels)
            return None
        reached = studies_of(retrieval(event.identifier, levels), self._studies)
        return None if reached else _not_authorized(f"{kind} out of scope")

    def _may_store(self, instance: Dataset) -> bool:
        """Whether storing `instance` cannot bring another's study into scope, or show that there is one.

        Of a scope of worklists, what studies have too is compared. Where that is nothing, as for a modality scoped by
        its station, no study is ever in scope and there is nothing to gain. A claim that is empty today is another
        thing: tomorrow it may not be.
        """
        mine = self._storable
        if not mine.values:
            return True
        uid = unique_key(instance, "STUDY")
        study = self._joined.study(uid) if uid else None
        return bool(uid) and mine.admits(values_of(instance, mine.values)) and (not study or study.in_scope)

    def guarding(self, event: Any, bound: Any) -> Any:
        """The binding of an event, its handler wrapped where its answer could show a study."""
        wrap = self._wrappers.get(event)
        if wrap is None or not bound or bound[0] is None:
            return bound
        handler, args = bound
        return partial(wrap, handler), args

    def _find(self, handler: Callable[..., Any], event: evt.Event, *args: Any) -> Any:
        keep = self._keep(event)
        answers = handler(event, *args) or ()
        return rows(
            answers,
            lambda row: row if event in self._handled else keep(row),
            lambda: has_gone(self._assoc),
        )

    def _keep(self, event: evt.Event) -> Callable[[Dataset], Dataset | None]:
        found = Rows(self.bound, self._studies)
        sop_class = _sop_class(event.request)
        if sop_class == WORKLIST_FIND:
            return found.worklist_item
        level = query_level(event.identifier, LEVELS["C-FIND", sop_class])
        return found.patient if level == "PATIENT" else found.below_patient

    def _retrieve(self, kind: str, handler: Callable[..., Any], event: evt.Event, *args: Any) -> Any:
        asked = retrieval(event.identifier, LEVELS[kind, _sop_class(event.request)])
        reached = studies_of(asked, self._studies)

        def is_asked_for(instance: Any) -> bool:
            asked_for = is_of(instance, reached, self.bound)
            if not asked_for:
                LOGGER.warning("%s: an instance was withheld from a %s", self.accepted.identity, kind)
            return asked_for

        return instances(handler(event, *args), PRELIMINARIES[kind], is_asked_for)

    def of_event(self, event: evt.Event) -> ScopeOfEvent | None:
        """The scope as a handler of `event` sees it; None for a look-up, which is to see everything."""
        if isinstance(event, LookupEvent):
            return None
        return ScopeOfEvent(self.bound, lambda: self._handled.add(event))


class ScopeOfEvent:
    """The scope of the user that a handler answers."""

    def __init__(self, bound: BoundScope, handle: Callable[[], None]) -> None:
        self._bound = bound
        self._handle = handle

    @property
    def values(self) -> Mapping[str, frozenset[str]]:
        """What each attribute must be one of, by keyword or path; all of them, and with no value none matches."""
        return self._bound.values

    def admits(self, study: Dataset) -> bool:
        """Whether a study, or a worklist item, that has these attributes is in scope."""
        return self._bound.admits(values_of(study, self._bound.values))

    def handled(self) -> None:
        """Say that every row this handler of EVT_C_FIND yields is in scope: none is looked up any more.

        Retrievals are decided and checked all the same.
        """
        self._handle()


def _status(handler: Callable[..., Any], event: evt.Event, *args: Any) -> int:
    """The status of a handler as a number: an Error Comment could tell of what is out of scope."""
    return code_of(handler(event, *args))


def _reply(handler: Callable[..., Any], event: evt.Event, *args: Any) -> tuple[int, Dataset | None]:
    """The status of a handler as a number, without the data set, which may have what was there before.

    The UID of an instance that was created without one must be told (PS3.7 10.1.5.1.4).
    """
    status, dataset = handler(event, *args)
    uid = dataset.get("AffectedSOPInstanceUID") if isinstance(dataset, Dataset) else None
    request: Any = event.request
    if uid is None or event.event is not evt.EVT_N_CREATE or request.AffectedSOPInstanceUID is not None:
        return code_of(status), None
    told = Dataset()
    told.AffectedSOPInstanceUID = uid
    return code_of(status), told


def _only_brings_in(kind: str, sop_class: str) -> bool:
    classes = BRINGS_IN.get(kind, frozenset())
    return classes is None or sop_class in classes


def _sop_class(request: Any) -> str:
    named = getattr(request, "AffectedSOPClassUID", None) or getattr(request, "RequestedSOPClassUID", None)
    return str(named or "")
