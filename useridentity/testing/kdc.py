"""Real MIT Kerberos realms on loopback, each with its KDC, for as long as a block of a test lasts.

All that a realm needs is in one folder; /etc/krb5.conf and the user's own tickets are never touched. A KDC
ends with its block, and with the thread that started it however that ends.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from useridentity.testing.programs import program, run

PORTS = range(30_000, 32_000)
"""Of KDCs: below those that Linux gives to clients (ip_local_port_range), which would be in the way."""

_MASTER_PASSWORD = "of a database that ends with the test"  # noqa: S105

_KRB5_CONF = """\
[libdefaults]
    default_realm = {default}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    kdc_timesync = 0
    spake_preauth_groups = edwards25519
[realms]
{realms}
[domain_realm]
{domains}
"""

# The indicator is there for policies that read `auth_indicators`.
_KDC_CONF = """\
[kdcdefaults]
    kdc_listen = 127.0.0.1:{port}
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {name} = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
        spake_preauth_indicator = strong
    }}
[logging]
    kdc = FILE:{folder}/kdc.log
"""


@dataclass(frozen=True)
class Realm:
    """One realm and its KDC.

    Fields:
        name: such as HOSPITAL.TEST.
        folder: of its database, keytabs and credential caches.
        port: of the KDC, on 127.0.0.1, UDP and TCP.
        environment: what a program of the realm runs with.

    Methods raise `ConfigurationError` where a program is missing and `RuntimeError`, with its words, where
    one fails.
    """

    name: str
    folder: Path
    port: int
    environment: dict[str, str] = field(repr=False)

    def principal(self, name: str) -> str:
        """The full name of `name`, unless it is full already."""
        return name if "@" in name else f"{name}@{self.name}"

    def add_principal(self, name: str, *options: str, password: str = "") -> str:
        """Create a principal with this password, or a random key, and `kadmin addprinc` options; its full name."""
        key = [] if password else ["-randkey"]
        self._kadmin("addprinc", *options, *key, self.principal(name), typed=f"{password}\n" * 2)
        return self.principal(name)

    def keytab(self, *names: str, file: str = "") -> Path:
        """A new keytab with the keys of these principals, which stay as they are; mode 0600."""
        path = self.folder / (file or names[0].replace("/", "_") + ".keytab")
        path.unlink(missing_ok=True)
        self._kadmin("ktadd", "-k", str(path), "-norandkey", *map(self.principal, names))
        return path

    def login(self, name: str, password: str, *options: str, cache: str = "") -> Path:
        """A new credential cache with a ticket-granting ticket, by `kinit` with these options."""
        path = self.folder / (cache or f"{name}.cache")
        self._run("kinit", "-c", str(path), *options, self.principal(name), typed=f"{password}\n")
        return path

    def trust(self, other: Realm) -> None:
        """Let the principals of `other` have tickets for the services of this realm."""
        for realm in (self, other):
            realm.add_principal(f"krbtgt/{self.name}@{other.name}", password="shared by both KDCs")  # noqa: S106

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Make this process one of the realm's, with nobody logged in and its replay cache in `folder`.

        Sets the environment variables that MIT Kerberos reads, and sets them back.
        """
        before = {name: value for name, value in os.environ.items() if name.startswith("KRB5")}
        _replace_environment(
            KRB5_CONFIG=self.environment["KRB5_CONFIG"],
            KRB5RCACHEDIR=str(self.folder),
            KRB5CCNAME=f"FILE:{self.folder}/nobody.cache",
        )
        try:
            yield
        finally:
            _replace_environment(**before)

    def create(self) -> None:
        """Make the database."""
        kdc_conf = Path(self.environment["KRB5_KDC_PROFILE"])
        kdc_conf.write_text(_KDC_CONF.format(name=self.name, folder=self.folder, port=self.port))
        self._run("kdb5_util", "-r", self.name, "create", "-s", typed=f"{_MASTER_PASSWORD}\n" * 2)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run the KDC."""
        arguments = [program("setpriv"), "--pdeathsig", "KILL", program("krb5kdc"), "-n", "-r", self.name]
        with subprocess.Popen(arguments, env=self.environment, stderr=subprocess.PIPE, text=True) as kdc:  # noqa: S603
            try:
                self._await_start(kdc)
                yield
            finally:
                kdc.kill()
                kdc.wait()  # which Popen leaves out where control-C ends the block

    def _await_start(self, kdc: subprocess.Popen[str]) -> None:
        said = kdc.stderr.readline() if kdc.stderr else ""
        if "starting" not in said:
            raise RuntimeError(f"the KDC of {self.name} did not start: {said}")

    def _kadmin(self, *query: str, typed: str = "") -> None:
        self._run("kadmin.local", "-r", self.name, *query, typed=typed)

    def _run(self, name: str, *arguments: str, typed: str = "") -> None:
        run([program(name), *arguments], self.environment, typed)


@contextmanager
def realms(folder: Path, *names: str) -> Iterator[list[Realm]]:
    """Realms with their KDCs running, which know of each other, in an empty folder.

    A host is in the first, unless its domain is another's name: pacs.partners.test is in PARTNERS.TEST.
    Raises `ConfigurationError` where a program is missing and `RuntimeError` where one fails.
    """
    made = [_realm(folder, name) for name in names]
    (folder / "krb5.conf").write_text(
        _KRB5_CONF.format(
            default=names[0],
            realms="\n".join(f"    {each.name} = {{\n        kdc = 127.0.0.1:{each.port}\n    }}" for each in made),
            domains="\n".join(f"    .{each.name.lower()} = {each.name}" for each in made),
        )
    )
    with ExitStack() as running:
        for realm in made:
            realm.create()
            running.enter_context(realm.serving())
        yield made


def _realm(folder: Path, name: str) -> Realm:
    own = folder / name
    own.mkdir()
    environment = {
        "KRB5_CONFIG": str(folder / "krb5.conf"),
        "KRB5_KDC_PROFILE": str(own / "kdc.conf"),
        "KRB5RCACHEDIR": str(own),
        "LC_ALL": "C",  # what programs say is read
    }
    return Realm(name, own, free_port(), os.environ | environment)


def _replace_environment(**ours: str) -> None:
    """Drop what this process has of MIT Kerberos' variables, and set these."""
    for name in [name for name in os.environ if name.startswith("KRB5")]:
        del os.environ[name]
    os.environ.update(ours)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing uses at the moment, for UDP and TCP; nor will a client be given it."""
    while True:
        port = random.choice(PORTS)  # noqa: S311  no secret
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, suppress(OSError):
            for each in (tcp, udp):
                each.bind(("127.0.0.1", port))
            return port
