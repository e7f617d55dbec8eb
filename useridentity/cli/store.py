"""`useridentity store`: files, folders and globs to an acceptor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from useridentity.cli.ending import Exit, Failure
from useridentity.cli.requestor.examples import epilog
from useridentity.cli.requestor.interrupt import Stop, interruptible
from useridentity.cli.requestor.options import Options, PeerAndFiles, command
from useridentity.cli.requestor.output import Meter, Output
from useridentity.cli.requestor.peer import Acceptor, Target, acceptor

if TYPE_CHECKING:
    from useridentity.cli.requestor.files import Instance
    from useridentity.cli.requestor.searching import Problem
    from useridentity.cli.requestor.storing import Report

EPILOG = epilog("""\
useridentity store pacs.example.org 104 ct.dcm
useridentity store pacs.example.org 104 --identity username:alice study/ 'more/*.dcm'
useridentity store pacs study/ --json
""")

SHOWN = 5
"""Files with the same reason that are named on the terminal; `--json` names all."""


@command
def store(peer: PeerAndFiles, options: Options) -> None:
    """Have an acceptor store files, folders and globs of them (C-STORE).

    Folders are searched, globs in quotation marks are understood, and each file is sent once. The association has a
    context for each pair of SOP class and transfer syntax of the files, and data sets travel as they are in the files.
    Files that are not DICOM, or whose preamble makes them programs, are reported.
    """
    from useridentity.cli.requestor.storing import Report

    output = Output(options)
    found, patterns = acceptor(peer, options)
    if not all(patterns or [""]):
        raise typer.BadParameter("name at least one file, folder or glob to store", param_hint="FILES")
    report = Report()
    instances = _instances(patterns, report, output)
    where = found.identified() if instances else None
    failure = None
    with output.progress("storing", sum(each.length for each in instances), "files") as meter:
        try:
            if where is not None:
                interruptible(lambda stop: _store(where, instances, report, stop, meter), output.note)
        except Failure as ended:
            failure = ended
    _conclude(found, report, meter, output, failure or _shortfall(report))


def _instances(patterns: list[str], report: Report, output: Output) -> list[Instance]:
    from useridentity.cli.requestor.files import Instance, found

    instances: list[Instance] = []
    with output.progress("reading", None, "files") as meter:
        for each in found(patterns):
            report.named += 1
            if isinstance(each, Instance):
                instances.append(each)
            else:
                report.failures.append(each)
            meter.counted(len(instances), None)
    return instances


def _store(where: Target, instances: list[Instance], report: Report, stop: Stop, meter: Meter) -> None:
    from useridentity.cli.requestor.storing import store

    meter.counted(0, len(instances))

    def done() -> None:
        meter.counted(report.stored, len(instances))

    store(where, instances, report, stop, done, meter.moved)


def _shortfall(report: Report) -> Failure | None:
    if not report.failures:
        return None
    code = Exit.PARTIAL if report.stored else Exit.REFUSED
    return Failure(code, f"{report.missing} of {_files(report.named)} not stored", "each is told above with its reason")


def _conclude(where: Acceptor, report: Report, meter: Meter, output: Output, failure: Failure | None) -> None:
    for line in (*in_short(report.warnings), *in_short(report.failures)):
        output.problem(line)
    if not report.named:
        output.note("no files there")
    output.ended(
        f"{where.where} stored {_files(report.stored)}: {meter.summary}" if report.stored else "",
        {
            "peer": where.where,
            "outcome": Exit.DONE.word,
            "stored": report.stored,
            "not_stored": report.missing,
            "octets": report.octets,
            "seconds": round(meter.seconds, 3),
            "warnings": _listed(report.warnings),
            "failures": _listed(report.failures),
        },
        failure,
    )


def in_short(problems: Sequence[Problem]) -> Iterator[str]:
    """A line for each file, and of many with the same reason a line for all but the first ones."""
    by_reason: dict[str, list[Problem]] = {}
    for each in problems:
        by_reason.setdefault(each.why, []).append(each)
    for why, alike in by_reason.items():
        yield from (f"{each.path}: {why}" for each in alike[:SHOWN])
        if len(alike) > SHOWN:
            yield f"and {len(alike) - SHOWN} more: {why}"


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"


def _listed(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [{"file": str(each.path), "why": each.why} for each in problems]
