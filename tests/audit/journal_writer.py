"""A process with a journal of its own: `python -m tests.audit.journal_writer WHAT FOLDER`.

"write" appends for ever and prints the number of every record that is on disk, until it is killed;
"share" appends a hundred, waiting for each; "rotate" does so with a journal of its own for every few, and puts away
files all the time; "full" fills the disk that FOLDER is on, and frees it again.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

from tests.audit.builders import opened, record
from useridentity.audit import journal as journal_module
from useridentity.audit.journal import Journal
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
    for _ in range(20):
        with opened(folder, rotate_bytes=1) as journal:
            for number in range(5):
                while attempt(journal, number) != "kept":
                    pass


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
    {"write": write, "share": share, "rotate": rotate, "full": full}[sys.argv[1]](Path(sys.argv[2]))
