"""The storage SCP that a C-MOVE to ourselves needs, guarded by a policy or said aloud to be open."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from useridentity.cli.requestor.keeping import Folder
from useridentity.cli.requestor.peer import Target
from useridentity.errors import ConfigurationError
from useridentity.policy import Policy
from useridentity.pynetdicom import AE, reload_on_signals
from useridentity.tls import server_context

if TYPE_CHECKING:
    import ssl

ASSOCIATIONS = 10
"""At once; a peer that moves in parallel uses a few."""

POLL = 0.05
"""Seconds until the server notices that it is to end; with the usual half, somebody would wait for it."""


@dataclass(frozen=True, slots=True)
class Reception:
    """How to receive.

    Fields:
        port: to listen on, at the address from which the peer is reached.
        ae_title: ours, the move destination that the peer knows at that address and port.
        policy: who may store; None lets in everybody who reaches the port, which is said.
        tls: the server's context, None for plain TCP.
    """

    port: int
    ae_title: str
    policy: Path | None
    tls: ssl.SSLContext | None


@contextmanager
def receiving(reception: Reception, peer: Target, folder: Folder, note: Callable[[str], None]) -> Iterator[str]:
    """Receive into `folder` until the block ends; yields where. Raises `ConfigurationError`."""
    from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context, evt
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    address = _own_address(peer)
    ae = AE(reception.ae_title)
    ae.maximum_associations = ASSOCIATIONS
    storage = (str(each.abstract_syntax) for each in AllStoragePresentationContexts)
    ae.supported_contexts = [build_context(uid, ALL_TRANSFER_SYNTAXES) for uid in storage]
    ae.add_supported_context(Verification)
    where = f"{address}:{reception.port} as {reception.ae_title}"
    policy = Policy.unguarded() if reception.policy is None else Policy.load(reception.policy)
    if reception.policy is None:
        note(f"receiving at {where}, from whoever connects: --policy FILE says who may")
    handlers: list[Any] = [(evt.EVT_C_STORE, folder.keep)]
    try:
        server = ae.make_server(
            (address, reception.port), ssl_context=reception.tls, evt_handlers=handlers, policy=policy
        )
    except OSError as error:
        raise ConfigurationError(f"cannot receive at {where}: {error.strerror}") from None
    if reception.policy is not None and threading.current_thread() is threading.main_thread():
        reload_on_signals(server)
    thread = threading.Thread(target=server.serve_forever, args=(POLL,), name="receiver", daemon=True)
    thread.start()
    try:
        yield where
    finally:
        server.shutdown()
        thread.join()
        for each in ae.active_associations:
            each.abort()


def tls_of(peer: Target) -> ssl.SSLContext | None:
    """TLS for receiving, from the certificate we show to the peer; it must show one of the same authorities."""
    tls = peer.profile.tls
    if tls is None or tls.cert is None or tls.key is None:
        raise ConfigurationError("--receive-tls needs --ca, --cert and --key: they serve for receiving too")
    return server_context(tls.cert, tls.key, client_ca=tls.ca, crl=tls.crl, profile=tls.profile)


def _own_address(peer: Target) -> str:
    """The address of this machine that the peer is reached from; nothing is sent."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"{peer.where}: {getattr(error, 'strerror', '') or error}") from None
