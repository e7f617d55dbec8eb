"""What a store does in a FOLDER whose disk fills up: `python -m tests.state.full_disk FOLDER [penalties]`."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

from tests.lib.processes import on_a_small_disk
from tests.state.attack import HOUR, looked_at
from tests.state.builders import NOW, once
from tests.state.worker import answer
from useridentity.errors import Unavailable
from useridentity.state.penalties import Penalties
from useridentity.state.sqlite import SqliteStore

HANG = 30.0  # seconds; ten times what it takes


def filling(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What this program prints with a small file system of its own at `folder`."""
    return on_a_small_disk(folder, sys.executable, "-m", __name__, str(folder), *arguments, within=HANG)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as junk:
        try:
            while True:
                os.write(junk.fileno(), bytes(4096))
        except OSError:
            return


def refusal(store: SqliteStore) -> str:
    """What is said once the last free page of the log is used."""
    try:
        for number in count():
            store.spend([once(str(number))], NOW)
    except Unavailable as unavailable:
        return unavailable.detail
    raise AssertionError


def guessed(folder: Path) -> None:
    """How many guesses an hour are looked at, with room and without."""
    with closing(SqliteStore(folder / "state.db")) as store:
        penalties = Penalties(shared=store.ledger)
        print(looked_at(penalties, "bob"))
        fill(folder / "junk")
        refusal(store)
        print(looked_at(penalties, start=HOUR))


def main(folder: Path) -> None:
    """Spends before, while and after."""
    with closing(SqliteStore(folder / "state.db")) as store:
        print(answer(store, "first"))
        fill(folder / "junk")
        print(refusal(store))
        with closing(SqliteStore(folder / "state.db")) as another:
            print(answer(another, "too late"))
        (folder / "junk").unlink()
        print(answer(store, "first"))
        print(answer(store, "second"))


if __name__ == "__main__":
    (guessed if "penalties" in sys.argv else main)(Path(sys.argv[1]))
