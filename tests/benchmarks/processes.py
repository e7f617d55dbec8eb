"""The benchmarks' own programs, each in a process that ends when its standard input does."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lib.processes import served_by

HANG = 120.0
"""Seconds for a program's line: ten times what the longest measurement takes on a busy machine."""


class Program:
    """A running program of this package that answers in lines."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self._name = name
        self._process = process

    def line(self) -> str:
        """Its next line; raises `RuntimeError` where it ended or hangs."""
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], HANG)[0]:
            raise RuntimeError(f"{self._name} hangs")
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{self._name} ended; its standard error says why")
        return line

    def cpu_time(self) -> float:
        """Seconds of processor time it has used so far."""
        # The clock of another process, as clock_getcpuclockid(3) encodes it; /proc only counts hundredths.
        return time.clock_gettime((~self._process.pid << 3) | 2)


@contextmanager
def program(module: str, *arguments: object) -> Iterator[Program]:
    """Run `tests.benchmarks.<module>` until the block ends."""
    with served_by(sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)) as process:
        yield Program(module, process)


def run(module: str, *arguments: object) -> float:
    """The number that `tests.benchmarks.<module>` prints."""
    with program(module, *arguments) as running:
        return float(running.line())


class Server:
    """An acceptor in a process of its own."""

    def __init__(self, running: Program) -> None:
        self.port = int(running.line())
        self.cpu_time = running.cpu_time


@contextmanager
def servers(contexts: int) -> Iterator[tuple[Server, Server]]:
    """Ours and stock pynetdicom's, supporting Verification and so many contexts in all."""
    with program("acceptor", "ours", contexts) as ours, program("acceptor", "stock", contexts) as stock:
        yield Server(ours), Server(stock)
