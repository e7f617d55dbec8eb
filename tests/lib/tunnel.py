"""TLS for programs that have none: a local port, and TLS before or behind it."""

from __future__ import annotations

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
                    for source, sink in ((near, far), (far, near)):
                        threads.append(threading.Thread(target=_pump, args=(source, sink)))
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


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with suppress(OSError):  # what is not read any more cannot be shut
        socket.socket.shutdown(sink, socket.SHUT_WR)
