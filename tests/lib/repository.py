"""A repository over https, in a process of its own: a FHIR server's AuditEvent, and a collector's /v1/logs.

It takes what the models of `fhir.resources` and OTLP's own messages admit, and writes each event id to a file
before it answers. `python -m tests.lib.repository FOLDER PORT CERT KEY CA` serves until it is killed; with a CA it
wants a client certificate. Details with the word "poison" are refused for good; while the file "busy" exists
everything is told to come later.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.lib.certificates import Certificates
from tests.lib.ports import free_port
from tests.parts import require
from useridentity.tls import server_context

ROOT = Path(__file__).parents[2]
HANG = 20.0  # seconds; models are imported within two
TOKEN = "Bearer token-of-the-repository"


class Repository(ThreadingHTTPServer):
    """Serves https."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int, cert: str, key: str, ca: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.folder = folder
        context = server_context(cert, key, client_ca=ca or None)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no news."""

    def keep(self, event: str, path: str) -> None:
        with (self.folder / "received").open("a") as file:
            file.write(f"{event} {path}\n")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # an answer leaves in one piece
    disable_nagle_algorithm = True
    server: Repository

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if (self.server.folder / "busy").exists():
            self._answer(503)
        elif (self.server.folder / "token").exists() and self.headers["Authorization"] != TOKEN:
            self._answer(401)
        elif self.path == "/v1/logs":
            self._logs(body)
        else:
            self._fhir(json.loads(body))

    def _fhir(self, resource: dict[str, Any]) -> None:
        from fhir.resources.R4B.bundle import Bundle

        if self.path == "/fhir/AuditEvent":
            status = self._create(resource)
            self._answer(status)
        elif self.path == "/fhir" and len(resource["entry"]) <= 100:
            Bundle.model_validate(resource)
            statuses = [self._create(entry["resource"]) for entry in resource["entry"]]
            entries = [{"response": {"status": f"{status} told"}} for status in statuses]
            self._answer(200, {"resourceType": "Bundle", "type": "batch-response", "entry": entries})
        else:
            self._answer(404 if self.path != "/fhir" else 413)

    def _create(self, resource: dict[str, Any]) -> int:
        from fhir.resources.R4B.auditevent import AuditEvent

        try:
            AuditEvent.model_validate(resource)
        except ValueError:
            return 422
        if "poison" in resource["outcomeDesc"]:
            return 422
        event = resource["entity"][0]["what"]["identifier"]["value"]
        if self.path == "/fhir/AuditEvent" and not self.headers["X-Request-Id"].startswith(event):
            return 400
        self.server.keep(event, self.path)
        return 201

    def _logs(self, body: bytes) -> None:
        from google.protobuf.json_format import Parse
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        request = Parse(body, ExportLogsServiceRequest())
        records = request.resource_logs[0].scope_logs[0].log_records
        poisoned = [each for each in records if "poison" in each.body.string_value]
        for each in records:
            if each not in poisoned:
                event = next(item.value.string_value for item in each.attributes if item.key == "log.record.uid")
                self.server.keep(event, self.path)
        self._answer(200, {"partialSuccess": {"rejectedLogRecords": str(len(poisoned))}} if poisoned else {})

    def _answer(self, status: int, body: dict[str, Any] | None = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@dataclass
class RunningRepository:
    """The process, its files, and how to reach it; it can be killed and started again."""

    folder: Path
    certificates: Certificates
    mutual: bool
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/fhir/AuditEvent"

    @property
    def logs_url(self) -> str:
        return f"otlp+https://127.0.0.1:{self.port}"

    @property
    def received(self) -> list[str]:
        """Event ids, in the order they were taken."""
        path = self.folder / "received"
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def paths(self) -> set[str]:
        return {line.split()[1] for line in (self.folder / "received").read_text().splitlines()}

    def start(self) -> None:
        server, ca = self.certificates.server, str(self.certificates.ca) if self.mutual else ""
        arguments = [str(self.folder), str(self.port), str(server.cert), str(server.key), ca]
        command = [require("setpriv"), "--pdeathsig", "KILL", sys.executable, "-m", "tests.lib.repository", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n"
        self.process.stdout.close()

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(HANG)
            self.process = None


@contextmanager
def repository(folder: Path, certificates: Certificates, *, mutual: bool = False) -> Iterator[RunningRepository]:
    """A running repository, until the block ends."""
    require("fhir")
    folder.mkdir()
    running = RunningRepository(folder, certificates, mutual, free_port())
    running.start()
    try:
        yield running
    finally:
        running.kill()


def _main(folder: str, port: str, cert: str, key: str, ca: str) -> None:
    for model in ("R4B.auditevent", "R4B.bundle"):
        import_module(f"fhir.resources.{model}")
    import_module("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
    server = Repository(Path(folder), int(port), cert, key, ca)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _main(*sys.argv[1:])
