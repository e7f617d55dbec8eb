"""A process with a journal of its own: `python -m tests.audit.journal_writer WHAT FOLDER`.

"write" appends for ever and prints the number of every record that is on disk, until it is killed;
"share" appends a hundred, waiting for each; "full" fills the disk that FOLDER is on, and frees it again.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

from tests.audit.builders import opened, record
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


def attempt(journal: Journal) -> str:
    try:
        journal.append(record(), wait=True)
    except Unavailable as unavailable:
        return unavailable.detail
    return "kept"


if __name__ == "__main__":
    {"write": write, "share": share, "full": full}[sys.argv[1]](Path(sys.argv[2]))
