"""A real rsyslog on loopback, as an ordinary user or root: over TLS with mutual authentication, and over UDP.

Its queues are direct: what it has read is in the file before it reads on, and a kill loses nothing that was
confirmed.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.lib.certificates import Certificates
from tests.lib.ports import free_port
from tests.parts import require

HANG = 60.0  # seconds; it is ready within half of one, with GnuTLS within six on a busy machine
Driver = Literal["ossl", "gtls"]

CONF = """\
global(maxMessageSize="64k" workDirectory="{folder}" net.enableDNS="off" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}")
main_queue(queue.type="Direct")
module(load="imtcp" streamDriver.name="{driver}" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
module(load="imudp")
input(type="imtcp" address="{address}" port="{tls_port}")
input(type="imudp" address="{address}" port="{udp_port}")
template(name="whole" type="string" string="%rawmsg%\\n")
action(type="omfile" file="{folder}/received" template="whole")
"""


@dataclass
class Rsyslog:
    """A receiver and its files; it can be killed and started again on the same ones and ports."""

    folder: Path
    certificates: Certificates
    driver: Driver
    address: str
    tls_port: int
    udp_port: int
    prefix: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def tls_url(self) -> str:
        return f"syslog+tls://{self.address}:{self.tls_port}"

    @property
    def udp_url(self) -> str:
        return f"syslog+udp://{self.address}:{self.udp_port}"

    @property
    def received(self) -> list[str]:
        """Every message as it came, without its frame."""
        path = self.folder / "received"
        return path.read_text("utf-8").split("\n")[:-1] if path.exists() else []

    def start(self) -> None:
        """Run it, and return once it listens."""
        conf, log = self.folder / "rsyslog.conf", self.folder / "log"
        server = self.certificates.server
        files = {"ca": self.certificates.ca, "cert": server.cert, "key": server.key}
        places = {"address": self.address, "tls_port": self.tls_port, "udp_port": self.udp_port}
        conf.write_text(CONF.format(folder=self.folder, driver=self.driver, **files, **places))
        (self.folder / "pid").unlink(missing_ok=True)
        command = [require("rsyslogd"), "-n", "-f", str(conf), "-i", str(self.folder / "pid")]
        command = [*self.prefix, require("setpriv"), "--pdeathsig", "KILL", *command]
        with log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + HANG
        while not self._listens():
            alive = self.process.poll() is None and time.monotonic() < deadline
            assert alive, f"rsyslogd did not start: {log.read_text()}"
            time.sleep(0.01)

    def _listens(self) -> bool:
        """Its own word for it, since within a network namespace nobody outside can try."""
        if not (self.folder / "pid").exists():
            return False
        if self.prefix:
            return True
        with suppress(OSError), socket.create_connection((self.address, self.tls_port), HANG):
            return True
        return False

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(HANG)
            self.process = None


@contextmanager
def rsyslog(
    folder: Path, certificates: Certificates, driver: Driver = "ossl", address: str = "127.0.0.1", *prefix: str
) -> Iterator[Rsyslog]:
    """A running receiver; `prefix` is a command that runs it elsewhere, such as in a network namespace."""
    require("rsyslogd")
    folder.mkdir()
    receiver = Rsyslog(folder, certificates, driver, address, free_port(), free_port(), prefix)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.kill()
