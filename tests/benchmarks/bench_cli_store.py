"""Megabytes a second of `useridentity store` to DCMTK's storescp, beside stock pynetdicom's storescu and DCMTK's.

Each is a process from its start to its end, reading files that the system has cached. The acceptor takes PDUs of
its usual 16 KiB and keeps nothing (`--ignore`), so that no disk is measured.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from tests.benchmarks.figure import EFFORT, Figure, compare
from tests.lib.archive import storescp
from tests.parts import require

MEGABYTE = 1_000_000
OBJECTS, OBJECT_MEGABYTES = 1000, 0.5
LARGE_MEGABYTES = 1000
ROUNDS = 3
"""Turns at most: stock pynetdicom needs half a minute for one."""

AIM = 1.5
"""Issue 8: of stock pynetdicom's rate."""

CHUNK = bytes(MEGABYTE)


class Done(NamedTuple):
    """What a process took: seconds, and megabytes of memory at its peak."""

    seconds: float
    memory: float


def measure() -> list[Figure]:
    """A thousand CT images, then one large object."""
    effort = EFFORT.get()
    token = EFFORT.set(replace(effort, rounds=min(effort.rounds, ROUNDS)))
    try:
        with TemporaryDirectory() as folder, storescp(None) as scp:
            return list(_figures(Path(folder), scp.port))
    finally:
        EFFORT.reset(token)


def _figures(folder: Path, port: int) -> Iterator[Figure]:
    times = EFFORT.get().times
    many, large = folder / "many", folder / "large"
    images(many, times(OBJECTS))
    yield from _rates(many, port, f"{OBJECTS:,} CT of {OBJECT_MEGABYTES} MB")
    large.mkdir()
    write_large(large / "large.dcm", times(LARGE_MEGABYTES))
    yield from _rates(large, port, "1 object of 1 GB")
    yield compare(
        "store 1 object of 1 GB, peak memory",
        lambda: run(*ours(large, port)).memory,
        lambda: run(*stock(large, port)).memory,
        "MB",
        aim=0.5,
        higher_is_better=False,
    )


def _rates(folder: Path, port: int, what: str) -> Iterator[Figure]:
    octets = sum(path.stat().st_size for path in folder.iterdir()) / MEGABYTE
    measured = {maker.__name__: partial(_rate, octets, maker(folder, port)) for maker in (ours, stock, dcmtk)}
    yield compare(f"store {what}, beside pynetdicom's", measured["ours"], measured["stock"], "MB/s", aim=AIM)
    yield compare(f"store {what}, beside DCMTK's", measured["ours"], measured["dcmtk"], "MB/s")


def _rate(megabytes: float, command: list[str]) -> float:
    return megabytes / run(*command).seconds


def ours(folder: Path, port: int) -> list[str]:
    """`useridentity store`."""
    script = Path(sys.executable).with_name("useridentity")
    return [str(script), "store", "127.0.0.1", str(port), str(folder), "--quiet"]


def stock(folder: Path, port: int) -> list[str]:
    """pynetdicom's, proposing the contexts that the files need, as ours does."""
    return [sys.executable, "-m", "pynetdicom", "storescu", "-q", "-r", "-cx", "127.0.0.1", str(port), str(folder)]


def dcmtk(folder: Path, port: int) -> list[str]:
    """DCMTK's."""
    return [require("storescu"), "+sd", "127.0.0.1", str(port), str(folder)]


def run(*command: str) -> Done:
    """Run to the end; raises `RuntimeError` where it fails."""
    started = time.perf_counter()
    # Without TCP_NODELAY DCMTK waits 40 ms for each acknowledgement on loopback.
    pid = os.posix_spawn(command[0], command, os.environ | {"TCP_NODELAY": "1"})
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{Path(command[0]).name} ended with {os.waitstatus_to_exitcode(status)}")
    return Done(seconds, usage.ru_maxrss * 1024 / MEGABYTE)


def images(folder: Path, count: int) -> None:
    """So many CT images with UIDs of their own."""
    folder.mkdir()
    dataset = _small()
    dataset.PixelData *= round(OBJECT_MEGABYTES * MEGABYTE / len(dataset.PixelData))
    for number in range(1, count + 1):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.4.{number}")
        dataset.save_as(folder / f"{number:04}.dcm")


def write_large(path: Path, megabytes: int) -> None:
    """A CT image of this size, written without holding it: its pixel data last, their length put in by hand."""
    dataset = _small()
    dataset.PixelData = b""
    dataset.save_as(path)
    with path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)  # Explicit VR Little Endian, OW: the last of its header
        file.write((megabytes * len(CHUNK)).to_bytes(4, "little"))
        for _ in range(megabytes):
            file.write(CHUNK)


def _small() -> Dataset:
    dataset = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    del dataset[0xFFFCFFFC]  # trailing padding: the pixel data are to be last
    return dataset
