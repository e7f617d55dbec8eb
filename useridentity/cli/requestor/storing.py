"""Storing many files: the contexts they need, on as many associations as those take, and what became of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import build_context

from useridentity.cli.requestor.files import Instance
from useridentity.cli.requestor.interrupt import Stop
from useridentity.cli.requestor.outcome import Status
from useridentity.cli.requestor.peer import Target
from useridentity.cli.requestor.searching import Problem
from useridentity.cli.requestor.sending import CutShort, Moved, data_set, data_set_in_default_syntax, send
from useridentity.cli.requestor.session import NotTaken, association

if TYPE_CHECKING:
    from pynetdicom.association import Association

MAX_CONTEXTS = 128
"""Presentation contexts of an association: their IDs are odd octets (PS3.8 Table 9-13)."""

CONVERTED = {ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian}
"""Transfer syntaxes whose data sets can be written in the default one without loss. Big endian's are not: pydicom
does not turn the octets of their pixels round."""

MAX_MESSAGE_ID = 65_535

Context = tuple[str, str]
"""Abstract syntax and transfer syntax."""


@dataclass(slots=True)
class Report:
    """What became of the files."""

    named: int = 0
    stored: int = 0
    octets: int = 0
    warnings: list[Problem] = field(default_factory=list)
    failures: list[Problem] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Files that were not stored, for whatever reason."""
        return self.named - self.stored

    def add(self, instance: Instance, status: Status) -> None:
        """Count one answer."""
        if status.is_success or status.is_warning:
            self.stored += 1
            self.octets += instance.length
        if status.is_warning:
            self.warnings.append(Problem(instance.path, f"stored with a warning: {status}"))
        elif not status.is_success:
            self.failures.append(Problem(instance.path, f"refused: {status}"))


def groups(instances: Sequence[Instance]) -> Iterator[tuple[list[Context], list[Instance]]]:
    """The contexts and the instances of each association.

    A context for each pair of SOP class and transfer syntax, and where that is not compressed one for the default
    transfer syntax, which is to be offered (PS3.5 10.1) and which every acceptor takes.
    """
    by_context: dict[Context, list[Instance]] = {}
    for each in instances:
        by_context.setdefault((each.sop_class, each.transfer_syntax), []).append(each)
    contexts: dict[Context, None] = {}
    members: list[Instance] = []
    for context, of_context in by_context.items():
        needed = dict.fromkeys([context, *_by_default(context)])
        if len(contexts | needed) > MAX_CONTEXTS:
            yield list(contexts), members
            contexts, members = {}, []
        contexts |= needed
        members += of_context
    if members:
        yield list(contexts), members


def _by_default(context: Context) -> list[Context]:
    sop_class, transfer_syntax = context
    return [(sop_class, ImplicitVRLittleEndian)] if transfer_syntax in CONVERTED else []


def store(
    target: Target, instances: Sequence[Instance], report: Report, stop: Stop, done: Callable[[], None], moved: Moved
) -> None:
    """Store them all, calling `done` after each; raises `Failure` where an association cannot be had or ends."""
    for contexts, members in groups(instances):
        waiting = deque(members)
        while waiting:  # again only where a file spoilt the association
            try:
                with association(target, [build_context(*each) for each in contexts], stop) as assoc:
                    _store_on(assoc, waiting, report, stop, done, moved)
            except NotTaken:
                report.failures += [Problem(each.path, _not_taken(each)) for each in waiting]
                break


def _store_on(
    assoc: Association, waiting: deque[Instance], report: Report, stop: Stop, done: Callable[[], None], moved: Moved
) -> None:
    """Store what is waiting, until all of it is or a file was cut short and the association with it."""
    accepted = _accepted(assoc)
    for message_id in cycle(range(1, MAX_MESSAGE_ID + 1)):
        if not waiting:
            return
        stop.check()
        each = waiting.popleft()
        try:
            _store_one(assoc, accepted, message_id, each, report, moved)
        except CutShort as cut:
            report.failures.append(Problem(each.path, f"not stored: {cut}"))
            return
        finally:
            done()


def _accepted(assoc: Association) -> dict[Context, int]:
    return {
        (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id or 0)
        for context in assoc.accepted_contexts
    }


def _store_one(
    assoc: Association, accepted: dict[Context, int], message_id: int, each: Instance, report: Report, moved: Moved
) -> None:
    context_id, opened = accepted.get((each.sop_class, each.transfer_syntax)), data_set
    if context_id is None and each.transfer_syntax in CONVERTED:
        context_id, opened = accepted.get((each.sop_class, ImplicitVRLittleEndian)), data_set_in_default_syntax
    if context_id is None:
        report.failures.append(Problem(each.path, _not_taken(each)))
        return
    with ExitStack() as stack:
        try:
            data, length = stack.enter_context(opened(each))
        except OSError as error:
            report.failures.append(Problem(each.path, f"cannot be read: {error.strerror}"))
            return
        report.add(each, send(assoc, context_id, message_id, each, data, length, moved))


def _not_taken(each: Instance) -> str:
    return f"refused: the acceptor takes no {UID(each.sop_class).name} in {UID(each.transfer_syntax).name}"
