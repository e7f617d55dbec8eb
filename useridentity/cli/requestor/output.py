"""What a command shows: results on standard output, everything else on standard error.

On a terminal results are tables and sentences; elsewhere lines of fields separated by tabs, or JSON.
What a peer or a file says is shown escaped: it could move the cursor, or pretend to be another line.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from useridentity.cli.ending import Exit, Failure, complain, on_standard_error
from useridentity.cli.requestor.options import Options
from useridentity.printable import printable

KILOBYTE, MEGABYTE = 1_000, 1_000_000
REFRESH = 10  # a second
BAR = 30
"""Characters; with what stands beside them less than a line, so that the ^C of a terminal is taken away with it."""

LOGGERS = ("useridentity", "pynetdicom", "pydicom")
"""Without handlers of their own the logging module would print what they warn of, as pydicom's warnings would be:
among the results, and with what a peer sent in them."""


@contextmanager
def results_only() -> Iterator[None]:
    """Nothing but what a command says itself comes out."""
    for name in LOGGERS:
        if not logging.getLogger(name).handlers:
            logging.getLogger(name).addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _console(*, stderr: bool) -> Console:
    """Sentences are folded between words on a terminal, and nowhere else."""
    console = Console(stderr=stderr, highlight=False)
    console.soft_wrap = not console.is_terminal
    return console


class Output:
    """Standard output and error, as the options want them."""

    def __init__(self, options: Options) -> None:
        self.json = options.json
        self._quiet = options.quiet
        self._out = _console(stderr=False)
        self._error = _console(stderr=True)
        if options.verbose:
            level = logging.DEBUG if options.verbose > 1 else logging.INFO
            logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s")
            logging.getLogger("pynetdicom").setLevel(level)

    @property
    def is_terminal(self) -> bool:
        """Whether results are for people."""
        return self._out.is_terminal and not self.json

    def ended(self, sentence: str, fields: Mapping[str, object], failure: Failure | None = None) -> None:
        """What was done: a sentence, or its fields as a line of JSON; raises `failure` with them if there is one."""
        if sentence and not self.json and not self._quiet:
            self._out.print(Text(printable(sentence)))
        if failure is not None:
            failure.done = fields
            raise failure
        if self.json:
            self.record({**fields, "exit_code": int(Exit.DONE)})

    def record(self, fields: Mapping[str, object]) -> None:
        """A line of JSON."""
        print(json.dumps(fields), flush=True)

    def line(self, cells: Iterable[str]) -> None:
        """A line of fields separated by tabs."""
        print("\t".join(map(printable, cells)), flush=True)

    def note(self, sentence: str) -> None:
        """By the way."""
        if not self._quiet:
            with on_standard_error():
                self._error.print(Text(printable(sentence)))

    def problem(self, sentence: str) -> None:
        """Something that went wrong without ending the command."""
        complain("warning: ", "yellow", sentence)

    @contextmanager
    def progress(self, what: str, total: int | None, unit: str) -> Iterator[Meter]:
        """A bar on standard error, where that is a terminal: how many of `total`, how fast, how long still."""
        shown = self._error.is_terminal and not self._quiet and not (self.json and self._out.is_terminal)
        shown = shown and not self._error.is_dumb_terminal  # which cannot take back what it shows
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=BAR),
            TextColumn("{task.fields[counted]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
        )
        bar = Progress(
            *columns,
            console=self._error,
            disable=not shown,
            transient=True,
            refresh_per_second=REFRESH,
            redirect_stdout=False,
            redirect_stderr=False,  # results stay on standard output
        )
        with bar:
            yield Meter(bar, what, total, unit)


class Meter:
    """How far a long work is. Told of every piece, it shows some: drawing takes longer than sending."""

    def __init__(self, bar: Progress, what: str, total: int | None, unit: str) -> None:
        self._bar = bar
        self._unit = unit
        self._started = time.monotonic()
        self._shown = 0.0
        self._octets_wanted = total
        self._done = 0
        self._of: int | None = None
        self.octets = 0
        self._task = bar.add_task(what, total=total, counted="", rate="")

    def stop(self) -> None:
        """Show no more; what comes out shows how far it is."""
        self._bar.stop()

    @property
    def seconds(self) -> float:
        """Since the beginning, never zero."""
        return max(time.monotonic() - self._started, 1e-6)

    @property
    def rate(self) -> str:
        """Octets a second so far, in words."""
        return f"{_amount(self.octets / self.seconds)}/s"

    @property
    def summary(self) -> str:
        """How much it was, how long it took, and how fast that is."""
        return f"{_amount(self.octets)} in {self.seconds:.1f} s, {self.rate}"

    def moved(self, octets: int) -> None:
        """So many more octets have gone or come."""
        self.octets += octets
        self._show()

    def counted(self, done: int, of: int | None) -> None:
        """So many things are done, of so many if that is known."""
        self._done, self._of = done, of
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown < 1 / REFRESH:
            return
        self._shown = now
        completed, total = (self.octets, self._octets_wanted) if self._octets_wanted else (self._done, self._of)
        counted = f"{self._done}/{self._of} {self._unit}" if self._of else f"{self._done} {self._unit}"
        rate = self.rate if self.octets else ""
        self._bar.update(self._task, completed=completed, total=total, counted=counted, rate=rate)


def _amount(octets: float) -> str:
    return f"{octets / MEGABYTE:.1f} MB" if octets >= MEGABYTE else f"{octets / KILOBYTE:.0f} kB"
