"""`useridentity move`: have an acceptor store what it has, here or elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from useridentity.cli.requestor.examples import epilog
from useridentity.cli.requestor.interrupt import interruptible
from useridentity.cli.requestor.options import Options, Peer, Wanted, command
from useridentity.cli.requestor.output import Output
from useridentity.cli.requestor.peer import ae_title, only_acceptor

EPILOG = epilog("""\
useridentity move pacs.example.org 104 --to WS_2 -k StudyInstanceUID=1.2.3
useridentity move pacs --receive 11112 --to WS_1 -k StudyInstanceUID=1.2.3 --output study
useridentity move pacs --receive 11112 --to WS_1 --policy identity.toml -k PatientID=123
""")


@command
def move(
    peer: Peer,
    wanted: Wanted,
    to: Annotated[
        str | None,
        typer.Option(metavar="AE_TITLE", help="The destination; our own AE title if left out."),
    ] = None,
    receive: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=1, max=65535, help="Be the destination: receive on this port meanwhile."),
    ] = None,
    receive_tls: Annotated[
        bool, typer.Option("--receive-tls", metavar="", help="Receive over mutual TLS, with --ca, --cert and --key.")
    ] = False,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The policy file that says who may store here; everybody if left out."),
    ] = None,
    *,
    options: Options,
) -> None:
    """Have an acceptor store what it has elsewhere, or here (C-MOVE).

    It must know the destination by its AE title. With --receive the destination is here: files are named by their SOP
    Instance UIDs, and none is overwritten.
    """
    from useridentity.cli.requestor import retrieved
    from useridentity.cli.requestor import retrieving as retrieve

    shown = Output(options)
    query, chosen = retrieved.identifier(wanted, options)
    acceptor = only_acceptor(peer, options)
    port = receive or (acceptor.profile.receive if to in (None, acceptor.calling) else None)
    destination = acceptor.calling if to is None else ae_title(to, "--to")
    reception = None
    if port is not None:
        from useridentity.cli.requestor.receiver import prepared

        reception = prepared(acceptor, port, destination, policy, receive_tls, wanted.output)
    elif to is None:
        raise typer.BadParameter("where to? give a destination, or --receive PORT to receive here", param_hint="--to")
    else:
        _refuse_unused({"--policy": policy, "--receive-tls": receive_tls, "--output": wanted.output != Path()})
    where = acceptor.identified()
    folder = reception.folder if reception else None
    with (
        shown.progress("moving", None, "files") as meter,
        reception.open(meter.moved, shown.note) if reception else nullcontext(),
        retrieved.telling(folder, shown),
    ):
        counts = interruptible(lambda stop: retrieve.move(where, query, chosen, destination, stop, meter), shown.note)
    retrieved.conclude(where, counts, folder, meter, shown)


def _refuse_unused(receiving: Mapping[str, object]) -> None:
    """Raises `typer.BadParameter` for what was given and is for receiving, where nothing is received."""
    if given := [name for name, value in receiving.items() if value]:
        raise typer.BadParameter("is for receiving here: give --receive PORT too", param_hint=", ".join(given))
