"""The demonstration: gather the parts, open the archive, let every peer try, print."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from useridentity.cli.demo.acceptor import Archive
from useridentity.cli.demo.assertions import saml
from useridentity.cli.demo.broken import broken
from useridentity.cli.demo.certificates import certificates
from useridentity.cli.demo.names import passcode, username
from useridentity.cli.demo.part import Attempt, Part
from useridentity.cli.demo.peers import dcmtk
from useridentity.cli.demo.table import Row, table
from useridentity.cli.demo.tickets import kerberos
from useridentity.cli.demo.tokens import jwt
from useridentity.testing import missing_programs


@dataclass(frozen=True, slots=True)
class Kind:
    """A part that may be impossible here.

    Fields:
        make: begins the part, which keeps its files in the folder.
        extra: of this package that it needs, and `module` that comes with it.
        packages: of the system that it needs and that are missing.
    """

    make: Callable[[Path], AbstractContextManager[Part]]
    extra: str = ""
    module: str = ""
    packages: Callable[[], Sequence[str]] = list

    def lacks(self) -> str:
        """How to install what is missing first; empty where nothing is."""
        if self.module and find_spec(self.module) is None:
            return f"pip install 'useridentity[{self.extra}]'"
        packages = self.packages()
        return f"apt-get install {' '.join(packages)}" if packages else ""


KINDS = {
    "usernames": Kind(username),
    "passcodes": Kind(passcode, "passcode", "argon2"),
    "Kerberos": Kind(kerberos, "kerberos", "gssapi", missing_programs),
    "SAML": Kind(saml, "saml", "signxml"),
    "JWT": Kind(jwt, "jwt", "jwt"),
    "certificates": Kind(certificates, "certificate", "cryptography"),
    "broken identities": Kind(broken),
}


def show() -> None:
    """Run and print it all; ends whatever it started, also when it is interrupted."""
    # pynetdicom reports each refusal as an error of the requestor's; here they are the point.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    console = Console(highlight=False)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="useridentity-demo-")))
        parts, absent = _begin(folder, running)
        archive = running.enter_context(Archive.open(folder, parts))
        tls = f" and, with TLS, {archive.tls_port}" if archive.tls_port else ""
        console.print(f"An archive listens on 127.0.0.1:{archive.port}{tls}, behind this policy:\n")
        console.print(archive.policy_text, style="dim", markup=False)
        groups = [[_row(attempt, archive) for attempt in part.attempts] for part in parts]
        console.print(table(groups, console.width))
    console.print("Every refused peer got the same bytes; none of its messages reached a handler.")
    for name, reason in absent.items():
        console.print(f"Without {name}: {reason}", style="dim", markup=False)


def _begin(folder: Path, running: ExitStack) -> tuple[list[Part], dict[str, str]]:
    """The parts that are possible here, and for the others why they are not."""
    parts, absent = [], {} if dcmtk() else {"DCMTK's storescu": "apt-get install dcmtk"}
    for name, kind in KINDS.items():
        reason = kind.lacks()
        try:
            if not reason:
                parts.append(running.enter_context(kind.make(folder)))
        except (ImportError, RuntimeError) as error:  # an extra, or a KDC, that does not work here
            reason = str(error)
        if reason:
            absent[name] = reason
    return parts, absent


def _row(attempt: Attempt, archive: Archive) -> Row:
    saw = attempt.run(archive.tls_port if attempt.tls else archive.port)
    decision = archive.next_decision()
    if decision["outcome"] == "accepted":
        why = f"{decision['subject']} ({decision['assurance']})"
    else:
        why = f"{decision['reason']}: {decision['detail']}"
    return Row(attempt.sent, decision["outcome"], why, saw, archive.what_got_through() or "nothing")
