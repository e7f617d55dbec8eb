"""TLS for programs that have none: a local port, and TLS before or behind it."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

HANG = 20.0  # seconds; ten times what the slowest program takes
CHUNK = 65536


@contextmanager
def tunnel(port: int, context: ssl.SSLContext, *, ending: bool = False) -> Iterator[int]:
    """A port on which whoever connects reaches `port` of this machine, until the block ends.

    Behind it is TLS; with `ending` it is before it, and ends here.
    """
    threads: list[threading.Thread] = []
    with ExitStack() as opened, socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):  # the listener is closed
                while True:
                    near, _ = listener.accept()
                    plain = socket.create_connection(("127.0.0.1", port), timeout=HANG)
                    try:
                        near, far = _wrapped(near, plain, context, ending)
                    except OSError:  # no certificate, or none that is known
                        near.close()
                        plain.close()
                        continue
                    for connection in (near, far):
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        connection.settimeout(HANG)
                        opened.callback(connection.close)
                    threads.append(threading.Thread(target=_pump, args=(near, far)))
                    threads[-1].start()

        threads.append(threading.Thread(target=accept))
        threads[0].start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(HANG)


def _wrapped(
    near: socket.socket, far: socket.socket, context: ssl.SSLContext, ending: bool
) -> tuple[socket.socket, socket.socket]:
    near.settimeout(HANG)
    if ending:
        return context.wrap_socket(near, server_side=True), far
    return near, context.wrap_socket(far, server_hostname="127.0.0.1")


def _pump(near: socket.socket, far: socket.socket) -> None:
    """Both ways in one thread: OpenSSL does not let two read and write one connection at once."""
    sinks = {near: far, far: near}
    with suppress(OSError):
        while sinks and (ready := select.select(list(sinks), [], [], HANG)[0]):
            for source in ready:
                if not _passed_on(source, sinks[source]):
                    socket.socket.shutdown(sinks.pop(source), socket.SHUT_WR)


def _passed_on(source: socket.socket, sink: socket.socket) -> bool:
    """Whether there may be more; `source` may have a TLS record that holds no data."""
    source.settimeout(0)
    try:
        while data := source.recv(CHUNK):
            sink.settimeout(HANG)
            sink.sendall(data)
    except (ssl.SSLWantReadError, BlockingIOError):
        return True
    return False
