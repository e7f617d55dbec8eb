"""The storage SCP that a C-MOVE to ourselves needs, guarded by a policy or said aloud to be open."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from useridentity.cli.requestor.keeping import Folder
from useridentity.cli.requestor.outcome import unresolved
from useridentity.cli.requestor.peer import Acceptor
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
        address: of this machine, from which the acceptor is reached.
        port: to listen on there.
        ae_title: ours, the move destination that the acceptor knows at that address and port.
        policy: who may store; None lets in everybody who reaches the port, which is said.
        tls: the server's context, None for plain TCP.
        folder: where what comes is kept.
    """

    address: str
    port: int
    ae_title: str
    policy: Policy | None
    tls: ssl.SSLContext | None
    folder: Folder

    @contextmanager
    def open(self, moved: Callable[[int], None], note: Callable[[str], None]) -> Iterator[None]:
        """Receive until the block ends, `moved` being told of octets; raises `ConfigurationError`."""
        where = f"{self.address}:{self.port} as {self.ae_title}"
        if self.policy is None:
            note(f"receiving at {where}, from whoever connects: --policy FILE says who may")
        self.folder.moved = moved
        ae = _application_entity(self.ae_title)
        try:
            server = ae.make_server(
                (self.address, self.port),
                ssl_context=self.tls,
                evt_handlers=[(evt.EVT_C_STORE, self.folder.keep)],
                policy=self.policy or Policy.unguarded(),
            )
        except OSError as error:
            raise ConfigurationError(f"cannot receive at {where}: {error.strerror}") from None
        if self.policy is not None and threading.current_thread() is threading.main_thread():
            reload_on_signals(server)
        thread = threading.Thread(target=server.serve_forever, args=(POLL,), name="receiver", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            for each in ae.active_associations:
                each.abort()


def prepared(
    acceptor: Acceptor, port: int, ae_title: str, policy: Path | None, over_tls: bool, folder: Path
) -> Reception:
    """A reception whose files are all there; raises `ConfigurationError`, or `Failure` for a host without address."""
    guard = policy or acceptor.profile.policy
    return Reception(
        _own_address(acceptor),
        port,
        ae_title,
        None if guard is None else Policy.load(guard),
        _tls(acceptor) if over_tls else None,
        Folder(folder),
    )


def _application_entity(ae_title: str) -> AE:
    ae = AE(ae_title)
    ae.maximum_associations = ASSOCIATIONS
    storage = (str(each.abstract_syntax) for each in AllStoragePresentationContexts)
    ae.supported_contexts = [build_context(uid, ALL_TRANSFER_SYNTAXES) for uid in storage]
    ae.add_supported_context(Verification)
    return ae


def _tls(acceptor: Acceptor) -> ssl.SSLContext:
    """TLS for receiving, from the certificate we show to the acceptor; it must show one of the same authorities."""
    tls = acceptor.profile.tls
    if tls is None or tls.cert is None or tls.key is None:
        raise ConfigurationError("--receive-tls needs --ca, --cert and --key: they serve for receiving too")
    return server_context(tls.cert, tls.key, client_ca=tls.ca, crl=tls.crl, profile=tls.profile)


def _own_address(acceptor: Acceptor) -> str:
    """The address of this machine that the acceptor is reached from; nothing is sent."""
    try:
        found = socket.getaddrinfo(acceptor.host, acceptor.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except (OSError, UnicodeError) as error:
        raise unresolved(acceptor, error) from None
