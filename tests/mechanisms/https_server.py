"""A small https server on loopback that answers whatever a test wants, well formed or not."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.lib.certificates import Pair
from useridentity.tls import server_context

HANG = 20.0  # seconds; nothing here waits longer


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = bytes | Callable[[Request, ssl.SSLSocket], object]


def response(body: object, status: str = "200 OK", *headers: str) -> bytes:
    """A complete answer; what is not bytes is sent as JSON."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(octets)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + octets


@dataclass
class HttpsServer:
    """`answers` by path; `requests` in the order they came; `stop` ends what drips or hangs."""

    port: int
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def asked(self, path: str) -> int:
        """How often `path` was asked for."""
        return sum(request.path == path for request in self.requests)

    def publish(self, *keys: dict[str, object]) -> None:
        """Be an issuer with these keys."""
        self.answers["/.well-known/openid-configuration"] = response(
            {"issuer": self.url, "jwks_uri": self.url + "/jwks", "token_endpoint": self.url + "/token"}
        )
        self.answers["/jwks"] = response({"keys": list(keys)})

    def drip(self, request: Request, client: ssl.SSLSocket) -> None:
        """One octet of a header that never ends, every tenth of a second."""
        client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not self.stop.wait(0.1):
            client.sendall(b"x")

    def hang(self, request: Request, client: ssl.SSLSocket) -> None:
        """No answer at all."""
        self.stop.wait(HANG)

    def pour(self, request: Request, client: ssl.SSLSocket) -> None:
        """An answer without an end, as fast as it is taken."""
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not self.stop.is_set():
            client.sendall(b"[" * 65536)


@contextmanager
def https_server(pair: Pair) -> Iterator[HttpsServer]:
    """A running server, until the block ends."""
    context = server_context(*pair)
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HttpsServer(listener.getsockname()[1])

        def serve() -> None:
            while True:
                client, _ = listener.accept()
                if server.stop.is_set():
                    client.close()
                    return
                client.settimeout(HANG)
                thread = threading.Thread(target=_answer, args=(server, context, client))
                threads.append(thread)
                thread.start()

        accepting = threading.Thread(target=serve)
        accepting.start()
        try:
            yield server
        finally:
            server.stop.set()
            socket.create_connection(("127.0.0.1", server.port), HANG).close()
            for thread in [accepting, *threads]:
                thread.join(HANG)


def _answer(server: HttpsServer, context: ssl.SSLContext, client: socket.socket) -> None:
    with suppress(OSError), client, context.wrap_socket(client, server_side=True) as secured:
        request = _read(secured)
        server.requests.append(request)
        answer = server.answers.get(request.path, response({"error": "not_found"}, "404 Not Found"))
        if isinstance(answer, bytes):
            secured.sendall(answer)
        else:
            answer(request, secured)


def _read(client: ssl.SSLSocket) -> Request:
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(65536) or b"\r\n\r\n"
    head, _, body = received.partition(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += client.recv(65536)
    method, path, _ = request_line.split(" ")
    return Request(method, path, headers, body)
