"""The demo's acceptor: a storage SCP whose policy is a file like any administrator's."""

from __future__ import annotations

import logging
import queue
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from useridentity.cli.demo.part import Part
from useridentity.cli.demo.peers import HOST
from useridentity.cli.ending import Exit, Failure
from useridentity.policy import Policy
from useridentity.pynetdicom import AE, identity_of

DECISION_TIMEOUT = 10.0
"""Seconds for the archive to decide about a peer that has gone already."""


def policy(parts: Sequence[Part]) -> str:
    """The policy file that lets in whom any part's validator takes."""
    named = [part for part in parts if part.validator]
    validators = "".join(f"[validator.{part.validator}]\n{part.settings}\n\n" for part in named)
    accept = ", ".join(f'"{part.validator}"' for part in named)
    rules = "".join(f"{part.rules}\n\n" for part in named if part.rules)
    weakest = 'weakest = "asserted"       # a bare username lets anybody be anybody: for a demonstration only\n'
    return f'version = 1\n\n{validators}{rules}[[authenticate]]\nname = "everybody"\naccept = [{accept}]\n{weakest}'


class Archive:
    """A running storage SCP, what it decided, and what reached its handlers.

    `port` is without TLS; `tls_port` with it, zero where no part wants it.
    """

    def __init__(self, policy_text: str) -> None:
        self.policy_text = policy_text
        self.port = self.tls_port = 0
        self._reached: dict[str, list[str]] = {}
        self._decisions: queue.Queue[Mapping[str, Any]] = queue.Queue()

    @classmethod
    @contextmanager
    def open(cls, folder: Path, parts: Sequence[Part]) -> Iterator[Archive]:
        """An archive that takes what `parts` send, and finds their files in `folder`."""
        archive = cls(policy(parts))
        (folder / "identity.toml").write_text(archive.policy_text)
        ae = AE("ARCHIVE")
        ae.add_supported_context(Verification)
        ae.add_supported_context(CTImageStorage)
        handlers: list[EventHandlerType] = [(evt.EVT_C_ECHO, archive._on_echo), (evt.EVT_C_STORE, archive._on_store)]
        guarded = Policy.load(folder / "identity.toml")

        def port(tls: ssl.SSLContext | None) -> int:
            server = ae.start_server((HOST, 0), block=False, ssl_context=tls, policy=guarded, evt_handlers=handlers)
            assert server is not None  # noqa: S101  not blocking
            return int(server.server_address[1])

        try:
            archive.port = port(None)
            archive.tls_port = next((port(part.tls) for part in parts if part.tls), 0)
            with archive._listening():
                yield archive
        finally:
            ae.shutdown()

    def next_decision(self) -> Mapping[str, Any]:
        """The fields of the log line about the next peer; raises `Failure` where it does not come."""
        try:
            return self._decisions.get(timeout=DECISION_TIMEOUT)
        except queue.Empty:
            raise Failure(
                Exit.ABORTED,
                f"the archive did not decide about a peer within {DECISION_TIMEOUT:.0f} seconds",
                "run it again when this machine has less to do",
            ) from None

    def what_got_through(self) -> str:
        """The DIMSE messages that reached a handler since this was last asked."""
        reached, self._reached = self._reached, {}
        return ", ".join(f"{', '.join(messages)} by {user_id}" for user_id, messages in reached.items())

    def _on_echo(self, event: Event) -> int:
        return self._on("C-ECHO", event)

    def _on_store(self, event: Event) -> int:
        return self._on("C-STORE", event)

    def _on(self, message: str, event: Event) -> int:
        self._reached.setdefault(identity_of(event).user_id, []).append(message)
        return 0x0000

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Take what the package logs about each decision, as a log handler of an application would."""
        logger = logging.getLogger("useridentity")
        handler = _Taker(self._decisions)
        level, propagate = logger.level, logger.propagate
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


class _Taker(logging.Handler):
    def __init__(self, decisions: queue.Queue[Mapping[str, Any]]) -> None:
        super().__init__()
        self._decisions = decisions

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "decision"):
            self._decisions.put(record.decision)
