"""`useridentity get`: what an acceptor has, on the same association."""

from __future__ import annotations

from typing import Annotated

import typer

from useridentity.cli.requestor.completion import storage_names
from useridentity.cli.requestor.examples import epilog
from useridentity.cli.requestor.interrupt import interruptible
from useridentity.cli.requestor.options import Options, Peer, Wanted, command
from useridentity.cli.requestor.output import Output
from useridentity.cli.requestor.peer import only_acceptor

EPILOG = epilog("""\
useridentity get pacs.example.org 104 -k StudyInstanceUID=1.2.3 --output study
useridentity get pacs -k PatientID=123 --output patient --sop-class CTImageStorage
useridentity get pacs --identifier series.json --json
""")


@command
def get(
    peer: Peer,
    wanted: Wanted,
    sop_class: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="A SOP class to retrieve, by keyword or UID; the usual ones if left out. May be repeated.",
            autocompletion=storage_names,
        ),
    ] = [],  # noqa: B006  typer copies it
    *,
    options: Options,
) -> None:
    """Retrieve from an acceptor, on the same association (C-GET).

    Files are named by their SOP Instance UIDs, and none is overwritten.
    """
    from useridentity.cli.requestor import retrieved
    from useridentity.cli.requestor import retrieving as retrieve
    from useridentity.cli.requestor.keeping import Folder

    shown = Output(options)
    query, chosen = retrieved.identifier(wanted, options)
    classes = retrieve.storage_classes(sop_class)
    acceptor = only_acceptor(peer, options)
    folder = Folder(wanted.output)
    where = acceptor.identified()
    with shown.progress("retrieving", None, "files") as meter, retrieved.telling(folder, shown):
        folder.moved = meter.moved
        counts = interruptible(
            lambda stop: retrieve.get(where, query, chosen, classes, folder, stop, meter), shown.note
        )
    retrieved.conclude(where, counts, folder, meter, shown)
