"""`useridentity move`: have an acceptor store what it has, here or elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from useridentity.cli.requestor.examples import epilog
from useridentity.cli.requestor.interrupt import interruptible
from useridentity.cli.requestor.options import Options, Peer, Wanted, command
from useridentity.cli.requestor.output import Meter, Output
from useridentity.cli.requestor.peer import Target, only_target

if TYPE_CHECKING:
    from useridentity.cli.requestor.keeping import Folder

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
    where = only_target(peer, options)
    port = receive or (where.profile.receive if to in (None, where.calling) else None)
    if to is None and port is None:
        raise typer.BadParameter("where to? give a destination, or --receive PORT to receive here", param_hint="--to")
    destination = to or where.calling
    with (
        shown.progress("moving", None, "files") as meter,
        _reception(where, destination, port, policy, receive_tls, wanted.output, meter, shown) as folder,
        retrieved.telling(folder, shown),
    ):
        counts = interruptible(lambda stop: retrieve.move(where, query, chosen, destination, stop, meter), shown.note)
    retrieved.conclude(where, counts, folder, meter, shown)


@contextmanager
def _reception(
    where: Target,
    ae_title: str,
    port: int | None,
    policy: Path | None,
    over_tls: bool,
    output: Path,
    meter: Meter,
    shown: Output,
) -> Iterator[Folder | None]:
    """Receive meanwhile, if there is a port to receive on; where files are kept."""
    if port is None:
        yield None
        return
    from useridentity.cli.requestor.keeping import Folder
    from useridentity.cli.requestor.receiver import Reception, receiving, tls_of

    folder = Folder(output, meter.moved)
    reception = Reception(port, ae_title, policy or where.profile.policy, tls_of(where) if over_tls else None)
    with receiving(reception, where, folder, shown.note):
        yield folder
