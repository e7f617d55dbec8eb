"""`useridentity audit list|show|follow|export|verify`: who did what, from where, and who was refused."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from useridentity.cli.audit.options import Filters
from useridentity.cli.audit.passing import UNSOUND, PassedOver, passing_over
from useridentity.cli.gathering import gathering
from useridentity.errors import ConfigurationError

MOST = 1_000_000
"""Records that are listed at once: all of them are in memory, as they are not with `export`."""

POLL = 0.3
"""Seconds between two looks for new records: nobody sees the difference, and a look costs a millisecond."""

app = typer.Typer(no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The journal that the policy's table audit names.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines, for scripts.")]


@app.callback()
def prepare() -> None:
    """See who did what, from where, and who was refused."""


@app.command("list")
@gathering
def list_(
    file: File,
    filters: Filters,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST, metavar="N", help="The newest N.")] = 50,
    json: Json = False,
) -> None:
    """List the newest records that match, the newest last: a table on a terminal, elsewhere lines with tabs."""
    from useridentity.audit.search import newest
    from useridentity.cli.audit.output import show

    with passing_over() as passed:
        show(newest(file, filters.read(), limit, passed), as_json=json)


@app.command("show")
def show_(
    file: File,
    which: Annotated[str, typer.Argument(metavar="NUMBER|ASSOCIATION")],
    json: Json = False,
) -> None:
    """Show all there is about a record, or about every record of an association."""
    from useridentity.audit.search import Filter, by_number, every
    from useridentity.cli.audit.identifier import elements
    from useridentity.cli.audit.output import details, json_line

    if not which.strip():
        raise ConfigurationError("nothing is named to show; give a record's number, or an association's id")
    with passing_over() as passed:
        number = by_number(file, int(which), passed) if re.fullmatch(r"\d{1,15}", which) else None
        found = [number] if number else list(every(file, Filter(association=which), passed))
        if not found and not passed.last:
            raise ConfigurationError(f"{file}: has no record {which}, and no association with this id")
        for sequence, record in found:
            if json:
                print(json_line(sequence, record))
                continue
            print(*details(sequence, record), sep="\n")
            if record.operation is not None and record.operation.identifier:
                print("  what was asked for:", *elements(record.operation), sep="\n    ")


@app.command("follow")
@gathering
def follow(file: File, filters: Filters, json: Json = False) -> None:
    """Show records as they are written, until interrupted; first the newest ten."""
    from useridentity.audit.search import last_number, newest, since_number
    from useridentity.cli.audit.output import show

    wanted, passed = filters.read(), PassedOver()
    last, shown = last_number(file), newest(file, wanted, 10, passed)
    last = max(last, passed.last, *(number for number, _ in shown))
    show(shown, as_json=json)
    try:
        while True:
            sys.stdout.flush()
            time.sleep(POLL)
            new = since_number(file, last, passed)
            last = max(last, passed.last, *(number for number, _ in new))
            show([each for each in new if wanted.matches(each[1])], as_json=json, header=False)
    except KeyboardInterrupt:
        raise typer.Exit(UNSOUND if passed.last else 0) from None


@app.command("export")
@gathering
def export(
    file: File,
    filters: Filters,
    form: Annotated[str, typer.Option("--format", metavar="json|csv", help="JSON lines, or CSV.")] = "json",
) -> None:
    """Print every record that matches, the oldest first."""
    from useridentity.audit.search import every
    from useridentity.cli.audit.output import json_line, write_csv

    if form not in ("json", "csv"):
        raise ConfigurationError(f"--format: {form!r} is neither json nor csv")
    with passing_over() as passed:
        found = every(file, filters.read(), passed)
        if form == "csv":
            write_csv(found, sys.stdout)
        else:
            for number, record in found:
                print(json_line(number, record))


@app.command("verify")
def verify(
    file: File,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The chain's key; left out: beside FILE.")] = None,
    anchors: Annotated[Path | None, typer.Option(metavar="FILE", help="JSON lines that a sink has kept.")] = None,
) -> None:
    """Verify that nothing was altered, removed, reordered or cut off; exit code 12 where something was."""
    from useridentity.audit.settings import key_beside
    from useridentity.audit.verify import verify as verified
    from useridentity.cli.audit.anchors import read_anchors
    from useridentity.cli.audit.verdict import sentences

    report = verified(file, key or key_beside(file), read_anchors(anchors) if anchors else ())
    print(*sentences(report, by_sink=anchors is not None), sep="\n")
    if not report.is_sound:
        raise typer.Exit(UNSOUND)
