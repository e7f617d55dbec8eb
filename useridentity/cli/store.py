"""`useridentity store`: files, folders and globs to an acceptor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from useridentity.cli.requestor.examples import epilog
from useridentity.cli.requestor.interrupt import Stop, interruptible
from useridentity.cli.requestor.options import Options, PeerAndFiles, command
from useridentity.cli.requestor.outcome import Exit, Failure
from useridentity.cli.requestor.output import MEGABYTE, Meter, Output, exit_of
from useridentity.cli.requestor.peer import Target, target

if TYPE_CHECKING:
    from useridentity.cli.requestor.files import Instance, Problem
    from useridentity.cli.requestor.storing import Report

EPILOG = epilog("""\
useridentity store pacs.example.org 104 ct.dcm
useridentity store pacs.example.org 104 --identity username:alice study/ 'more/*.dcm'
useridentity store pacs study/ --json
""")


@command
def store(peer: PeerAndFiles, options: Options) -> None:
    """Store DICOM files (C-STORE); folders are searched, globs in quotation marks are understood.

    The association has a context for each pair of SOP class and transfer syntax of the files, and data sets travel
    as they are in the files. Files that are not DICOM, or whose preamble makes them programs, are reported.
    """
    from useridentity.cli.requestor.storing import Report

    output = Output(options)
    where, patterns = target(peer, options)
    if not all(patterns or [""]):
        raise typer.BadParameter("name at least one file, folder or glob to store", param_hint="FILES")
    report = Report()
    instances = _instances(patterns, report, output)
    try:
        with output.progress("storing", sum(each.length for each in instances), "files") as meter:
            interruptible(lambda stop: _store(where, instances, report, stop, meter), output.note)
    except Failure as failure:
        _conclude(where, report, meter, output, failure.code)
        raise
    code = exit_of(report.stored, len(report.failures))
    _conclude(where, report, meter, output, code)
    if code is not Exit.DONE:
        raise typer.Exit(code)


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

    def done() -> None:
        meter.counted(report.stored, len(instances))

    store(where, instances, report, stop, done, meter.moved)


def _conclude(where: Target, report: Report, meter: Meter, output: Output, code: Exit) -> None:
    for each in (*report.warnings, *report.failures):
        output.problem(f"{each.path}: {each.why}")
    if not report.stored and not output.json:
        return
    files = f"{report.stored} file{'' if report.stored == 1 else 's'}"
    missing = f"; {report.missing} not stored" if report.missing else ""
    output.result(
        f"{where.where} stored {files}, {report.octets / MEGABYTE:.1f} MB in {meter.seconds:.1f} s, {meter.rate}"
        + missing,
        peer=where.where,
        outcome=code.word,
        stored=report.stored,
        not_stored=report.missing,
        octets=report.octets,
        seconds=round(meter.seconds, 3),
        warnings=_listed(report.warnings),
        failures=_listed(report.failures),
    )


def _listed(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [{"file": str(each.path), "why": each.why} for each in problems]
