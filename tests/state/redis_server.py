"""A real Redis server on loopback: started, killed, stopped and started again by tests."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from tests.lib.ports import free_port
from tests.lib.processes import suspend
from tests.parts import require

ADDRESSES = ("127.0.0.1", "127.0.0.2")
HANG = 20.0  # seconds; a server starts and ends within one


class RealRedis:
    """One server with its folder and port; what it keeps in its append-only file outlives it."""

    def __init__(self, folder: Path, *options: str, tls: bool = False) -> None:
        self.port = free_port()
        listen = ["--port", "0", "--tls-port", str(self.port)] if tls else ["--port", str(self.port)]
        self._command = [
            require("setpriv"), "--pdeathsig", "KILL", require("redis-server"), "--bind", *ADDRESSES,
            "--dir", str(folder), "--save", "", *listen, *(options or ("--appendonly", "yes")),
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise RuntimeError("".join(said))

    def kill(self) -> None:
        """End it as a power cut would, as far as processes go."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=HANG)
            self._process = None

    def hang(self) -> None:
        """Let it take connections and answer nothing."""
        assert self._process is not None
        suspend(self._process)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def call(self, *command: Any) -> Any:
        """What a client of its own is answered."""
        with Redis(port=self.port, protocol=2, decode_responses=True) as client:
            return client.execute_command(*command)


@contextmanager
def real_redis(folder: Path, *options: str, tls: bool = False) -> Iterator[RealRedis]:
    """A server until the block ends; an append-only file, unless options say otherwise."""
    server = RealRedis(folder, *options, tls=tls)
    try:
        yield server
    finally:
        server.kill()
