"""The command `useridentity`: one module for each command, imported when the command line is read.

Exit codes: 0 done; 1 what was named cannot be used, or the user gave up; 2 the command line is wrong;
3 an extra is not installed.
"""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

from useridentity.errors import ConfigurationError
from useridentity.printable import printable

if TYPE_CHECKING:
    from typer import Typer

UNUSABLE = 1
EXTRA_MISSING = 3

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What is told of an output that takes no more."""

EXTRAS = {"typer": "cli", "rich": "cli", "argon2": "passcode"}
"""The extra that each module comes with."""


def main() -> None:
    """The console script; leaves the process with one of the exit codes above."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # which may be ASCII, and should show what it can
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            _application()()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except ConfigurationError as error:
        sys.exit(_complain(UNUSABLE, *error.problems))
    except OSError as error:
        if error.errno not in FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left to write would fail again at the very end
        sys.exit(_complain(UNUSABLE, f"cannot write: {error.strerror}"))
    except ModuleNotFoundError as missing:
        module = (missing.name or "").partition(".")[0]
        if "useridentity[" in str(missing):  # a mechanism's own words
            sys.exit(_complain(EXTRA_MISSING, str(missing)))
        if module not in EXTRAS:
            raise
        sys.exit(_complain(EXTRA_MISSING, f"{module} is not installed: pip install 'useridentity[{EXTRAS[module]}]'"))


def _application() -> Typer:
    import typer

    from useridentity.cli import audit, demo, echo, find, get, move, passcode, policy, reload, store

    # A traceback with local variables would show passcodes.
    application = typer.Typer(
        help="DICOM user identity: sent, verified, enforced.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    # One line for each command.
    application.add_typer(audit.app, name="audit")
    application.command("demo")(demo.demo)
    application.command("echo", epilog=echo.EPILOG)(echo.echo)
    application.command("find", epilog=find.EPILOG)(find.find)
    application.add_typer(passcode.app, name="passcode")
    application.add_typer(policy.app, name="policy")
    application.command("reload")(reload.reload)
    application.command("store", epilog=store.EPILOG)(store.store)
    application.command("get", epilog=get.EPILOG)(get.get)
    application.command("move", epilog=move.EPILOG)(move.move)
    return application


def _complain(exit_code: int, *problems: str) -> int:
    for problem in problems:
        print(f"error: {printable(problem)}", file=sys.stderr)
    return exit_code
