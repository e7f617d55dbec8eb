"""Realms of `useridentity.testing`, and clocks to move: each program of a realm can run at another time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.lib.ports import free_port
from tests.parts import require
from useridentity import testing
from useridentity.testing.programs import PACKAGES, run

__all__ = ["Realm", "realms", "run", "shifted", "trust"]


class Realm(testing.Realm):
    """One realm and its KDC; `clock` sets a program's clock back or forth, as "-3m"."""

    @property
    def krb5_conf(self) -> Path:
        """The file that KRB5_CONFIG must name to use the realm."""
        return Path(self.environment["KRB5_CONFIG"])

    def login(self, name: str, password: str, *options: str, cache: str = "", clock: str = "") -> Path:
        return testing.Realm.login(self._at(clock), name, password, *options, cache=cache)

    @contextmanager
    def serving_also(self, clock: str) -> Iterator[Realm]:
        """The same realm by a second KDC, whose clock is moved; use what is yielded to log in there."""
        port = free_port()
        environment = {}
        for variable in ("KRB5_CONFIG", "KRB5_KDC_PROFILE"):
            original = Path(self.environment[variable])
            copy = self.folder / f"{original.stem}{clock}.conf"
            copy.write_text(original.read_text().replace(f"127.0.0.1:{self.port}", f"127.0.0.1:{port}"))
            environment[variable] = str(copy)
        other = replace(self, port=port, environment=self.environment | environment)
        with other._at(clock).serving():
            yield other

    def _at(self, clock: str) -> Realm:
        return replace(self, environment=self.environment | shifted(clock))


@contextmanager
def realms(folder: Path, *names: str) -> Iterator[list[Realm]]:
    """Realms that know of each other's KDCs; a host is in the first unless its domain is a realm's name."""
    for program in PACKAGES:
        require(program)
    with testing.realms(folder, *names) as made:
        yield [Realm(**vars(each)) for each in made]


def trust(one: Realm, other: Realm) -> None:
    """Let the principals of `one` have tickets for the services of `other`."""
    other.trust(one)


def shifted(clock: str) -> dict[str, str]:
    """The environment that moves a program's clock by so much, as "-3m"; none for an empty one."""
    if not clock:
        return {}
    require("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME": clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
