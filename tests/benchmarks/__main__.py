"""Run the benchmarks and print their figures; a whole run also writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.benchmarks import machine
from tests.benchmarks.figure import EFFORT, QUICK, Figure
from tests.benchmarks.table import table

HERE = Path(__file__).parent
REPORT = HERE.parent.parent / "docs" / "benchmarks.md"

EXPLANATION = """\
Medians of rounds that measure useridentity and its peer in turn, in one run; every acceptor, requestor and
client is a process of its own, on the loopback interface. The peer is stock pynetdicom where the line names no
other. The ratio is useridentity's figure over its peer's, and the aim is one for the ratio; without a peer it is
one for the figure. The spread tells how far the ratio of one round lay from another's: a line marked noisy should
be measured again on a quieter machine. `bash tests/bench.sh` measures again and rewrites this file.
"""


def names() -> list[str]:
    """The benchmarks there are, without their `bench_`."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def measured(name: str) -> list[Figure]:
    """The figures of one benchmark; none where a part that it needs is missing, which is said."""
    print(f"-- {name}", file=sys.stderr, flush=True)
    try:
        measure: Callable[[], list[Figure]] = import_module(f"tests.benchmarks.bench_{name}").measure
        return measure()
    except (ImportError, pytest.skip.Exception) as missing:
        print(f"-- {name}: not measured: {missing}", file=sys.stderr)
        return []


def report(head: list[str], figures: list[Figure]) -> str:
    """The document that keeps a run."""
    facts = "\n".join(f"- {line}" for line in head)
    return f"# Benchmarks\n\n{facts}\n\n{EXPLANATION}\n{table(figures)}\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names(), help="these benchmarks, and no report written")
    parser.add_argument("--quick", action="store_true", help="show that they run; the figures mean nothing")
    return parser.parse_args()


def _all(chosen: list[str]) -> Iterator[Figure]:
    for name in chosen:
        yield from measured(name)


def main() -> None:
    arguments = _arguments()
    if arguments.quick:
        EFFORT.set(QUICK)
    head = machine.description()
    print("\n".join(head), file=sys.stderr)
    figures = list(_all(arguments.only or names()))
    print(table(figures))
    if not (arguments.only or arguments.quick):
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(report(head, figures))


if __name__ == "__main__":
    main()
