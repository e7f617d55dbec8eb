"""Peers that come to do harm, the neighbour who suffers if they succeed, and what they may cost."""

from __future__ import annotations

import os
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lib.pdus import RELEASE_RQ, user_identity
from tests.lib.rawpeer import HANG, Ending, Pdu, PduType, RawPeer
from tests.pynetdicom.support import Acceptor, c_echo_rq, establish

ALICE = user_identity(1, b"alice")
MEGABYTE = bytes(1024 * 1024)
SPENT = 100 * 1024 * 1024  # bytes of memory that an attack with 300 MB may not even begin to cost


class Neighbour:
    """A client from 127.0.0.1 that associates, echoes and releases again and again while the block lasts."""

    def __init__(self, acceptor: Acceptor, tls: ssl.SSLContext | None = None) -> None:
        self._acceptor, self._tls = acceptor, tls
        self._leaving = threading.Event()
        self._served, self._slowest = 0, 0.0
        self._memory, self._most_memory = resident(), 0
        self._trouble: list[object] = []
        self._thread = threading.Thread(target=self._call)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._thread.join()
        if error is None:
            assert not self._trouble, self._trouble
            assert self._served
            assert self._slowest < HANG
            assert self._most_memory - self._memory < SPENT
            print(f"{self._served} associations, slowest {self._slowest * 1000:.0f} ms")

    def _call(self) -> None:
        while not (self._leaving.wait(0.005) and self._served):
            started = time.monotonic()
            try:
                self._call_once()
            except Exception as trouble:
                self._trouble.append(trouble)
                return
            self._served += 1
            self._slowest = max(self._slowest, time.monotonic() - started)
            self._most_memory = max(self._most_memory, resident())

    def _call_once(self) -> None:
        with RawPeer(self._acceptor.port, tls=self._tls) as peer:
            establish(peer, ALICE)
            peer.send(c_echo_rq())
            assert peer.read_pdu().type is PduType.P_DATA_TF
            peer.send(RELEASE_RQ)
            assert peer.read_pdu().type is PduType.RELEASE_RP


def strangers(number: int) -> list[str]:
    """So many loopback addresses that are not the neighbour's."""
    return [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(number)]


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def ended(peer: RawPeer) -> bool:
    """Whether the acceptor has closed, whatever it said before."""
    while isinstance(answer := peer.read_pdu(), Pdu):
        pass
    return answer is Ending.CLOSED


def flood(peer: RawPeer) -> None:
    """300 MB, or as many as the acceptor takes."""
    with suppress(OSError):
        for _ in range(300):
            peer.send(MEGABYTE)
