"""A requestor of ours or stock's: `requestor ours|stock echo PORT COUNT`, `requestor ours|stock store PORT FILE COUNT`.

Prints the median seconds of an echo, or the seconds of all stores; the association is not counted.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pynetdicom
from pydicom import dcmread
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from useridentity.mechanisms.username import Username
from useridentity.pynetdicom import AE


def _identity_item() -> UserIdentityNegotiation:
    item = UserIdentityNegotiation()
    item.user_identity_type = 1
    item.primary_field = b"alice"
    return item


def associate(kind: str, port: int) -> Any:
    """An established association as alice."""
    ours = kind == "ours"
    ae: Any = AE("SCU") if ours else pynetdicom.AE("SCU")
    ae.add_requested_context(Verification)
    ae.add_requested_context(CTImageStorage)
    identity: dict[str, Any] = {"identity": Username("alice")} if ours else {"ext_neg": [_identity_item()]}
    assoc = ae.associate("127.0.0.1", port, **identity)
    assert assoc.is_established, "the acceptor refused"
    return assoc


def echo(assoc: Any, count: int) -> float:
    """Median seconds of a C-ECHO."""
    latencies = []
    for _ in range(count):
        started = time.perf_counter()
        assert assoc.send_c_echo().Status == 0x0000
        latencies.append(time.perf_counter() - started)
    return median(latencies)


def store(assoc: Any, path: Path, count: int) -> float:
    """Seconds of `count` C-STOREs of one dataset, held in memory."""
    dataset = dcmread(path)
    started = time.perf_counter()
    for _ in range(count):
        assert assoc.send_c_store(dataset).Status == 0x0000
    return time.perf_counter() - started


if __name__ == "__main__":
    kind, what, port, *arguments = sys.argv[1:]
    association = associate(kind, int(port))
    if what == "echo":
        print(echo(association, int(arguments[0])), flush=True)
    else:
        print(store(association, Path(arguments[0]), int(arguments[1])), flush=True)
    association.release()
