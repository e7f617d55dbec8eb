"""Run the benchmarks and print their figures; a whole run also writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pytest

from tests.benchmarks import machine, plot
from tests.benchmarks.figure import EFFORT, QUICK, Effort, Figure
from tests.benchmarks.table import table

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
PLOTS = {"peers.svg": plot.beside_peers, "aims.svg": plot.beside_aims}

TOO_NOISY = 0.25
"""The share of noisy figures from which on a whole run is called noisy."""

EXPLANATION = """\
Medians of rounds that measure useridentity and its peer in turn, in one run; every acceptor, requestor and
client is a process of its own, on the loopback interface. The peer is stock pynetdicom where the line names no
other. The ratio is useridentity's figure over its peer's, and the aim is one for the ratio; without a peer it is
one for the figure. The spread tells how far the ratio of one round lay from another's: a line marked noisy should
be measured again on a quieter machine. `bash tests/bench.sh` measures again and rewrites this file; `--only NAME`
measures one thing and writes nothing; `--share 0.1` and `--rounds 3` measure less, and the head says so.
"""

BOUNDS = """\
## What bounds them

- `useridentity store` to DCMTK: pynetdicom's state machine, which takes each PDU through three queues and two
  threads in Python, about 60 microseconds for each; storescp asks for PDUs of 16 KiB, so that is most of a large
  object's time. Start-up, half a second, is most of a small transfer's. Data sets are not decoded, and pieces are
  read as they are sent. DCMTK's storescu has neither Python's start-up nor its queues.
- The adapter otherwise: pynetdicom's own work for each association and PDU; see docs/design-notes.md.
"""


def names() -> list[str]:
    """The benchmarks there are, without their `bench_`."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


@dataclass(slots=True)
class Run:
    """What was measured, and why the rest was not; `failed` where that was no missing part."""

    figures: list[Figure] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    failed: bool = False

    def measure(self, name: str) -> None:
        """Measure one benchmark; whatever becomes of it, the figures of the others are kept."""
        print(f"-- {name}", file=sys.stderr, flush=True)
        try:
            measure: Callable[[], list[Figure]] = import_module(f"tests.benchmarks.bench_{name}").measure
            self.figures += measure()
            return
        except (ImportError, pytest.skip.Exception) as missing:
            self.missing[name] = str(missing)
        except Exception as error:
            traceback.print_exc()
            self.missing[name] = f"failed: {type(error).__name__}"
            self.failed = True
        print(f"-- {name}: not measured: {self.missing[name]}", file=sys.stderr)

    def facts(self) -> Iterator[str]:
        """What the head of the report says of it."""
        effort = EFFORT.get()
        if effort != Effort():
            yield f"Effort: {effort.rounds} rounds, {effort.share:g} of the usual counts and sizes"
        yield summary(self.figures)
        for name, why in self.missing.items():
            yield f"Not measured: {name}: {why}"


def report(head: list[str], figures: list[Figure]) -> str:
    """The document that keeps a run."""
    facts = "\n".join(f"- {line}" for line in head)
    plots = "\n\n".join(f"![{name.removesuffix('.svg')}](benchmarks/{name})" for name in PLOTS)
    return f"# Benchmarks\n\n{facts}\n\n{EXPLANATION}\n{plots}\n\n{table(figures)}\n\n{BOUNDS}"


def summary(figures: list[Figure]) -> str:
    """Whether the run can be believed, and what it says."""
    noisy = sum(figure.noisy for figure in figures)
    aims = [figure for figure in figures if figure.reached is not None]
    reached = sum(bool(figure.reached) for figure in aims)
    said = f"Aims reached: {reached} of {len(aims)}. Noisy: {noisy} of {len(figures)} figures"
    return f"{said}; this was a noisy machine, measure again" if noisy > len(figures) * TOO_NOISY else said


def write(folder: Path, head: list[str], figures: list[Figure]) -> None:
    """The report, and the plots it shows."""
    (folder / "benchmarks").mkdir(parents=True, exist_ok=True)
    for name, draw in PLOTS.items():
        (folder / "benchmarks" / name).write_text(draw(figures))
    (folder / "benchmarks.md").write_text(report(head, figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names(), help="these benchmarks, and no report written")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual counts and sizes, as 0.1")
    parser.add_argument("--rounds", type=int, default=Effort().rounds, help="turns of each comparison")
    parser.add_argument("--quick", action="store_true", help="show that they run; the figures mean nothing")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    EFFORT.set(QUICK if arguments.quick else Effort(arguments.rounds, share=arguments.share))
    head = machine.description()
    print("\n".join(head), file=sys.stderr)
    run = Run()
    for name in arguments.only or names():
        run.measure(name)
    print(table(run.figures))
    print(*run.facts(), sep="\n")
    if not (arguments.only or arguments.quick):
        write(DOCS, [*head, f"Load average after the run: {machine.load():.1f}", *run.facts()], run.figures)
    sys.exit(run.failed)


if __name__ == "__main__":
    main()
