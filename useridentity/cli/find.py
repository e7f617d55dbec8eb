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


@command
def find(
    peer: Peer,
    options: Options,
    keys: Keys = (),  # type: ignore[assignment]  # a list, once it is parsed
    identifier: Identifier = None,
    columns: Annotated[
        list[str],
        typer.Option(
            metavar="A,B",
            help="Attributes to ask for and show; those of the level, and of -k, if left out.",
            autocompletion=keywords,
        ),
    ] = [],  # noqa: B006  typer copies it
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
    shown = completed(query, Level(level) if level else None, Model(model), asked)
    where = only_target(peer, options)
    rows: list[list[str]] = []

    def show(match: Dataset) -> None:
        if output.json:
            output.record(identifiers.plain(match))
        elif output.is_terminal:
            rows.append([identifiers.cell(match, name) for name in shown])
        else:
            output.line(identifiers.cell(match, name) for name in shown)

    def work(stop: Stop) -> int:
        found = 0
        with output.progress("asking", None, "matches") as meter:
            for found, match in enumerate(matches(where, query, Model(model), stop), 1):
                show(match)
                meter.counted(found, None)
        return found

    try:
        found = interruptible(work, output.note)
    finally:
        if rows:
            output.table(shown, rows)
    if not found or output.is_terminal:
        output.note(f"{found or 'no'} match{'' if found == 1 else 'es'}")
