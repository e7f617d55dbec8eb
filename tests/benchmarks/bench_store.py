"""Megabytes a second of C-STORE, with pynetdicom's usual maximum PDU length."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import dcmread
from pydicom.data import get_testdata_file

from tests.benchmarks.figure import EFFORT, Figure, compare
from tests.benchmarks.processes import Server, run, servers
from tests.lib import dcmtk

CONTEXTS = 2
MEGABYTE = 1_000_000
OBJECTS = ((0.5, 100), (100.0, 1))
"""Megabytes of an object, and how many are stored on one association."""


def measure() -> list[Figure]:
    """DCMTK's storescu to either acceptor, then AE to AE."""
    figures: list[Figure] = []
    with servers(CONTEXTS) as (ours, stock):
        for megabytes, count in OBJECTS:
            with ct_image(megabytes * EFFORT.get().share) as path:
                times = EFFORT.get().times(count)
                figures += _figures(ours, stock, path, times, f"of {megabytes:g} MB")
    return figures


def _figures(ours: Server, stock: Server, path: Path, count: int, size: str) -> Iterator[Figure]:
    stored = count * path.stat().st_size / MEGABYTE

    def storescu(server: Server) -> float:
        started = time.perf_counter()
        done = dcmtk.run("storescu", "-usr", "alice", "--repeat", count, "127.0.0.1", server.port, path)
        assert done.returncode == 0, done.stderr
        return stored / (time.perf_counter() - started)

    def requestor(kind: str, server: Server) -> float:
        return stored / run("requestor", kind, "store", server.port, path, count)

    yield compare(f"C-STORE {size}, storescu", partial(storescu, ours), partial(storescu, stock), "MB/s", aim=1.0)
    between = partial(requestor, "ours", ours), partial(requestor, "stock", stock)
    yield compare(f"C-STORE {size}, AE to AE", *between, "MB/s", aim=1.0)


@contextmanager
def ct_image(megabytes: float) -> Iterator[Path]:
    """The file of a CT image of this size: pydicom's own, its pixel data repeated."""
    dataset = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    repeated = max(1, round(megabytes * MEGABYTE / len(dataset.PixelData)))
    dataset.PixelData *= repeated  # and its rows left as they are: nobody here looks at the image
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ct.dcm"
        dataset.save_as(path)
        yield path
