"""The archives of DCMTK, Orthanc and dcmjs-dimse, as processes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lib import dcmtk
from tests.lib.certificates import Certificates
from tests.lib.node import script
from tests.lib.ports import free_port
from tests.parts import require

HANG = 20.0  # seconds; ten times what an archive takes to start on a busy machine
ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Archive:
    """A running archive: its port, its AE title, the port at which it believes WS_1 to be, and more options.

    Where a port `elsewhere` was given, it believes WS_2 to be there.
    """

    port: int
    ae_title: str
    workstation: int
    options: tuple[str, ...] = ()

    @property
    def peer(self) -> tuple[str, ...]:
        """What a command is told of it."""
        return (ADDRESS, str(self.port), "--called", self.ae_title, "--calling", "WS_1", *self.options)


@contextmanager
def archive(folder: Path, files: Sequence[Path] = (), *, elsewhere: int = 1) -> Iterator[Archive]:
    """DCMTK's dcmqrscp with these files in it, until the block ends."""
    made = Archive(free_port(), "ARCHIVE", free_port())
    storage = folder / "storage"
    storage.mkdir(parents=True)
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {made.port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nws = (WS_1, {ADDRESS}, {made.workstation})\n"
        f"elsewhere = (WS_2, {ADDRESS}, {elsewhere})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {storage} RW (200, 1024mb) ANY\nAETable END\n"
    )
    with _running("dcmqrscp", "-c", configuration, port=made.port):
        for path in files:
            done = dcmtk.run("storescu", "-aec", made.ae_title, ADDRESS, made.port, path)
            assert done.returncode == 0, done.stderr
        yield made


@contextmanager
def storescp(folder: Path | None, certificates: Certificates | None = None) -> Iterator[Archive]:
    """DCMTK's storescp, which only takes files, into a folder that is there if any; with certificates by mutual TLS."""
    made = Archive(free_port(), "STORESCP", free_port())
    tls: tuple[object, ...] = ()
    if certificates is not None:
        cert, key = certificates.server
        tls = ("+tls", key, cert, "+cf", certificates.ca, "--require-peer-cert")
    kept = ("--ignore",) if folder is None else ("--output-directory", folder)
    with _running("storescp", *tls, *kept, made.port, port=made.port):
        yield made


@contextmanager
def orthanc(folder: Path, certificates: Certificates | None = None, *, elsewhere: int = 1) -> Iterator[Archive]:
    """An empty Orthanc, until the block ends; with certificates over mutual TLS, both ways but to WS_2."""
    made = Archive(free_port(), "ORTHANC", free_port())
    folder.mkdir(parents=True)
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": made.ae_title,
        "DicomPort": made.port,
        "HttpServerEnabled": False,
        "DicomModalities": {
            "ws": {"AET": "WS_1", "Host": ADDRESS, "Port": made.workstation, "UseDicomTls": certificates is not None},
            "elsewhere": {"AET": "WS_2", "Host": ADDRESS, "Port": elsewhere},
        },
        "Plugins": [],
    } | ({} if certificates is None else _orthanc_tls(certificates))
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(settings))
    with _running("Orthanc", configuration, port=made.port):
        yield made


def _orthanc_tls(certificates: Certificates) -> dict[str, object]:
    cert, key = certificates.server
    return {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(cert),
        "DicomTlsPrivateKey": str(key),
        "DicomTlsTrustedCertificates": str(certificates.ca),
        "DicomTlsRemoteCertificateRequired": True,
    }


@contextmanager
def dcmjs(certificates: Certificates | None = None, *, elsewhere: int = 1) -> Iterator[Archive]:
    """An empty archive of dcmjs-dimse, which has no C-GET, until the block ends; with certificates over mutual TLS."""
    workstation = free_port()
    config: dict[str, object] = {"destinations": {"WS_1": workstation, "WS_2": elsewhere}}
    if certificates is not None:
        cert, key = certificates.server
        config["tls"] = {"cert": cert.read_text(), "key": key.read_text(), "ca": certificates.ca.read_text()}
    with script("archive.js", config) as process:
        yield Archive(int(process.read()["port"]), "DCMJS", workstation)


@contextmanager
def _running(program: str, *arguments: object, port: int) -> Iterator[None]:
    command = [require(program), *map(str, arguments)]
    environment = os.environ | {"TCP_NODELAY": "1"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _await(port, process)
            yield
        finally:
            process.terminate()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + HANG
    while True:
        try:
            socket.create_connection((ADDRESS, port)).close()
        except ConnectionRefusedError:
            assert process.poll() is None, "the archive ended"
            assert time.monotonic() < deadline, "the archive does not listen"
            time.sleep(0.02)
        else:
            return
