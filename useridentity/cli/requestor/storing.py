"""Storing many files: the contexts they need, on as many associations as those take, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.uid import UID
from pynetdicom import build_context

from useridentity.cli.requestor.files import Instance, Problem
from useridentity.cli.requestor.interrupt import Stop
from useridentity.cli.requestor.outcome import Status
from useridentity.cli.requestor.peer import Target
from useridentity.cli.requestor.sending import Moved, send
from useridentity.cli.requestor.session import association

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

MAX_CONTEXTS = 128
"""Presentation contexts of an association: their IDs are odd octets (PS3.8 Table 9-13)."""

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


def groups(instances: Sequence[Instance]) -> Iterator[tuple[list[PresentationContext], list[Instance]]]:
    """The contexts and the instances of each association: one context for each pair of syntaxes, 128 at most."""
    by_context: dict[Context, list[Instance]] = {}
    for each in instances:
        by_context.setdefault((each.sop_class, each.transfer_syntax), []).append(each)
    needed = list(by_context)
    for start in range(0, len(needed), MAX_CONTEXTS):
        chosen = needed[start : start + MAX_CONTEXTS]
        contexts = [build_context(abstract, transfer) for abstract, transfer in chosen]
        yield contexts, [each for context in chosen for each in by_context[context]]


def store(
    target: Target, instances: Sequence[Instance], report: Report, stop: Stop, done: Callable[[], None], moved: Moved
) -> None:
    """Store them all, calling `done` after each; raises `Failure` where an association cannot be had or ends."""
    for contexts, members in groups(instances):
        with association(target, contexts, stop) as assoc:
            accepted = _accepted(assoc)
            for number, each in enumerate(members):
                stop.check()
                _store_one(assoc, accepted, 1 + number % MAX_MESSAGE_ID, each, report, moved)
                done()


def _accepted(assoc: Association) -> dict[Context, int]:
    return {
        (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id or 0)
        for context in assoc.accepted_contexts
    }


def _store_one(
    assoc: Association, accepted: dict[Context, int], message_id: int, each: Instance, report: Report, moved: Moved
) -> None:
    context_id = accepted.get((each.sop_class, each.transfer_syntax))
    if context_id is None:
        syntaxes = f"{UID(each.sop_class).name} in {UID(each.transfer_syntax).name}"
        report.failures.append(Problem(each.path, f"refused: the acceptor takes no {syntaxes}"))
        return
    try:
        report.add(each, send(assoc, context_id, message_id, each, moved))
    except OSError as error:
        report.failures.append(Problem(each.path, f"cannot be read: {error.strerror}"))
