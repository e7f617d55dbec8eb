"""A requestor made of bytes, so that the acceptor is what is measured: `raw rate|count|echo|store|idle PORT ...`.

raw rate PORT CLIENTS SECONDS         associations a second of so many processes together
raw count PORT CLIENTS SECONDS        the same, but how many they were
raw echo PORT COUNT                   median seconds of a C-ECHO on one association
raw store PORT COUNT                  median seconds of a C-STORE of 1 KiB on one association
raw idle PORT COUNT                   opens so many associations, and keeps them until standard input ends
"""

from __future__ import annotations

import multiprocessing
import struct
import sys
import time
from statistics import median
from typing import NamedTuple

from tests.lib.commands import element, message, request_elements
from tests.lib.pdus import (
    CT_IMAGE_STORAGE,
    RELEASE_RQ,
    VERIFICATION,
    associate_rq,
    pdu,
    presentation_context,
    user_identity,
)
from tests.lib.rawpeer import Pdu, PduType, RawPeer

IDENTITY = user_identity(1, b"alice", positive_response_requested=True)
REQUEST = associate_rq(IDENTITY)
STORE = message(request_elements("C-STORE", CT_IMAGE_STORAGE), element(0x1020, bytes(1016), group=0x0010))


def _element(element: int, value: bytes) -> bytes:
    """An element of a command set: group 0000H, Implicit VR Little Endian (PS3.7 6.3.1)."""
    return struct.pack("<HHI", 0, element, len(value)) + value


def _echo_request() -> bytes:
    """A P-DATA-TF with a C-ECHO-RQ (PS3.7 Table 9.3-12)."""
    fields = [(0x0100, 0x0030), (0x0110, 1), (0x0800, 0x0101)]  # command, message ID, no data set
    uid = VERIFICATION.encode() + b"\0"
    command = _element(0x0002, uid) + b"".join(_element(tag, struct.pack("<H", value)) for tag, value in fields)
    command = _element(0x0000, struct.pack("<I", len(command))) + command
    return pdu(4, struct.pack(">IBB", len(command) + 2, 1, 0x03) + command)


ECHO = _echo_request()


def expect(peer: RawPeer, expected: PduType) -> None:
    """Read a PDU of this type; a benchmark of failures would be a fast one."""
    answer = peer.read_pdu()
    if not isinstance(answer, Pdu) or answer.type is not expected:
        raise RuntimeError(f"{answer} came where {expected} was expected")


def associate(port: int, source: str | None = None) -> RawPeer:
    """An accepted association."""
    peer = RawPeer(port, source=source)
    peer.send(REQUEST)
    expect(peer, PduType.ASSOCIATE_AC)
    return peer


def release(peer: RawPeer) -> None:
    """Release and close it."""
    peer.send(RELEASE_RQ)
    expect(peer, PduType.RELEASE_RP)
    peer.close()


class Done(NamedTuple):
    """What one process did, and the seconds it took."""

    associations: int
    seconds: float


def associate_for(port: int, seconds: float, source: str) -> Done:
    """Associate and release for `seconds`, and until the last association has ended."""
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        release(associate(port, source))
        count += 1
    return Done(count, time.perf_counter() - started)


def associate_at_once(port: int, clients: int, seconds: float) -> list[Done]:
    """What so many processes do, each from an address of its own, as clients have."""
    work = [(port, seconds, f"127.0.0.{number}") for number in range(1, clients + 1)]
    with multiprocessing.get_context("fork").Pool(clients) as pool:
        return pool.starmap(associate_for, work, chunksize=1)


def echo_latency(port: int, count: int) -> float:
    """Median seconds from request to response."""
    return _latency(associate(port), ECHO, count)


def store_latency(port: int, count: int) -> float:
    """Median seconds from request to response, of an object so small that the request is what costs."""
    peer = RawPeer(port)
    peer.send(associate_rq(IDENTITY, contexts=(presentation_context(1, CT_IMAGE_STORAGE),)))
    expect(peer, PduType.ASSOCIATE_AC)
    return _latency(peer, STORE, count)


def _latency(peer: RawPeer, request: bytes, count: int) -> float:
    latencies = []
    for _ in range(count):
        started = time.perf_counter()
        peer.send(request)
        expect(peer, PduType.P_DATA_TF)
        latencies.append(time.perf_counter() - started)
    release(peer)
    return median(latencies)


def idle(port: int, count: int) -> None:
    """Hold so many associations open."""
    peers = [associate(port) for _ in range(count)]
    print(count, flush=True)
    sys.stdin.read()
    for peer in peers:
        release(peer)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["rate", port, clients, seconds]:
            done = associate_at_once(int(port), int(clients), float(seconds))
            print(sum(each.associations / each.seconds for each in done), flush=True)
        case ["count", port, clients, seconds]:
            done = associate_at_once(int(port), int(clients), float(seconds))
            print(sum(each.associations for each in done), flush=True)
        case ["echo", port, count]:
            print(echo_latency(int(port), int(count)), flush=True)
        case ["store", port, count]:
            print(store_latency(int(port), int(count)), flush=True)
        case ["idle", port, count]:
            idle(int(port), int(count))
        case _:
            raise SystemExit(__doc__)
