"""A real OpenLDAP server, and stores that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.lib.slapd import PEOPLE, SERVICE, SERVICE_PASSCODE, Directory, slapd
from tests.mechanisms.passcode_ldap.support import GROUPS, Settings
from useridentity.mechanisms.ldap_settings import LdapSettings
from useridentity.mechanisms.passcode_ldap import LdapStore
from useridentity.settings.secret import SecretFile


@pytest.fixture(scope="package")
def directory(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    with slapd(tmp_path_factory.mktemp("slapd"), certificates.ca, certificates.server) as running:
        yield running


@pytest.fixture(scope="package")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service account's passcode, as an administrator keeps it."""
    path = tmp_path_factory.mktemp("secret") / "ldap.secret"
    path.touch(mode=0o600)
    path.write_text(SERVICE_PASSCODE + "\n")
    return path


@pytest.fixture
def settings(certificates: Certificates, secret: Path) -> Settings:
    """For either way to find a user, changed as asked."""

    def make(way: str = "bind", **changes: Any) -> LdapSettings:
        ways: dict[str, dict[str, Any]] = {
            "bind": {"bind_dn": f"uid={{user}},{PEOPLE}"},
            "search": {"search_base": PEOPLE, "service_dn": SERVICE, "service_passcode": SecretFile(secret)},
        }
        return replace(LdapSettings(ca=certificates.ca, groups=GROUPS, **ways[way]), **changes)

    return make


@pytest.fixture
def store(directory: Directory, settings: Settings) -> Iterator[Callable[..., LdapStore]]:
    """Opens stores of the directory over LDAPS, or at another URL, until the test ends."""
    opened: list[LdapStore] = []

    def open_one(way: str = "bind", url: str = "", **changes: Any) -> LdapStore:
        opened.append(LdapStore(url or directory.ldaps, settings(way, **changes)))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()
