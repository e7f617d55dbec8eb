"""C-FIND: the matches of an identifier, one at a time."""

from __future__ import annotations

from collections.abc import Generator

import typer
from pydicom import Dataset
from pynetdicom import build_context

from useridentity.cli.ending import Exit, Failure
from useridentity.cli.requestor.identifier import columns_of
from useridentity.cli.requestor.interrupt import Stop
from useridentity.cli.requestor.models import COLUMNS, FIND, WORKLIST_COLUMNS, Level, Model, deepest_level
from useridentity.cli.requestor.peer import Target
from useridentity.cli.requestor.session import association, cancelling, status_of


def completed(query: Dataset, level: Level | None, model: Model, columns: list[str]) -> list[str]:
    """Ask in `query` for what is to be shown, at this level; the columns. Raises `typer.BadParameter`."""
    if model is Model.WORKLIST and level:
        raise typer.BadParameter("a worklist has no levels", param_hint="--level")
    if model is Model.WORKLIST:
        shown = columns or WORKLIST_COLUMNS
    else:
        level = level or _level(query, model)
        query.QueryRetrieveLevel = level.name
        shown = columns or COLUMNS[level]
    shown = columns or [*shown, *(name for name in columns_of(query) if name not in shown)]
    for name in shown:
        if name not in query:
            setattr(query, name, [] if name.endswith("Sequence") else "")
    return shown


def _level(query: Dataset, model: Model) -> Level:
    """The level that the query names, or the lowest whose UID it gives; else the model's uppermost."""
    named = str(query.get("QueryRetrieveLevel", "")).lower()
    if named in list(Level):
        return Level(named)
    deepest = deepest_level(query)
    if deepest in (None, Level.PATIENT):
        return Level.PATIENT if model is Model.PATIENT else Level.STUDY
    return deepest


def _advice(target: Target, query: Dataset) -> str:
    above = {"SERIES": ["StudyInstanceUID"], "IMAGE": ["StudyInstanceUID", "SeriesInstanceUID"]}
    missing = [name for name in above.get(query.get("QueryRetrieveLevel", ""), []) if not query.get(name)]
    if missing:
        return f"at this level it may want the UIDs of those above: {' '.join(f'-k {name}=' for name in missing)}"
    return f"ask the log of {target.where}"


def matches(target: Target, query: Dataset, model: Model, stop: Stop) -> Generator[Dataset | None]:
    """What the peer finds, as it comes, None for what cannot be read; raises `Failure` where it refuses, ends early
    or the association ends."""
    uid, number, before = FIND[model], 0, None
    with association(target, [build_context(uid)], stop) as assoc:
        over = cancelling(stop, assoc, uid)
        for response, match in assoc.send_c_find(query, uid):
            status = status_of(response, assoc)
            if response is before:  # what pynetdicom cannot decode it yields twice
                continue
            before = response
            if status.is_pending:
                number += bool(match)
                yield match or None  # of octets that are no data set pydicom makes an empty one
            elif not (status.is_success or status.is_warning):
                stop.check()
                code, what = (Exit.PARTIAL, "ended early") if number else (Exit.REFUSED, "refused")
                raise Failure(code, f"{what}: C-FIND, {status}", _advice(target, query))
        over()
        stop.check()
