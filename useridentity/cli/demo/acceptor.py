"""The demo's acceptor: a storage SCP whose policy is a file like any administrator's."""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.policy import Policy
from useridentity.pynetdicom import AE, identity_of

PASSCODE = b"right horse battery"
DECISION_TIMEOUT = 10.0
"""Seconds for the archive to decide about a peer that has gone already."""

POLICY = """\
version = 1

[validator.names]
type = "username"          # taken at its word

[validator.staff]
type = "passcode"
store = "file:passcodes.toml"
plaintext = "allow"        # this demonstration never leaves the machine

[[authenticate]]
name = "everybody"
accept = ["names", "staff"]
"""


class Archive:
    """A running storage SCP, what it decided, and what reached its handlers."""

    def __init__(self, policy_text: str) -> None:
        self.policy_text = policy_text
        self.port = 0
        self._reached: list[str] = []
        self._decisions: queue.Queue[Mapping[str, Any]] = queue.Queue()

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Archive]:
        """An archive that keeps its policy and passcodes in `folder`."""
        set_passcode(folder / "passcodes.toml", "alice", PASSCODE, display_name="Alice Example")
        (folder / "identity.toml").write_text(POLICY)
        archive = cls(POLICY)
        ae = AE("ARCHIVE")
        ae.add_supported_context(Verification)
        ae.add_supported_context(CTImageStorage)
        handlers: list[EventHandlerType] = [(evt.EVT_C_ECHO, archive._on_echo), (evt.EVT_C_STORE, archive._on_store)]
        server = ae.start_server(
            ("127.0.0.1", 0), block=False, policy=Policy.load(folder / "identity.toml"), evt_handlers=handlers
        )
        assert server is not None  # noqa: S101  not blocking
        archive.port = server.server_address[1]
        with archive._listening():
            yield archive
        server.shutdown()

    def next_decision(self) -> Mapping[str, Any]:
        """The fields of the log line about the next peer."""
        return self._decisions.get(timeout=DECISION_TIMEOUT)

    def what_got_through(self) -> str:
        """The DIMSE messages that reached a handler since this was last asked."""
        reached, self._reached = self._reached, []
        return ", ".join(reached)

    def _on_echo(self, event: Event) -> int:
        self._reached.append(f"C-ECHO by {identity_of(event).user_id}")
        return 0x0000

    def _on_store(self, event: Event) -> int:
        size = len(event.encoded_dataset(include_meta=False)) // 1024
        self._reached.append(f"C-STORE ({size} KiB) by {identity_of(event).user_id}")
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
