"""`useridentity demo`: a storage SCP behind a policy, peers that try to get in, and what became of each."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from useridentity.cli.demo.acceptor import Archive
    from useridentity.cli.demo.attempts import Attempt


def demo() -> None:
    """Run a guarded archive on this machine, let peers try to store in it, and show what each got.

    Needs no network, leaves nothing behind and takes a few seconds.
    """
    # Here, and not for every command that only wants the module: pynetdicom takes half a second to import.
    from useridentity.cli.demo.acceptor import Archive
    from useridentity.cli.demo.attempts import attempts

    # pynetdicom reports each refusal as an error of the requestor's; here they are the point.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="useridentity-demo-") as folder, Archive.open(Path(folder)) as archive:
        console.print(f"An archive listens on 127.0.0.1:{archive.port}, behind this policy:\n")
        console.print(archive.policy_text, style="dim", markup=False, highlight=False)
        table = _table()
        for attempt in attempts(Path(folder)):
            table.add_row(*_row(attempt, archive))
        console.print(table)
    console.print("Every refused peer got the same bytes, and none of its messages reached a handler.")


def _table() -> Table:
    table = Table(show_lines=False)
    for heading in ("sent", "decided", "why", "what the peer saw", "what got through"):
        table.add_column(heading, overflow="fold")
    return table


def _row(attempt: Attempt, archive: Archive) -> tuple[str, str, str, str, str]:
    saw = attempt.run(archive.port)
    decision = archive.next_decision()
    accepted = decision["outcome"] == "accepted"
    why = (
        f"{decision['subject']} ({decision['assurance']})"
        if accepted
        else f"{decision['reason']}: {decision['detail']}"
    )
    style = "green" if accepted else "red"
    return attempt.sent, f"[{style}]{decision['outcome']}[/]", why, saw, archive.what_got_through() or "nothing"
