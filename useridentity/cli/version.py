"""`useridentity --version`."""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Annotated

import typer


def _show(asked: bool) -> None:
    if asked:
        print(f"useridentity {installed('useridentity')}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_show, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """DICOM user identity: sent, verified, enforced."""
