"""How a command ends: one exit code for each kind of failure, words that say what to do next, and the same as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum

from useridentity.errors import UserIdentityError
from useridentity.printable import printable

GAP = "  "
STDOUT, STDERR = 1, 2


class Exit(IntEnum):
    """Exit codes: those up to 3, 130 and 141 are every command's, the others the requestor's."""

    DONE = 0
    UNUSABLE = 1
    USAGE = 2
    NOT_INSTALLED = 3
    UNREACHABLE = 4
    REJECTED = 5
    NOT_CONFIRMED = 6
    ABORTED = 7
    REFUSED = 8
    PARTIAL = 9
    NOT_SENT = 10
    INTERRUPTED = 130
    UNREAD = 141

    @property
    def word(self) -> str:
        """As in `--json`: not-confirmed."""
        return self.name.lower().replace("_", "-")


class Failure(UserIdentityError):
    """A command's end other than success.

    Fields:
        code: the kind of failure.
        problems: what happened, a sentence or several.
        advice: what to do next; may be empty.
        done: what had been done until then, for `--json`.
    """

    def __init__(
        self,
        code: Exit,
        problems: str | Iterable[str],
        advice: str = "",
        done: Mapping[str, object] | None = None,
    ) -> None:
        self.code = code
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        self.advice = advice
        self.done = done or {}
        super().__init__("\n".join(self.problems))

    @property
    def fields(self) -> dict[str, object]:
        """The object that `--json` prints."""
        told = {
            "outcome": self.code.word,
            "exit_code": int(self.code),
            "message": str(self),
            "advice": self.advice,
        }
        return {**self.done, **told}


def interrupted() -> Failure:
    """Ctrl-C."""
    return Failure(Exit.INTERRUPTED, "interrupted")


def tell(failure: Failure, *, as_json: bool) -> None:
    """Say it on standard error, and for scripts as an object on standard output."""
    for problem in failure.problems:
        complain("error: ", "bold red", problem)
    if failure.advice:
        complain(GAP, "", failure.advice)
    if as_json:
        print(json.dumps(failure.fields), flush=True)


@contextmanager
def on_standard_error() -> Iterator[None]:
    """Write there; a disk that takes no more of it ends no command, whose exit code still tells what became of it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        discard(STDERR)


def discard(descriptor: int) -> None:
    """Let go of all that is still written there, at the very end too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


@on_standard_error()
def complain(label: str, style: str, what: str) -> None:
    """A line on standard error, its label in a colour where there are any."""
    try:
        from rich.console import Console
        from rich.padding import Padding
        from rich.text import Text
    except ModuleNotFoundError:  # which may be what is complained of
        print(label + printable(what), file=sys.stderr)
        return
    console = Console(stderr=True, highlight=False)
    console.soft_wrap = not console.is_terminal  # folded between words for people, never for scripts
    if label.strip() or not console.is_terminal:
        console.print(Text(label, style) + Text(printable(what)))
    else:
        console.print(Padding(Text(printable(what)), (0, 0, 0, len(label))))
