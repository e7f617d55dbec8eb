"""A real OpenLDAP server on loopback, as an ordinary user or root; it ends with its block."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.lib.certificates import Pair
from tests.lib.ports import free_port
from tests.lib.processes import suspend
from tests.parts import require

BASE = "dc=example,dc=org"
PEOPLE = f"ou=people,{BASE}"
ADMIN, ADMIN_PASSCODE = f"cn=admin,{BASE}", "admin passcode"
SERVICE, SERVICE_PASSCODE = f"cn=useridentity,{BASE}", "service passcode"
POLICY = f"cn=policy,{BASE}"
RADIOLOGY = f"cn=radiology,ou=groups,{BASE}"
HANG = 10.0  # seconds; it is ready within half of one

SLAPD_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
TLSCACertificateFile {ca}
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
database mdb
suffix "{base}"
directory {folder}/db
rootdn "{admin}"
rootpw "{passcode}"
maxsize 10485760
dbnosync
overlay memberof
overlay ppolicy
ppolicy_default "{policy}"
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="{people}" by dn.exact="{service}" read by self read by * none
access to * by users read by anonymous none
"""

# uid=silent cannot be read, uid=elsewhere is in another directory, two share a mail address.
LDIF = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {SERVICE}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: useridentity
userPassword: {SERVICE_PASSCODE}

dn: {POLICY}
objectClass: organizationalRole
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdMustChange: TRUE
pwdLockout: TRUE

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{BASE}
objectClass: organizationalUnit
ou: groups

dn: uid=alice,{PEOPLE}
objectClass: inetOrgPerson
uid: alice
cn: Alice Archer
sn: Archer
mail: shared@example.org
userPassword: right

dn: uid=bob,{PEOPLE}
objectClass: inetOrgPerson
uid: bob
cn: Bob Baker
sn: Baker
mail: shared@example.org
mail: bob+ct@example.org
userPassword: bob's

dn: cn=Odd,{PEOPLE}
objectClass: inetOrgPerson
cn: Odd
sn: Odd
uid: o*(d)d\\
userPassword: odd's

dn: cn=Twofold,{PEOPLE}
objectClass: inetOrgPerson
cn: Twofold
sn: Twofold
uid: two
uid: twofold
userPassword: two's

dn: uid=nopasscode,{PEOPLE}
objectClass: inetOrgPerson
uid: nopasscode
cn: No Passcode
sn: Passcode

dn: {RADIOLOGY}
objectClass: groupOfNames
cn: radiology
member: uid=alice,{PEOPLE}

dn: cn=finance,ou=groups,{BASE}
objectClass: groupOfNames
cn: finance
member: uid=alice,{PEOPLE}
"""


@dataclass
class Directory:
    """A server and its files; `port` is for ldap, `tls_port` for ldaps.

    Fields:
        log: what it was asked, a line per operation, as "BIND dn=..." and "SRCH base=...".
        words: all that it said.
    """

    folder: Path
    ca: Path
    port: int
    tls_port: int
    log: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list, repr=False)
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def ldaps(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def ldap(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run the server; as itself, so that it can be started again on the same files and ports."""
        urls = f"{self.ldap} {self.ldaps}"
        arguments = [require("slapd"), "-f", str(self.folder / "slapd.conf"), "-h", urls, "-d", "256"]
        arguments = [require("setpriv"), "--pdeathsig", "KILL", *arguments]
        self.process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        for port in (self.port, self.tls_port):
            self._await_port(self.process, port)

    def _await_port(self, process: subprocess.Popen[str], port: int) -> None:
        """slapd says that it starts before it listens."""
        deadline = time.monotonic() + HANG
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), HANG):
                return
            time.sleep(0.002)
        raise RuntimeError(f"slapd did not start; its last words: {self.words[-5:]}")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.words.append(line)
            if asked := re.search(r"BIND dn=.* method=|SRCH base=.*", line):
                self.log.append(asked[0])

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(HANG)
        self._reader.join(HANG)
        assert self.process.stderr is not None
        self.process.stderr.close()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Silent, though connections are accepted by the kernel."""
        assert self.process is not None
        suspend(self.process)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @contextmanager
    def asked(self) -> Iterator[list[str]]:
        """The operations that the block brought about, known once it has ended."""
        operations: list[str] = []
        start = self._marked()
        yield operations
        end = self._marked()
        operations += self.log[start + 1 : end]

    def _marked(self) -> int:
        """Where the log stands now: the place of an operation that is asked for and then awaited there."""
        marker = f"cn=marker-{os.urandom(8).hex()}"
        self.run("ldapwhoami", "-D", f"{marker},{BASE}", "-w", "none", expected=49)
        deadline = time.monotonic() + HANG
        while True:
            for place, line in enumerate(self.log):
                if marker in line:
                    return place
            assert time.monotonic() < deadline, "slapd logged nothing"
            time.sleep(0.002)

    def add(self, ldif: str) -> None:
        path = self.folder / "add.ldif"
        path.write_text(ldif)
        self.run("ldapadd", "-M", "-D", ADMIN, "-w", ADMIN_PASSCODE, "-f", str(path))

    def change(self, dn: str, *lines: str) -> None:
        """Modify an entry as the administrator, its operational attributes too (LDIF, RFC 2849)."""
        path = self.folder / "change.ldif"
        path.write_text("\n".join([f"dn: {dn}", "changetype: modify", *lines, ""]))
        self.run("ldapmodify", "-e", "relax", "-D", ADMIN, "-w", ADMIN_PASSCODE, "-f", str(path))

    def run(self, program: str, *arguments: str, expected: int = 0) -> None:
        """A program of ldap-utils, with the result code that it should end with."""
        command = [require(program), "-x", "-H", self.ldap, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)
        if done.returncode != expected:
            raise RuntimeError(f"{program}: {done.stderr}")


@contextmanager
def slapd(folder: Path, ca: Path, pair: Pair) -> Iterator[Directory]:
    """A running directory with the entries above, its certificate that of `pair`."""
    require("slapd")
    (folder / "db").mkdir(parents=True)
    names = {
        "base": BASE,
        "people": PEOPLE,
        "service": SERVICE,
        "admin": ADMIN,
        "passcode": ADMIN_PASSCODE,
        "policy": POLICY,
    }
    conf = SLAPD_CONF.format(folder=folder, ca=ca, cert=pair.cert, key=pair.key, **names)
    (folder / "slapd.conf").write_text(conf)
    directory = Directory(folder, ca, free_port(), free_port())
    directory.start()
    try:
        directory.add(LDIF)
        yield directory
    finally:
        directory.stop()
