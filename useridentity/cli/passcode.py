"""`useridentity passcode set|remove|list`: keeps the file of a passcode store.

A passcode is asked for on the terminal, twice and without echo, or read from a file; never from the
command line, which every user of the machine can see.
"""

from __future__ import annotations

import os
import stat
import sys
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from useridentity.cli.ending import Exit, Failure, complain
from useridentity.errors import ConfigurationError

if TYPE_CHECKING:
    from useridentity.mechanisms.passcode import User

app = typer.Typer(help="Keep a passcode file.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The passcode file.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The username.")]


@app.command("set")
def set_(
    file: File,
    name: Name,
    passcode_file: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Read the passcode from PATH, less one line end; - is standard input."),
    ] = None,
    display_name: Annotated[str | None, typer.Option(help="The user's name for people; unchanged if left out.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="A group of the user; may be repeated; unchanged if left out.")
    ] = None,
) -> None:
    """Give a user a passcode; adds the user and makes the file, mode 0600, where there is none."""
    from useridentity.mechanisms.passcode_file import set_passcode, users
    from useridentity.mechanisms.passcode_records import canonical

    canonical(name)
    if file.exists():
        users(file)  # whatever is wrong with the file is said before anybody types
    passcode = _asked(name) if passcode_file is None else read_passcode(passcode_file)
    set_passcode(file, name, passcode, display_name, group or None)
    print(f"passcode of {name} set in {file}")


@app.command("remove")
def remove(file: File, name: Name) -> None:
    """Take a user out of the file."""
    from useridentity.mechanisms.passcode_file import remove_user

    remove_user(file, name)
    print(f"{name} removed from {file}")


@app.command("list")
def list_(file: File) -> None:
    """List the users: a table on a terminal; elsewhere a line each, its fields separated by tabs."""
    from useridentity.mechanisms.passcode_file import users

    found = users(file)
    if sys.stdout.isatty():
        Console().print(_table(found))
        return
    for user in found:
        print(user.user_id, user.display_name, ",".join(sorted(user.groups)), sep="\t")


def _table(users: tuple[User, ...]) -> Table:
    table = Table("user", "display name", "groups")
    for user in users:
        # Text, because a string would be read for markup.
        table.add_row(Text(user.user_id), Text(user.display_name), Text(", ".join(sorted(user.groups))))
    return table


def _asked(name: str) -> bytes:
    if not sys.stdin.isatty():
        raise ConfigurationError("standard input is no terminal to ask on: give --passcode-file PATH, or - for a pipe")
    passcode, again = ask(f"Passcode for {name}: "), ask("Again: ")
    if passcode != again:
        raise ConfigurationError("the two passcodes differ; nothing was changed")
    return passcode.encode("utf-8", "surrogateescape")


def ask(prompt: str) -> str:
    """What is typed on the terminal, without showing it; the line ends where the user gives up, too.

    Raises `ConfigurationError` for what is no text.
    """
    try:
        return getpass(prompt)
    except UnicodeDecodeError:
        raise ConfigurationError("what was typed is not text of this locale; nothing was done") from None
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise


def read_passcode(path: str) -> bytes:
    """The passcode in a file, or on standard input for "-", less one line end; raises `ConfigurationError`, or
    `Failure` for a file that is not there."""
    from useridentity.mechanisms.passcode_file import MAX_PASSCODE

    if path == "-" and sys.stdin.isatty():
        raise ConfigurationError("standard input is a terminal and would show the passcode: leave --passcode-file out")
    if path != "-" and not os.path.lexists(path):
        raise no_file(Exit.UNUSABLE, "--passcode-file", "passcode")
    try:
        with open(0 if path == "-" else path, "rb") as file:
            _warn_if_open(path, os.fstat(file.fileno()).st_mode)
            read = file.read(MAX_PASSCODE + 3)  # which shows it as too long, whatever its line end
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    passcode = read.removesuffix(b"\n").removesuffix(b"\r") if read.endswith(b"\n") else read
    if len(passcode) > MAX_PASSCODE:
        raise ConfigurationError(f"{path}: the passcode is longer than {MAX_PASSCODE} bytes")
    return passcode


def no_file(code: Exit, given: str, what: str) -> Failure:
    """The failure where there is no file of that name, which it does not repeat: it may be the secret itself."""
    advice = f"if that was the {what} itself, others could see it: change it, and give the name of a file that has it"
    return Failure(code, f"{given} names no file that is there", advice)


def _warn_if_open(path: str, mode: int) -> None:
    if stat.S_ISREG(mode) and mode & 0o077:
        complain("warning: ", "yellow", f"{path} is open to other users: chmod 600 it, or remove it")
