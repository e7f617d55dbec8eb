"""An acceptor that takes a username and answers C-ECHO and C-STORE: `acceptor ours|audited|permitting|stock CONTEXTS`.

"ours" permits everything, "permitting" what is done here, "audited" records it. Prints its port and ends with its
standard input.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pynetdicom
from pynetdicom import StoragePresentationContexts, evt
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from useridentity.audit.journal import Journal
from useridentity.audit.trail import Trail
from useridentity.identity import Assurance
from useridentity.mechanisms.username import UsernameValidator
from useridentity.policy import Grant, Policy, Rule, Who
from useridentity.pynetdicom import AE

ENOUGH = 100  # associations at once; more than any benchmark opens


def succeed(event: evt.Event) -> int:
    """Success, whatever was asked."""
    return 0x0000


def take_username(event: Any) -> tuple[bool, bytes | None]:
    """Stock's way to do what our validator does: the identity is looked at, and taken."""
    return bool(event.primary_field.decode("utf-8")), None


GRANTS: dict[str, list[Grant]] = {
    "ours": [],
    "audited": [],
    "permitting": [Grant(["echo", "store", "find"], who=Who(assurance=(Assurance.ASSERTED,)))],
}
FOLDER = TemporaryDirectory()
HANDLERS: list[Any] = [(evt.EVT_C_ECHO, succeed), (evt.EVT_C_STORE, succeed)]


def trail() -> Trail:
    """A journal in a folder that goes with this process."""
    return Trail(Journal(Path(FOLDER.name) / "audit.db", Path(FOLDER.name) / "audit.key"))


def support(ae: pynetdicom.AE, contexts: int) -> None:
    """Support `contexts` of them: Verification, CT Image Storage, and others that nobody proposes."""
    ae.maximum_associations = ENOUGH
    others = [str(each.abstract_syntax) for each in StoragePresentationContexts]
    for uid in [Verification, CTImageStorage, *(uid for uid in others if uid != CTImageStorage)][:contexts]:
        ae.add_supported_context(uid)


def start(kind: str, contexts: int) -> int:
    """Start the server of this kind; its port."""
    address = ("127.0.0.1", 0)
    ae: Any = pynetdicom.AE("BENCH") if kind == "stock" else AE("BENCH")
    support(ae, contexts)
    if kind in GRANTS:
        audit = trail() if kind == "audited" else None
        policy = Policy([Rule([UsernameValidator()])], authorize=GRANTS[kind], audit=audit)
        server = ae.start_server(address, block=False, policy=policy, evt_handlers=HANDLERS)
    else:
        handlers = [*HANDLERS, (evt.EVT_USER_ID, take_username)]
        server = ae.start_server(address, block=False, evt_handlers=handlers)
    return int(server.server_address[1])


if __name__ == "__main__":
    print(start(sys.argv[1], int(sys.argv[2])), flush=True)
    sys.stdin.read()
