"""The acceptors of the matrix, each holding one CT image, over TCP and over mutual TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pynetdicom
from pydicom import dcmread
from pynetdicom import build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.lib import dcmtk
from tests.lib.archive import Archive, archive, dcmjs, orthanc, storescp
from tests.lib.certificates import Certificates
from tests.lib.ports import free_port
from tests.lib.stock import StockScp, _serving, stock_scp
from tests.lib.tunnel import tunnel
from tests.pynetdicom.support import serving
from useridentity import Policy
from useridentity.checks import Driver
from useridentity.credential import Credential
from useridentity.decision import Accepted
from useridentity.facts import Facts, Tls
from useridentity.tls import server_context

SERVICES = (
    Verification,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)


@dataclass(frozen=True)
class Around:
    """What an acceptor is started with.

    Fields:
        folder: an empty one of its own.
        image: the file that it is to hold.
        certificates: for mutual TLS, None for TCP.
        policy: the file of whoever judges identities.
        elsewhere: the port of WS_2, which a C-MOVE may name.
        served: the events of who keeps some.
    """

    folder: Path
    image: Path
    certificates: Certificates | None
    policy: Path
    elsewhere: int
    served: list[evt.Event]

    @property
    def tls(self) -> ssl.SSLContext | None:
        made = self.certificates
        return server_context(*made.server, client_ca=made.ca) if made else None


@dataclass(frozen=True)
class Running:
    """An acceptor that runs: what a command is told of it, and who else takes part."""

    archive: Archive
    elsewhere: StockScp
    served: list[evt.Event]

    @property
    def where(self) -> str:
        """As the command line names it."""
        return f"127.0.0.1:{self.archive.port} ({self.archive.ae_title})"


@contextmanager
def running(name: str, folder: Path, image: Path, certificates: Certificates | None, policy: Path) -> Iterator[Running]:
    """The acceptor of this name, holding the image, until the block ends."""
    with stock_scp() as elsewhere:
        around = Around(folder, image, certificates, policy, elsewhere.port, [])
        with STARTS[name](around) as started:
            options: tuple[object, ...] = ("--plaintext", "allow")
            if certificates:
                cert, key = certificates.server  # for moves too, which come to its address
                options = ("--ca", certificates.ca, "--cert", cert, "--key", key)
            yield Running(replace(started, options=tuple(map(str, options))), elsewhere, around.served)


@contextmanager
def _storescp(around: Around) -> Iterator[Archive]:
    with storescp(around.folder, around.certificates) as made:
        yield made


@contextmanager
def _dcmqrscp(around: Around) -> Iterator[Archive]:
    """DCMTK's archive; 3.6.7 has no TLS, so that a tunnel before it ends it."""
    with ExitStack() as stack:
        made = stack.enter_context(archive(around.folder, [around.image], elsewhere=around.elsewhere))
        if around.tls:
            made = replace(made, port=stack.enter_context(tunnel(made.port, around.tls, ending=True)))
        yield made


@contextmanager
def _orthanc(around: Around) -> Iterator[Archive]:
    with orthanc(around.folder / "orthanc", around.certificates, elsewhere=around.elsewhere) as made:
        _stored(made, around)
        yield made


@contextmanager
def _dcmjs(around: Around) -> Iterator[Archive]:
    with dcmjs(around.certificates, elsewhere=around.elsewhere) as made:
        _stored(made, around)
        yield made


def _stored(made: Archive, around: Around) -> None:
    tls = around.certificates
    options = ("+tls", tls.client.key, tls.client.cert, "+cf", tls.ca) if tls else ()
    done = dcmtk.run("storescu", *options, "-aec", made.ae_title, "127.0.0.1", made.port, around.image)
    assert done.returncode == 0, done.stderr


@contextmanager
def _stock(around: Around) -> Iterator[Archive]:
    """Stock pynetdicom, which asks our policy about the identities it is sent."""
    workstation, driver = free_port(), Driver(Policy.load(around.policy))
    ae = pynetdicom.AE("STOCK")
    for service in SERVICES:
        ae.add_supported_context(service)
    ae.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
    handlers = [*_handlers(around, workstation), (evt.EVT_USER_ID, _judged_by(driver))]
    with _serving(ae, around.tls, handlers) as port:
        yield Archive(port, "STOCK", workstation)
    driver.close()


def _judged_by(driver: Driver) -> Callable[[evt.Event], tuple[bool, bytes | None]]:
    def judge(event: Any) -> tuple[bool, bytes | None]:
        requestor = event.assoc.requestor
        facts = Facts(
            calling_ae_title=requestor.ae_title,
            called_ae_title="STOCK",
            address=ip_address(requestor.address),
            port=requestor.port,
            tls=Tls.NONE,
            identity_type=event.user_id_type,
            now=datetime.now(UTC),
        )
        decision = driver.decide(facts, Credential(event.user_id_type, event.primary_field, event.secondary_field))
        return (True, decision.server_response) if isinstance(decision, Accepted) else (False, None)

    return judge


@contextmanager
def _ours(around: Around) -> Iterator[Archive]:
    """A server of this package, guarded by the policy."""
    workstation = free_port()
    handlers = _handlers(around, workstation)
    policy = Policy.load(around.policy)
    with serving(policy, handlers=handlers, tls=around.tls, contexts=_contexts()) as acceptor:
        yield Archive(acceptor.port, "ARCHIVE", workstation)


def _contexts() -> list[PresentationContext]:
    image = build_context(CTImageStorage)
    image.scu_role = image.scp_role = True
    return [*map(build_context, SERVICES), image]


def _handlers(around: Around, workstation: int) -> list[Any]:
    """Answers to C-FIND, C-GET and C-MOVE: the one image."""
    image = dcmread(around.image)
    destinations = {"WS_1": workstation, "WS_2": around.elsewhere}

    def noted(event: evt.Event) -> int:
        around.served.append(event)
        return 0

    def find(event: evt.Event) -> Iterator[Any]:
        noted(event)
        yield 0xFF00, image

    def get(event: evt.Event) -> Iterator[Any]:
        noted(event)
        yield 1
        yield 0xFF00, image

    def move(event: evt.Event) -> Iterator[Any]:
        storing = {"contexts": [build_context(CTImageStorage)]}
        yield "127.0.0.1", destinations[event.move_destination.strip()], storing
        yield from get(event)

    moves = [(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get), (evt.EVT_C_MOVE, move)]
    return [(evt.EVT_C_ECHO, noted), (evt.EVT_C_STORE, noted), *moves]


Start = Callable[[Around], AbstractContextManager[Archive]]
STARTS: dict[str, Start] = {
    "DCMTK storescp": _storescp,
    "DCMTK dcmqrscp": _dcmqrscp,
    "Orthanc": _orthanc,
    "dcmjs-dimse": _dcmjs,
    "stock pynetdicom": _stock,
    "useridentity": _ours,
}
