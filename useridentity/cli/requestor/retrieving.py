"""C-GET and C-MOVE: sub-operations counted while they go on, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import typer
from pydicom import Dataset
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import StoragePresentationContexts, build_context, build_role, evt

from useridentity.cli.requestor.files import is_uid
from useridentity.cli.requestor.identifier import cell
from useridentity.cli.requestor.interrupt import Stop
from useridentity.cli.requestor.keeping import Folder
from useridentity.cli.requestor.models import GET, MOVE, Model
from useridentity.cli.requestor.outcome import Status
from useridentity.cli.requestor.output import Meter
from useridentity.cli.requestor.peer import Target
from useridentity.cli.requestor.session import association, cancelling, status_of

if TYPE_CHECKING:
    from pynetdicom.association import Association

MAX_STORAGE = 127
"""SOP classes that can be had by C-GET on one association: 128 contexts, less the one to ask on."""


@dataclass(slots=True)
class Counts:
    """Sub-operations (PS3.7 9.1.3.1.6): what the peer says of them."""

    completed: int = 0
    failed: int = 0
    warning: int = 0
    remaining: int = 0
    status: Status = field(default_factory=lambda: Status(0))
    failed_instances: list[str] = field(default_factory=list)

    @property
    def is_refused(self) -> bool:
        """Whether the peer did nothing of it."""
        return not (self.done or self.status.is_success or self.status.is_warning)

    @property
    def done(self) -> int:
        return self.completed + self.warning

    @property
    def total(self) -> int:
        return self.done + self.failed + self.remaining

    def note(self, response: Dataset, identifier: Dataset | None) -> None:
        """Take over what a response says; a final one may leave the numbers out."""
        self.completed = int(response.get("NumberOfCompletedSuboperations", self.completed))
        self.failed = int(response.get("NumberOfFailedSuboperations", self.failed))
        self.warning = int(response.get("NumberOfWarningSuboperations", self.warning))
        self.remaining = int(response.get("NumberOfRemainingSuboperations", 0))
        if identifier is not None:
            listed = cell(identifier, "FailedSOPInstanceUIDList")
            self.failed_instances = listed.split("\\") if listed else []


def get(
    target: Target, query: Dataset, model: Model, classes: Sequence[UID], folder: Folder, stop: Stop, meter: Meter
) -> Counts:
    """Retrieve on the same association, of these SOP classes; raises `Failure` where it is refused or ends."""
    uid = GET[model]
    contexts = [build_context(uid), *(build_context(each) for each in classes)]
    roles = [build_role(each, scp_role=True) for each in classes]
    handlers: list[Any] = [(evt.EVT_C_STORE, folder.keep)]
    with association(target, contexts, stop, roles=roles, handlers=handlers, needed=uid) as assoc:
        return _followed(assoc.send_c_get(query, uid), assoc, uid, stop, meter)


def move(target: Target, query: Dataset, model: Model, destination: str, stop: Stop, meter: Meter) -> Counts:
    """Have the peer store at `destination`; raises `Failure` where it refuses or the association ends."""
    uid = MOVE[model]
    with association(target, [build_context(uid)], stop) as assoc:
        responses = assoc.send_c_move(query, destination, uid)
        return _followed(responses, assoc, uid, stop, meter)


def storage_classes(names: Iterable[str]) -> list[UID]:
    """The SOP classes of these names or UIDs; pynetdicom's 120 usual ones where none is named.

    Raises `typer.BadParameter` for what is none, and for more than one association can carry.
    """
    classes = list(map(_sop_class, names))
    if len(classes) > MAX_STORAGE:
        raise typer.BadParameter(f"{len(classes)} are more than the {MAX_STORAGE} possible", param_hint="--sop-class")
    return classes or [UID(str(each.abstract_syntax)) for each in StoragePresentationContexts]


def _sop_class(name: str) -> UID:
    uid = next((uid for uid, entry in UID_dictionary.items() if entry[4] == name), name)
    if not is_uid(uid):
        known = [entry[4] for entry in UID_dictionary.values() if entry[1] == "SOP Class"]
        close = get_close_matches(name, known, 1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise typer.BadParameter(f"{name!r} is no SOP class{hint}", param_hint="--sop-class")
    return UID(uid)


def _followed(
    responses: Iterator[tuple[Dataset, Dataset | None]],
    assoc: Association,
    model: str,
    stop: Stop,
    meter: Meter,
) -> Counts:
    counts = Counts()
    over = cancelling(stop, assoc, model)
    for response, identifier in responses:
        counts.status = status_of(response, assoc)
        counts.note(response, identifier)
        meter.counted(counts.done, counts.total)
    over()
    stop.check()
    return counts
