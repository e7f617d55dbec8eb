"""`useridentity find`: the patients, studies, series, images or scheduled steps that match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from useridentity.cli.requestor.completion import keywords
from useridentity.cli.requestor.examples import epilog
from useridentity.cli.requestor.interrupt import Stop, interruptible
from useridentity.cli.requestor.options import Identifier, Keys, LevelWord, Options, Peer, command
from useridentity.cli.requestor.output import Output
from useridentity.cli.requestor.peer import only_target

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
        autocompletion=keywords,
    ),
]


@command
def find(
    peer: Peer,
    options: Options,
    keys: Keys = (),  # type: ignore[assignment]  # a list, once it is parsed
    identifier: Identifier = None,
    columns: Columns = (),  # type: ignore[assignment]
    level: LevelWord = None,
    model: Annotated[
        Literal["study", "patient", "worklist"], typer.Option(help="The information model to ask in.")
    ] = "study",
) -> None:
    """Ask what matches (C-FIND): a table on a terminal, else lines of fields separated by tabs, or --json."""
    from useridentity.cli.requestor import identifier as identifiers
    from useridentity.cli.requestor.models import Level, Model
    from useridentity.cli.requestor.querying import completed, matches

    output = Output(options)
    query = identifiers.identifier(keys, identifier)
    asked = identifiers.check_columns(columns)
    shown = _Matches(output, completed(query, Level(level) if level else None, Model(model), asked))
    where = only_target(peer, options)

    def work(stop: Stop) -> None:
        with output.progress("asking", None, "matches") as meter:
            for match in matches(where, query, Model(model), stop):
                shown.add(match)
                meter.counted(shown.found, None)

    try:
        interruptible(work, output.note)
    finally:
        shown.show_table()
    if not shown.found or output.is_terminal:
        output.note(f"{shown.found or 'no'} match{'' if shown.found == 1 else 'es'}")


class _Matches:
    """Matches on their way out: a table's rows are kept until all are there, lines and JSON are not."""

    def __init__(self, output: Output, columns: list[str]) -> None:
        self._output = output
        self._columns = columns
        self._rows: list[list[str]] = []
        self.found = 0

    def add(self, match: Dataset) -> None:
        """Show a match, or keep it for the table."""
        from useridentity.cli.requestor.identifier import cell, plain

        self.found += 1
        if self._output.json:
            self._output.record(plain(match))
        elif self._output.is_terminal:
            self._rows.append([cell(match, name) for name in self._columns])
        else:
            self._output.line(cell(match, name) for name in self._columns)

    def show_table(self) -> None:
        """Show the rows that were kept."""
        if self._rows:
            self._output.table(self._columns, self._rows)
