"""The report of `policy test`, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from useridentity.cli.policy.cases import Case, Failure, run
from useridentity.cli.policy.output import say
from useridentity.policy import Policy


@dataclass(frozen=True, slots=True)
class Result:
    """A case, and where the policy decides otherwise."""

    case: Case
    failures: tuple[Failure, ...]


def run_all(cases: Iterable[Case], policy: Policy, now: datetime) -> list[Result]:
    """What becomes of each case."""
    return [Result(case, tuple(run(case, policy, now))) for case in cases]


def show(file: Path, results: Sequence[Result]) -> None:
    """Print one line for each case, and what was expected and found where it failed."""
    for result in results:
        if not result.failures:
            say(result.case.name, "ok      ")
            continue
        say(f"{result.case.name} ({file}:{result.case.line})", "FAILED  ")
        for failure in result.failures:
            say(f"{failure.key}: expected {failure.expected}, found {failure.found}", "          ")
    failed = sum(bool(result.failures) for result in results)
    say()
    say(f"{len(results)} {'case' if len(results) == 1 else 'cases'}, {failed or 'none'} failed.")


def plain(results: Iterable[Result]) -> Sequence[Mapping[str, object]]:
    """The same for scripts."""
    return [
        {
            "name": result.case.name,
            "line": result.case.line,
            "ok": not result.failures,
            "failures": [asdict(failure) for failure in result.failures],
        }
        for result in results
    ]
