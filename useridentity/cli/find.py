"""`useridentity find`: the patients, studies, series, images or scheduled steps that match."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from useridentity.cli.ending import Exit, Failure
from useridentity.cli.requestor import completion
from useridentity.cli.requestor.examples import epilog
from useridentity.cli.requestor.interrupt import interruptible
from useridentity.cli.requestor.options import Identifier, Keys, LevelWord, Options, Peer, command
from useridentity.cli.requestor.output import Meter, Output
from useridentity.cli.requestor.peer import only_acceptor
from useridentity.cli.requestor.table import Table

if TYPE_CHECKING:
    from pydicom import Dataset

EPILOG = epilog("""\
useridentity find pacs.example.org 104 -k PatientID=123
useridentity find pacs -k PatientName='SMITH*' -k StudyDate=20260101- --columns PatientName,StudyDate
useridentity find pacs --level series -k StudyInstanceUID=1.2.3 --json
useridentity find pacs --model worklist -k ScheduledProcedureStepSequence.Modality=CT
""")


Columns = Annotated[
    list[str],
    typer.Option(
        metavar="A,B",
        help="Attributes to ask for and show; those of the level, and of -k, if left out.",
        autocompletion=completion.columns,
    ),
]


@command
def find(
    peer: Peer,
    keys: Keys = (),  # type: ignore[assignment]  # a list, once it is parsed
    identifier: Identifier = None,
    columns: Columns = (),  # type: ignore[assignment]
    level: LevelWord = None,
    model: Annotated[
        Literal["study", "patient", "worklist"] | None,
        typer.Option(
            metavar="MODEL",
            help="The information model, study, patient or worklist; study, or patient at its level, if left out.",
        ),
    ] = None,
    *,
    options: Options,
) -> None:
    """Ask an acceptor what matches (C-FIND).

    On a terminal it shows a table, elsewhere lines of fields separated by tabs.
    """
    from useridentity.cli.requestor import identifier as identifiers
    from useridentity.cli.requestor.models import Level, Model
    from useridentity.cli.requestor.querying import completed, matches

    output = Output(options)
    query = identifiers.identifier(keys, identifier, options)
    asked = identifiers.check_columns(columns)
    named = level or str(query.get("QueryRetrieveLevel", "")).lower()
    chosen = Model(model or ("patient" if named == "patient" else "study"))
    shown = completed(query, Level(level) if level else None, chosen, asked)
    identifiers.check_encodable(query)
    where = only_acceptor(peer, options).identified()
    with output.progress("asking", None, "matches") as meter:
        found = _Matches(output, shown, meter)
        with found.told():
            interruptible(lambda stop: found.take(matches(where, query, chosen, stop)), output.note)


class _Matches:
    """Matches on their way out, and how many there were, also of those that cannot be read."""

    def __init__(self, output: Output, columns: list[str], meter: Meter) -> None:
        self._output = output
        self._columns = columns
        self._meter = meter
        self._table = Table(columns, meter.stop)
        self._count = self._unreadable = 0

    def take(self, matches: Generator[Dataset | None]) -> None:
        """Show them as they come; where they cannot be shown, none is asked for any more."""
        with closing(matches):
            for match in matches:
                if match is None:
                    self._unreadable += 1
                    continue
                self._count += 1
                self._show(match)
                self._meter.counted(self._count, None)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say how many there were, where the block ends in a failure too; raises one for what cannot be read."""
        failure = None
        try:
            yield
        except Failure as ended:
            failure = ended
        if self._unreadable:
            failure = self._with_unreadable(failure)
        self._show_count(none="" if failure else "no matches")
        if failure:
            failure.done = {"matches": self._count, "unreadable": self._unreadable}
            raise failure

    def _with_unreadable(self, failure: Failure | None) -> Failure:
        problem = f"{_matches(self._unreadable)} of the acceptor could not be read"
        if failure:
            return Failure(failure.code, [*failure.problems, problem], failure.advice)
        return Failure(Exit.PARTIAL if self._count else Exit.REFUSED, problem, "ask those who look after it")

    def _show_count(self, none: str) -> None:
        self._meter.stop()
        self._table.show()
        if self._count and self._output.is_terminal:
            self._output.note(_matches(self._count))
        elif none and not self._count:
            self._output.note(none)

    def _show(self, match: Dataset) -> None:
        from useridentity.cli.requestor.identifier import cell, plain

        if not self._output.is_terminal:
            self._meter.stop()  # a pipe may lead to the terminal that it is on
        if self._output.json:
            self._output.record(plain(match))
            return
        cells = [cell(match, name) for name in self._columns]
        if self._output.is_terminal:
            self._table.add(cells)
        else:
            self._output.line(cells)


def _matches(number: int) -> str:
    return f"{number} match{'' if number == 1 else 'es'}"
