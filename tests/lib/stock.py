"""Stock pynetdicom as an acceptor, recording what reached it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from socketserver import BaseServer
from threading import Thread
from typing import Any, NamedTuple

from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

Decide = Callable[[evt.Event], tuple[bool, bytes | None]]


class Presented(NamedTuple):
    """A user identity as stock pynetdicom hands it to EVT_USER_ID."""

    identity_type: int
    primary_field: bytes
    secondary_field: bytes


@dataclass
class StockScp:
    """A running acceptor: where it listens, the identities and DIMSE requests it got so far."""

    port: int = 0
    identities: list[Presented] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def accept_silently(event: evt.Event) -> tuple[bool, bytes | None]:
    """Accept whoever comes, without a server response."""
    return True, None


def accept_with(server_response: bytes) -> Decide:
    """Accept whoever comes with a 59H sub-item of this content, asked for or not.

    Stock pynetdicom sends none for types 1 and 2 of its own accord, hence the item added by hand.
    """

    def decide(event: evt.Event) -> tuple[bool, bytes | None]:
        item = UserIdentityNegotiation()
        item.server_response = server_response
        event.assoc.acceptor.add_negotiation_item(item)
        return True, None

    return decide


@wraps(AssociationSocket._shutdown_socket)  # whose signature tests look at
def shut(transport: AssociationSocket) -> None:
    """Shut a socket down and close it.

    Stock pynetdicom leaves one whose peer has gone to the garbage collector, whose warning fails whatever test runs.
    """
    if transport.socket is not None:
        with suppress(OSError):
            transport.socket.shutdown(socket.SHUT_RDWR)
        transport.socket.close()


@contextmanager
def stock_scp(decide: Decide = accept_silently, *, tls: ssl.SSLContext | None = None) -> Iterator[StockScp]:
    """A stock pynetdicom SCP of Verification and CT Image Storage on a free port of 127.0.0.1."""
    scp = StockScp()

    def on_user_id(event: Any) -> tuple[bool, bytes | None]:
        scp.identities.append(Presented(event.user_id_type, event.primary_field, event.secondary_field))
        return decide(event)

    def on_request(event: evt.Event) -> int:
        scp.requests.append(type(event.request).__name__)
        return 0x0000

    ae = AE("STOCK")
    ae.add_supported_context(Verification)
    ae.add_supported_context(CTImageStorage)
    handlers: list[evt.EventHandlerType] = [(evt.EVT_USER_ID, on_user_id)]
    handlers += [(evt.EVT_C_ECHO, on_request), (evt.EVT_C_STORE, on_request)]
    with _serving(ae, tls, handlers) as scp.port:
        yield scp


@contextmanager
def _serving(ae: AE, tls: ssl.SSLContext | None, handlers: list[evt.EventHandlerType]) -> Iterator[int]:
    """What `ae.start_server` does, polling faster for its end: half a second per test otherwise."""
    server = ae.make_server(
        ("127.0.0.1", 0), ssl_context=tls, evt_handlers=handlers, server_class=ThreadedAssociationServer
    )
    thread = Thread(target=server.serve_forever, args=(0.01,), name="stock SCP")
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        for association in ae.active_associations:
            association.abort()
        BaseServer.shutdown(server)
        server.server_close()
        thread.join()
