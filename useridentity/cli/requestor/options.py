"""The options that every requestor's command has, written once, and what becomes of a command's end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from useridentity.cli.gathering import gathering
from useridentity.cli.requestor.completion import identity_words, keys, peer_and_file_names, peer_names
from useridentity.cli.requestor.identity import KINDS
from useridentity.credential import ConfirmationWord
from useridentity.tls import Profile

LONGEST = 86_400
"""Seconds of a time-out, a day: the system takes no endless ones."""

IDENTITY, TLS, OUTPUT = "Identity", "TLS (PS3.15 B.12; used where there is --ca)", "Output"


def _peer(metavar: str, more: str, completed: Callable[[str], list[str]]) -> Any:
    help_ = f"The acceptor: its host and port, or its name in the profiles file{more}."
    return typer.Argument(metavar=metavar, help=help_, autocompletion=completed, show_default=False)


Peer = Annotated[list[str], _peer("HOST PORT | PROFILE", "", peer_names)]
PeerAndFiles = Annotated[
    list[str],
    _peer("HOST PORT | PROFILE  FILES", "; then files, folders and globs", peer_and_file_names),
]
Keys = Annotated[
    list[str],
    typer.Option(
        "-k",
        metavar="NAME=VALUE",
        help="An attribute to match, by keyword or tag; in a sequence: Sequence.Attribute. May be repeated.",
        autocompletion=keys,
    ),
]
Identifier = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="More attributes, as JSON (PS3.18 F.2, or keywords with plain values); - for standard input.",
    ),
]
LevelWord = Annotated[
    Literal["patient", "study", "series", "image"] | None,
    typer.Option(metavar="LEVEL", help="patient, study, series or image; that of the lowest UID given if left out."),
]
ModelWord = Annotated[
    Literal["study", "patient"] | None,
    typer.Option(
        metavar="MODEL",
        help="The information model, study or patient; study, or patient for all of a patient, if left out.",
    ),
]
OutputFolder = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FOLDER",
        help="Where files go; made if missing; here if left out.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the options of `get` and `move` say is to be retrieved, and the folder for files."""

    keys: Keys = ()  # type: ignore[assignment]  # a list, once it is parsed
    identifier: Identifier = None
    level: LevelWord = None
    model: ModelWord = None
    output: OutputFolder = Path()


def _option(help_: str, *names: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, help=help_, rich_help_panel=panel, show_default=False, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the shared options say; None where one was left out, and the profile or its default counts."""

    calling: Annotated[str | None, _option("Our AE title; USERIDENTITY if left out.", metavar="AE_TITLE")] = None
    called: Annotated[str | None, _option("The acceptor's AE title; ANY-SCP if left out.", metavar="AE_TITLE")] = None
    timeout: Annotated[
        float,
        _option(
            "Seconds to wait for the acceptor: to connect, and for each answer; 30.",
            metavar="SECONDS",
            min=0.1,
            max=LONGEST,
        ),
    ] = 30.0
    profiles: Annotated[
        Path | None, _option("The profiles file; profiles.toml of ~/.config/useridentity if left out.", metavar="FILE")
    ] = None
    identity: Annotated[
        str | None,
        _option(
            f"Who calls: {'; '.join(KINDS.values())}.",
            metavar="KIND:WHO",
            panel=IDENTITY,
            autocompletion=identity_words,
        ),
    ] = None
    passcode_file: Annotated[
        str | None,
        _option(
            "Read the passcode from this file, - for standard input, less one line end; else from "
            "USERIDENTITY_PASSCODE, else it is asked for.",
            metavar="FILE",
            panel=IDENTITY,
        ),
    ] = None
    confirmation: Annotated[
        ConfirmationWord | None,
        _option(
            "Whether the acceptor must confirm the identity: required, wanted or none; required if left out.",
            metavar="WORD",
            panel=IDENTITY,
        ),
    ] = None
    plaintext: Annotated[
        Literal["refuse", "allow"] | None,
        _option(
            "What to do with a secret where no TLS certificate is verified: refuse or allow; refuse if left out.",
            metavar="WORD",
            panel=IDENTITY,
        ),
    ] = None
    ca: Annotated[
        Path | None,
        _option(
            "PEM file of the authorities that the acceptor's certificate must come from.", metavar="FILE", panel=TLS
        ),
    ] = None
    cert: Annotated[Path | None, _option("PEM file of our certificate, for mutual TLS.", metavar="FILE", panel=TLS)] = (
        None
    )
    key: Annotated[Path | None, _option("PEM file of its key.", metavar="FILE", panel=TLS)] = None
    crl: Annotated[
        Path | None, _option("PEM file of the authorities' revocation lists.", metavar="FILE", panel=TLS)
    ] = None
    server_name: Annotated[
        str | None, _option("The name in the acceptor's certificate; HOST if left out.", metavar="NAME", panel=TLS)
    ] = None
    tls_profile: Annotated[Profile | None, _option("Of PS3.15; B.12 if left out.", panel=TLS)] = None
    json: Annotated[
        bool, _option("Results as JSON on standard output, one object a line.", "--json", panel=OUTPUT, metavar="")
    ] = False
    quiet: Annotated[bool, _option("Results and errors only.", "--quiet", "-q", panel=OUTPUT, metavar="")] = False
    verbose: Annotated[
        int,
        _option(
            "Log what pynetdicom does; twice for its PDUs.", "--verbose", "-v", panel=OUTPUT, count=True, metavar=""
        ),
    ] = 0


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Give `function` an option for each field of its parameter `options`, and have it say nothing but its results."""
    from useridentity.cli.requestor.output import results_only

    @wraps(function)
    def with_results_only(**given: Any) -> None:
        with results_only():
            function(**given)

    # Typer folds a paragraph at the terminal's width only where it is one line.
    paragraphs = (function.__doc__ or "").split("\n\n")
    with_results_only.__doc__ = "\n\n".join(" ".join(each.split()) for each in paragraphs)
    return gathering(with_results_only)
