"""Who has a ticket is looked up in a directory: a real KDC and a real slapd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.lib.slapd import PEOPLE, RADIOLOGY, SERVICE, SERVICE_PASSCODE, Directory, slapd
from tests.mechanisms.kerberos.hospital import HOSPITAL, Hospital, judge
from tests.parts import require
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Unavailable
from useridentity.identity import Identity
from useridentity.mechanisms.kerberos import KerberosValidator
from useridentity.mechanisms.ldap_settings import LdapGroups, LdapSettings
from useridentity.settings.secret import SecretFile

GROUPS = LdapGroups("memberOf", {RADIOLOGY: "radiology"})
PLAIN_NAMES = ({"match": f"*@{HOSPITAL}", "user_id": "*"},)


@pytest.fixture(scope="module")
def directory(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    require("ldap")
    with slapd(tmp_path_factory.mktemp("slapd"), certificates.ca, certificates.server) as running:
        yield running


@pytest.fixture
def settings(certificates: Certificates, tmp_path: Path) -> LdapSettings:
    secret = tmp_path / "ldap.secret"
    secret.touch(mode=0o600)
    secret.write_text(SERVICE_PASSCODE)
    return LdapSettings(
        ca=certificates.ca, search_base=PEOPLE, service_dn=SERVICE, service_passcode=SecretFile(secret), groups=GROUPS
    )


@pytest.fixture
def looked_up(hospital: Hospital, directory: Directory, settings: LdapSettings) -> Iterator[Callable[..., Identity]]:
    """The identity that alice's ticket gives, with these changes of the directory's settings."""
    made: list[KerberosValidator] = []

    def look_up(*, groups: Any = None, **changes: Any) -> Identity:
        ldap = replace(settings, **changes)
        made.append(
            hospital.validator(principals=PLAIN_NAMES, directory=directory.ldaps, ldap=ldap, groups=groups or {})
        )
        return judge(made[-1], hospital.ticket()).identity

    yield look_up
    for each in made:
        each.close()


def test_groups_and_name_come_from_the_directory(looked_up: Callable[..., Identity]) -> None:
    identity = looked_up()
    assert (identity.subject, identity.user_id) == (f"alice@{HOSPITAL}", "alice")
    assert (identity.display_name, identity.groups) == ("Alice Archer", {"radiology"})


def test_groups_of_the_map_count_as_well(looked_up: Callable[..., Identity]) -> None:
    assert looked_up(groups={f"*@{HOSPITAL}": ("staff",)}).groups == {"radiology", "staff"}


def test_whom_the_directory_has_not_has_no_groups_of_it(looked_up: Callable[..., Identity]) -> None:
    identity = looked_up(filter="(uid=no-{user})", groups={f"*@{HOSPITAL}": ("staff",)})
    assert (identity.display_name, identity.groups) == ("", {"staff"})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"filter": "(|(uid={user})(uid=bob))"}, "shows 2 entries"),
        ({"service_dn": f"cn=nobody,{PEOPLE}"}, "did not tell: Invalid credentials"),
    ],
)
def test_where_the_directory_does_not_tell_nobody_gets_in_without_groups(
    looked_up: Callable[..., Identity], changes: dict[str, Any], problem: str
) -> None:
    looked_up()
    with pytest.raises(Unavailable, match=problem) as undecided:
        looked_up(**changes)
    assert undecided.value.reason is Reason.VALIDATOR_UNAVAILABLE


def test_a_directory_that_was_down_is_found_again(
    hospital: Hospital, directory: Directory, settings: LdapSettings
) -> None:
    validator = hospital.validator(principals=PLAIN_NAMES, directory=directory.ldaps, ldap=settings)
    assert judge(validator, hospital.ticket()).identity.groups == {"radiology"}
    directory.stop()
    with pytest.raises(Unavailable, match="Can't contact LDAP server"):
        judge(validator, hospital.ticket())
    directory.start()
    assert judge(validator, hospital.ticket()).identity.groups == {"radiology"}
    validator.close()


def test_a_name_is_no_part_of_the_filter(directory: Directory, settings: LdapSettings) -> None:
    """A KDC makes principals of nearly any characters; `*` would find everybody."""
    from useridentity.mechanisms.ldap_directory import Lookup

    lookup = Lookup(directory.ldaps, settings)
    assert lookup.find("alice").groups == {"radiology"}
    for name in ("*", "al*", "alice)(uid=*", "\\61lice", ""):
        assert lookup.find(name) == ("", frozenset())
    lookup.close()


def test_what_cannot_work_is_said_at_load(hospital: Hospital, settings: LdapSettings) -> None:
    def problems(**changes: Any) -> str:
        with pytest.raises(ConfigurationError) as wrong:
            hospital.validator(**changes)
        return str(wrong.value)

    assert "ldap: has no meaning without directory" in problems(ldap=settings)
    bind = replace(settings, bind_dn=f"uid={{user}},{PEOPLE}", search_base="", service_dn="", service_passcode=None)
    assert "write search_base" in problems(directory="ldaps://ldap.example.org", ldap=bind)
    assert 'directory = "https://x"' in problems(directory="https://x", ldap=settings)
    assert "passcodes would travel in clear" in problems(directory="ldap://ldap.example.org", ldap=settings)
