"""A process with a journal of its own: `python -m tests.audit.journal_writer WHAT FOLDER`.

"write" appends for ever and prints the number of every record that is on disk, until it is killed;
"share" appends a hundred, waiting for each; "rotate" does so with a journal of its own for every few, and puts away
files all the time; "together" appends without a pause until a file was put away that others have written to as well;
"full" fills the disk that FOLDER is on, and frees it again.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

from tests.audit.builders import opened, record
from useridentity.audit import journal as journal_module
from useridentity.audit.archive import archives
from useridentity.audit.journal import Journal
from useridentity.audit.record import Kind, Record
from useridentity.audit.segment import reading, rows
from useridentity.errors import Unavailable


def write(folder: Path) -> None:
    with opened(folder) as journal:
        for number in count():
            journal.append(record(number), wait=False)
            journal.append(record(number), wait=True)
            print(journal.last, flush=True)


def share(folder: Path) -> None:
    with opened(folder) as journal:
        for number in range(100):
            journal.append(record(number), wait=True)


def rotate(folder: Path) -> None:
    journal_module.ANCHOR_RECORDS = 3
    for _ in range(6):
        with opened(folder, rotate_bytes=1) as journal:
            for number in range(5):
                while attempt(journal, number) != "kept":
                    pass


def together(folder: Path) -> None:
    journal_module.ANCHOR_RECORDS = 3
    with opened(folder, rotate_bytes=1) as journal:
        while not any(is_of_several(each.path) for each in archives(folder / "audit.db")):
            for _ in range(20):
                journal.append(record(detail=str(os.getpid())), wait=True)
                journal.read(journal.last - 1, 1)


def is_of_several(path: Path) -> bool:
    """Whether several processes have written to this file."""
    with reading(path) as database:
        found = [Record.from_json(row.body) for row in rows(database, 0)]
    return len({each.detail for each in found if each.kind is Kind.STORED}) > 1


def full(folder: Path) -> None:
    with opened(folder) as journal:
        print(attempt(journal))
        with (folder / "junk").open("wb", buffering=0) as junk:
            try:
                while True:
                    os.write(junk.fileno(), bytes(4096))
            except OSError:
                pass
        print(next(answer for answer in iter(lambda: attempt(journal), "") if answer != "kept"))
        journal.append(record(detail="held"), wait=False)
        (folder / "junk").unlink()
        print(attempt(journal))


def attempt(journal: Journal, number: int = 0) -> str:
    try:
        journal.append(record(number), wait=True)
    except Unavailable as unavailable:
        return unavailable.detail
    return "kept"


if __name__ == "__main__":
    what = {"write": write, "share": share, "rotate": rotate, "together": together, "full": full}
    what[sys.argv[1]](Path(sys.argv[2]))
