"""Real MIT Kerberos realms on loopback, each with its KDC, for as long as a test run lasts.

Everything a realm needs is in one folder; /etc/krb5.conf and the user's own tickets are never touched.
A KDC ends with its block, and with the test process however that ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.parts import require

MASTER_PASSWORD = "master"  # of a database that lives as long as the test run
HANG = 20.0  # seconds; every program here ends within two

KRB5_CONF = """\
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

KDC_CONF = """\
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
        krb5_conf: the file that KRB5_CONFIG must name to use the realm.
    """

    name: str
    folder: Path
    port: int
    krb5_conf: Path
    environment: dict[str, str] = field(repr=False)

    def add_principal(self, name: str, *options: str, password: str = "") -> str:
        """Create `name`@realm, with this password or a random key; the full principal."""
        secret = ("-pw", password) if password else ("-randkey",)
        self._kadmin("addprinc", *options, *secret, self.principal(name))
        return self.principal(name)

    def keytab(self, *names: str, file: str = "") -> Path:
        """A new keytab with the keys of these principals, which stay as they are; mode 0600."""
        path = self.folder / (file or names[0].replace("/", "_") + ".keytab")
        path.unlink(missing_ok=True)
        self._kadmin("ktadd", "-k", str(path), "-norandkey", *map(self.principal, names))
        return path

    def login(self, name: str, password: str, *options: str, cache: str = "", clock: str = "") -> Path:
        """A new credential cache with a ticket-granting ticket, as `kinit` makes it."""
        path = self.folder / (cache or f"{name}.cache")
        arguments = [require("kinit"), "-c", str(path), *options, self.principal(name)]
        run(arguments, self.environment | shifted(clock), typed=password)
        return path

    def principal(self, name: str) -> str:
        return name if "@" in name else f"{name}@{self.name}"

    def create(self) -> None:
        """Make the database."""
        kdc_conf = Path(self.environment["KRB5_KDC_PROFILE"])
        kdc_conf.write_text(KDC_CONF.format(name=self.name, folder=self.folder, port=self.port))
        run([require("kdb5_util"), "-r", self.name, "create", "-s", "-P", MASTER_PASSWORD], self.environment)

    @contextmanager
    def serving(self, clock: str = "") -> Iterator[None]:
        """Run the KDC; `clock` sets its clock back or forth, as "-3m"."""
        arguments = [require("setpriv"), "--pdeathsig", "KILL", require("krb5kdc"), "-n", "-r", self.name]
        environment = self.environment | shifted(clock)
        with subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True) as kdc:
            try:
                self._await_start(kdc)
                yield
            finally:
                kdc.kill()

    @contextmanager
    def serving_also(self, clock: str) -> Iterator[Realm]:
        """The same realm by a second KDC, whose clock is moved; use what is yielded to log in there."""
        conf = self.folder / f"krb5{clock}.conf"
        port = free_port()
        for name in (conf.name, f"kdc{clock}.conf"):
            original = self.krb5_conf if name == conf.name else self.folder / "kdc.conf"
            (self.folder / name).write_text(original.read_text().replace(f"127.0.0.1:{self.port}", f"127.0.0.1:{port}"))
        environment = {"KRB5_CONFIG": str(conf), "KRB5_KDC_PROFILE": str(self.folder / f"kdc{clock}.conf")}
        other = replace(self, port=port, krb5_conf=conf, environment=self.environment | environment)
        with other.serving(clock):
            yield other

    def _await_start(self, kdc: subprocess.Popen[str]) -> None:
        assert kdc.stderr is not None
        if "starting" not in kdc.stderr.readline():
            raise RuntimeError(f"the KDC of {self.name} did not start: {(self.folder / 'kdc.log').read_text()}")

    def _kadmin(self, *query: str) -> None:
        run([require("kadmin.local"), "-r", self.name, *query], self.environment)


@contextmanager
def realms(folder: Path, *names: str) -> Iterator[list[Realm]]:
    """Realms that know of each other's KDCs; a host is in the first unless its domain is a realm's name."""
    conf = folder / "krb5.conf"
    made = [_realm(folder, name, conf) for name in names]
    conf.write_text(
        KRB5_CONF.format(
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


def _realm(folder: Path, name: str, conf: Path) -> Realm:
    own = folder / name
    own.mkdir()
    environment = {**os.environ, "KRB5_CONFIG": str(conf), "KRB5_KDC_PROFILE": str(own / "kdc.conf")}
    return Realm(name, own, free_port(), conf, environment)


def trust(one: Realm, other: Realm) -> None:
    """Let the principals of `one` have tickets for the services of `other`."""
    for realm in (one, other):
        realm.add_principal(f"krbtgt/{other.name}@{one.name}", password="shared by both KDCs")


def shifted(clock: str) -> dict[str, str]:
    """The environment that moves a program's clock by so much, as "-3m"; none for an empty one."""
    if not clock:
        return {}
    require("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME": clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def run(arguments: list[str], environment: Mapping[str, str], typed: str = "") -> str:
    """What a program prints; raises `RuntimeError` with its own words where it fails."""
    done = subprocess.run(
        arguments, env=dict(environment), input=typed, capture_output=True, text=True, timeout=HANG, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{arguments[0]}: {done.stderr or done.stdout}")
    return done.stdout


def free_port() -> int:
    """A port of 127.0.0.1 that nothing uses at the moment, for UDP and TCP."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
