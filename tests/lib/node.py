"""The dcmjs-dimse peers of tests/interop/node, run as processes of their own."""

from __future__ import annotations

import json
import os
import select
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from tests.lib.processes import served_by
from tests.parts import NODE_FOLDER, require

HANG = 20.0  # seconds; ten times what node takes to start and to finish on a busy machine


def identity(identity_type: int, primary: bytes, secondary: bytes = b"", *, respond: bool = False) -> dict[str, Any]:
    """A user identity as scu.js reads it."""
    return {
        "type": identity_type,
        "primary": b64encode(primary).decode(),
        "secondary": b64encode(secondary).decode(),
        "positiveResponseRequested": respond,
    }


def run_scu(port: int, *, called: str = "ANY-SCP", **config: Any) -> dict[str, Any]:
    """One association with a C-ECHO to 127.0.0.1; what scu.js saw, as its head describes."""
    config = {"host": "127.0.0.1", "port": port, "called": called, "calling": "NODE"} | config
    with script("scu.js", config) as process:
        return process.read()


@contextmanager
def scp(*, reject: tuple[int, int, int] | None = None, server_response: bytes | None = None) -> Iterator[NodeScp]:
    """A dcmjs-dimse acceptor, until the block ends."""
    config: dict[str, Any] = {}
    if reject is not None:
        config["reject"] = dict(zip(("result", "source", "reason"), reject, strict=True))
    if server_response is not None:
        config["serverResponse"] = b64encode(server_response).decode()
    with script("scp.js", config) as process:
        yield NodeScp(process)


class NodeScp:
    """A running scp.js: where it listens, and what reached it."""

    def __init__(self, process: _Process) -> None:
        self._process = process
        self.port = int(process.read()["port"])

    def next_association(self) -> dict[str, Any]:
        """The next association's AE titles and identity, as the head of scp.js describes."""
        return self._process.read()


class _Process:
    """Reads JSON, a document a line, from a process's output, never for longer than a hang takes."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output.fileno()
        self._received = b""

    def read(self) -> dict[str, Any]:
        deadline = time.monotonic() + HANG
        while b"\n" not in self._received:
            remaining = max(0.0, deadline - time.monotonic())
            assert select.select([self._output], [], [], remaining)[0], "node hangs"
            more = os.read(self._output, 65536)
            assert more, f"node ended after {self._received!r}"
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        document: dict[str, Any] = json.loads(line)
        return document


@contextmanager
def script(name: str, config: dict[str, Any]) -> Iterator[_Process]:
    """Run a script with `config` as its first line of input; end its input, then the process."""
    node = require("node")
    require("dcmjs-dimse")
    with served_by(node, str(NODE_FOLDER / name)) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(config) + "\n")
        process.stdin.flush()
        yield _Process(process.stdout)
