"""A process of its own with one store: `python -m tests.state.worker URL FOLDER`, then a key and a number per line.

Each line is answered with how often the key was fresh, spent, and could not be told, of so many presentations
by four threads.
"""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tests.state.builders import NOW, once
from useridentity.errors import Unavailable
from useridentity.state import Store, open_store


def answer(store: Store, key: str) -> str:
    try:
        return "fresh" if store.spend([once(key)], NOW) else "spent"
    except Unavailable as unavailable:
        return unavailable.reason.word


def main(url: str, folder: str) -> None:
    with closing(open_store(url, Path(folder))) as store, ThreadPoolExecutor(4) as threads:
        print("ready", flush=True)
        for line in sys.stdin:
            key, number = line.split()
            print(*Counter(threads.map(lambda _, key=key: answer(store, key), range(int(number)))).items(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
