"""The command `useridentity`: one module for each command, imported when the command line is read.

Every end is told here (`useridentity.cli.ending`), so that it is told alike whatever the command was.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from useridentity.cli.ending import STDOUT, Exit, Failure, discard, interrupted, tell
from useridentity.errors import ConfigurationError

if TYPE_CHECKING:
    from typer import Typer

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What is told of an output that takes no more."""

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Which would leave processes and files behind, and the peer without a word."""

STREAMS = {"stdin": "r", "stdout": "w", "stderr": "w"}
"""How each is opened where whoever started us has closed it: what is opened next would be in its place."""

EXTRAS = {"typer": "cli", "rich": "cli", "argon2": "passcode"}
"""The extra that each module comes with."""


def main() -> None:
    """The console script; leaves the process with one of the codes of `Exit`, or of the command's own."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # it would hold secrets
    for name, mode in STREAMS.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  until the process ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that its encoding has not is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            with _ending_in_order():
                code = _run()
            sys.stdout.flush()
        except (Failure, ConfigurationError, ModuleNotFoundError, KeyboardInterrupt, OSError) as error:
            failure = _failure(error)
            tell(failure, as_json="--json" in sys.argv)
            sys.stdout.flush()
            code = failure.code
    except BrokenPipeError:
        discard(STDOUT)
        code = Exit.UNREAD
    sys.exit(code)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Have the signals of `ENDING` end what runs as Ctrl-C does, unless they are to be ignored, as `nohup` wants it."""
    default = [each for each in ENDING if signal.getsignal(each) is signal.SIG_DFL]
    for each in default:
        signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each in default:
            signal.signal(each, signal.SIG_DFL)


def _run() -> int:
    """What the command line asks for; its exit code. Raises what ends it otherwise."""
    application = _application()
    import typer

    usage_error: Any = typer.BadParameter.__base__  # click's own, or the one that newer releases bring
    try:
        code = int(application(prog_name="useridentity", standalone_mode=False) or 0)
    except usage_error as error:
        raise _misused(error) from None
    except typer.Abort:
        raise Failure(Exit.UNUSABLE, "nothing was given at the prompt") from None
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # for which typer has an exit of its own
            raise ended.__context__ from None
        raise
    if code == Exit.INTERRUPTED:  # what typer makes of Ctrl-C
        raise interrupted()
    return code


def _misused(error: Any) -> Failure:
    """A command line that is wrong, as typer tells it."""
    if not (message := error.format_message()):  # nothing was asked for, and the help has been shown
        return Failure(Exit.USAGE, ())
    message = message.replace("Value error, ", "")  # which newer releases of typer say of a word that is none
    command = error.ctx.command_path if error.ctx else "useridentity"
    return Failure(Exit.USAGE, message, f"`{command} --help` has the options, with examples")


def _failure(error: BaseException) -> Failure:
    """What an error is to whoever ran the command; raises those that are nobody's but ours."""
    match error:
        case Failure():
            return error
        case ConfigurationError():
            is_missing = isinstance(error.__cause__, ModuleNotFoundError)
            return Failure(Exit.NOT_INSTALLED if is_missing else Exit.UNUSABLE, error.problems)
        case ModuleNotFoundError():
            return _not_installed(error)
        case KeyboardInterrupt():
            return interrupted()
        case OSError() if error.errno in FULL:
            discard(STDOUT)  # what is left to write would fail again at the very end
            return Failure(Exit.UNUSABLE, f"cannot write: {error.strerror}", "make room, or write elsewhere")
    raise error


def _not_installed(error: ModuleNotFoundError) -> Failure:
    module = (error.name or "").partition(".")[0]
    if "useridentity[" in str(error):  # a mechanism's own words
        return Failure(Exit.NOT_INSTALLED, str(error))
    if module not in EXTRAS:
        raise error
    return Failure(Exit.NOT_INSTALLED, f"{module} is not installed: pip install 'useridentity[{EXTRAS[module]}]'")


def _application() -> Typer:
    import typer

    from useridentity.cli import audit, demo, echo, find, get, move, passcode, policy, reload, store, version

    # A traceback with local variables would show passcodes.
    application = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    application.callback()(version.options)
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
