"""What `get` and `move` have in common: what is to be retrieved, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from useridentity.cli.ending import Exit, Failure
from useridentity.cli.requestor import identifier as identifiers
from useridentity.cli.requestor.keeping import Folder
from useridentity.cli.requestor.models import Level, Model, retrieved
from useridentity.cli.requestor.options import Options, Wanted
from useridentity.cli.requestor.output import Meter, Output
from useridentity.cli.requestor.peer import Target
from useridentity.cli.requestor.retrieving import Counts

if TYPE_CHECKING:
    from pydicom import Dataset


def identifier(wanted: Wanted, options: Options) -> tuple[Dataset, Model]:
    """The identifier and the information model that the options say; raises `typer.BadParameter`."""
    query = identifiers.identifier(wanted.keys, wanted.identifier, options)
    identifiers.check_encodable(query)
    level, model = wanted.level, wanted.model
    return query, retrieved(query, Level(level) if level else None, Model(model) if model else None)


@contextmanager
def telling(folder: Folder | None, output: Output) -> Iterator[None]:
    """Say what was kept, where the block ends in a failure."""
    try:
        yield
    except Failure as failure:
        if folder is not None and folder.kept:
            output.note(f"{_files(folder)} kept in {folder.path}")
        failure.done = _kept(folder)
        raise


def conclude(where: Target, counts: Counts, folder: Folder | None, meter: Meter, output: Output) -> None:
    """Say what became of it; raises `Failure` unless all is well."""
    problems = _problems(counts, folder)
    for problem in problems:
        output.problem(problem)
    came = counts.done if folder is None else len(folder.kept)
    failure = _failure(where, counts, came, len(problems))
    output.ended(
        "" if failure and not came else _sentence(where, counts, came, folder, meter),
        {
            "peer": where.where,
            "outcome": Exit.DONE.word,
            "completed": counts.completed,
            "warnings": counts.warning,
            "failed": counts.failed,
            "status": f"{counts.status.code:04X}H",
            **_kept(folder),
            "octets": meter.octets,
            "seconds": round(meter.seconds, 3),
            "problems": problems,
        },
        failure,
    )


def _problems(counts: Counts, folder: Folder | None) -> list[str]:
    """Of each instance one: what could not be kept here is what failed there."""
    problems = {uid: f"{uid} was not sent" for uid in counts.failed_instances}
    return list((problems | (folder.problems if folder else {})).values())


def _kept(folder: Folder | None) -> dict[str, object]:
    return {
        "folder": None if folder is None else str(folder.path),
        "files": [] if folder is None else sorted(folder.kept),
    }


def _failure(where: Target, counts: Counts, came: int, problems: int) -> Failure | None:
    """What the peer counts, and what came here, whatever it counts."""
    if not (came or counts.is_complete):
        return Failure(Exit.REFUSED, f"refused by {where.where}: {counts.status}", _advice(counts))
    missing = max(counts.total - came, problems)
    why = "" if counts.is_complete else f": {counts.status}"
    if missing:
        code = Exit.PARTIAL if came else Exit.REFUSED
        advice = "each is told above with its reason" if problems else f"ask the log of {where.where}"
        return Failure(code, f"{missing} of {max(counts.total, missing)} instances did not come{why}", advice)
    if why:
        return Failure(Exit.PARTIAL, f"ended early by {where.where}{why}", _advice(counts))
    return None


def _advice(counts: Counts) -> str:
    if counts.status.code == 0xA801:
        return "the acceptor must know the destination's AE title, address and port"
    return "ask its log" + (f"; {counts.failed} sub-operations failed" if counts.failed else "")


def _sentence(where: Target, counts: Counts, came: int, folder: Folder | None, meter: Meter) -> str:
    if not (counts.total or came):
        return f"{where.where} has nothing that matches"
    if folder is None:
        return f"{where.where} moved {_instances(counts, came)}"
    return f"{where.where} sent {_instances(counts, came)} to {folder.path}: {meter.summary}"


def _instances(counts: Counts, came: int) -> str:
    number = f"{came} of {counts.total}" if came < counts.total else f"{came}"
    return f"{number} instance{'' if number == '1' else 's'}"


def _files(folder: Folder) -> str:
    return f"{len(folder.kept)} file{'' if len(folder.kept) == 1 else 's'}"
