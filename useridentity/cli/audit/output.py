"""Records as people and programs read them: a table, lines, JSON, CSV; a peer's text escaped for each."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from useridentity.audit.describe import about, who
from useridentity.audit.record import Outcome, Record
from useridentity.audit.search import Found
from useridentity.printable import printable

COLUMNS = ("number", "time", "event", "user", "from", "about")

WIDE = 120
"""Columns of a terminal that has room for all of these."""

STYLES = {Outcome.SUCCESS: "", Outcome.REFUSED: "red", Outcome.FAILED: "yellow"}

FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where what a spreadsheet would compute begins, in full width too (OWASP, CSV Injection).

After a semicolon as well: that is what parts cells where the comma is in numbers.
"""

CSV_COLUMNS = (
    "number", "event_id", "time", "kind", "outcome", "reason", "association", "user", "subject", "presented",
    "assurance", "issuer", "emergency", "calling_ae_title", "called_ae_title", "address", "port", "request",
    "status", "destination", "patient_id", "patient_name", "study_instance_uid", "accession_numbers", "instances",
    "rule", "grant", "validator", "detail",
)  # fmt: skip


def show(found: Sequence[Found], *, as_json: bool, header: bool = True) -> None:
    """Print records: JSON, a table on a terminal, elsewhere lines of fields separated by tabs."""
    if as_json:
        for number, record in found:
            print(json_line(number, record))
    elif sys.stdout.isatty():
        console = Console(highlight=False)
        if found or header:
            console.print(table(found, console.width, header=header))
    else:
        for number, record in found:
            print(*_cells(number, record), sep="\t")


def json_line(number: int, record: Record) -> str:
    """The record as the journal has it, with its number; ASCII, one line."""
    return f'{{"sequence":{number},{record.to_json()[1:]}'


def table(found: Iterable[Found], width: int, *, header: bool = True) -> Table:
    """A table that fits: what does not find room in a cell ends in an ellipsis."""
    wide = width >= WIDE
    shown = Table(box=None, pad_edge=False, header_style="bold", expand=True, show_header=header)
    for name in COLUMNS if wide else COLUMNS[1:]:
        at_most = None if wide else _AT_MOST.get(name)
        ratio = 1 if name == "about" else None
        shown.add_column(name, no_wrap=True, overflow="ellipsis", max_width=at_most, ratio=ratio)
    for number, record in found:
        cells = _cells(number, record) if wide else _short(number, record)
        shown.add_row(*(Text(cell, STYLES[record.outcome]) for cell in cells))
    return shown


_AT_MOST = {"event": 10, "user": 12, "from": 12}
"""Columns that a cell may take where room is short; what happened is worth the rest."""


def _cells(number: int, record: Record) -> list[str]:
    """What is said of a record in one line; text itself, because a string would be read for markup."""
    local = record.time.astimezone()
    event = record.kind.value if record.outcome is Outcome.SUCCESS else f"{record.kind.value} ({record.outcome.value})"
    if record.kind.value in ("rejected", "refused"):
        event = record.kind.value
    place = _place(record)
    name, happened = printable(who(record.user)), printable(about(record))
    return [str(number), f"{local:%Y-%m-%d %H:%M:%S}", event, name, place, happened]


def _short(number: int, record: Record) -> list[str]:
    _, _, event, _, place, happened = _cells(number, record)
    user, ae_title = record.user, printable(record.requestor.ae_title) or place
    name = printable(user.user_id or user.subject) or printable(who(user))
    return [f"{record.time.astimezone():%m-%d %H:%M:%S}", event, name, ae_title, happened]


def _place(record: Record) -> str:
    requestor = record.requestor
    if not requestor.address:
        return printable(record.acceptor.ae_title)
    return printable(f"{requestor.ae_title}@{requestor.address}" if requestor.ae_title else requestor.address)


def write_csv(found: Iterable[Found], file: Any) -> None:
    """A line for every record and study, with a header; no cell is a formula."""
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for number, record in found:
        for row in _csv_rows(number, record):
            writer.writerow([_cell(row.get(name, "")) for name in CSV_COLUMNS])


def _cell(value: object) -> str:
    return FORMULA.sub(r"\1'", printable("" if value is None else str(value)))


def _csv_rows(number: int, record: Record) -> Iterator[dict[str, object]]:
    user, operation = record.user, record.operation
    row: dict[str, object] = {
        "number": number, "event_id": record.event_id, "time": record.time.isoformat(), "kind": record.kind.value,
        "outcome": record.outcome.value, "reason": record.reason, "association": record.association,
        "user": user.user_id, "subject": user.subject, "presented": user.presented, "assurance": user.assurance,
        "issuer": user.issuer, "emergency": user.emergency, "calling_ae_title": record.requestor.ae_title,
        "called_ae_title": record.acceptor.ae_title, "address": record.requestor.address,
        "port": record.requestor.port or "", "rule": record.rule, "grant": record.grant,
        "validator": record.validator, "detail": record.detail or about(record),
    }  # fmt: skip
    if operation is not None:
        status = "" if operation.status is None else f"{operation.status:04X}H"
        row |= {"request": operation.request, "status": status, "destination": operation.destination}
    for study in record.studies:
        yield row | {
            "patient_id": study.patient_id, "patient_name": study.patient_name,
            "study_instance_uid": study.study_instance_uid, "accession_numbers": " ".join(study.accession_numbers),
            "instances": sum(each.number for each in study.sop_classes),
        }  # fmt: skip
    if not record.studies:
        yield row


def details(number: int, record: Record) -> Iterator[str]:
    """Every field of a record that has a value, a line each."""
    yield f"record {number}: {printable(about(record))}"
    yield from _lines(json.loads(record.to_json()), 1)


def _lines(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, item in value.items():
        key = printable(name)
        if isinstance(item, dict):
            yield f"{indent}{key}:"
            yield from _lines(item, depth + 1)
        elif isinstance(item, list) and any(isinstance(each, dict) for each in item):
            for number, each in enumerate(item, 1):
                yield f"{indent}{key} {number}:"
                yield from _lines(each, depth + 1)
        else:
            shown = ", ".join(printable(str(each)) for each in item) if isinstance(item, list) else printable(str(item))
            yield f"{indent}{key}: {shown}"
