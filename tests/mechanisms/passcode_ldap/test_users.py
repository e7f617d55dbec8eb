"""Who is let in by a directory, who is not, and what is kept from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lib.slapd import ADMIN, ADMIN_PASSCODE, BASE, PEOPLE, SERVICE_PASSCODE, Directory
from tests.mechanisms.passcode_ldap.support import WAYS, Stores
from tests.mechanisms.stores import refusal, unavailability
from useridentity.mechanisms.passcode import User

# Who is let in, and as whom


@pytest.mark.parametrize("way", WAYS)
def test_a_user_is_who_the_directory_says_and_has_the_groups_that_are_mapped(store: Stores, way: str) -> None:
    """Alice is in finance, too, which the map does not name."""
    assert store(way).verify("alice", b"right") == User("alice", "Alice Archer", frozenset({"radiology"}))
    assert store(way).verify("bob", b"bob's") == User("bob", "Bob Baker")


@pytest.mark.parametrize("way", WAYS)
def test_the_name_is_the_directorys_and_not_what_was_sent(store: Stores, way: str) -> None:
    """A directory compares without case; an identity must not have as many names as there are spellings."""
    assert store(way).verify("ALICE", b"right").user_id == "alice"


def test_starttls_is_as_good(store: Stores, directory: Directory) -> None:
    assert store(url=directory.ldap, starttls="required").verify("alice", b"right").user_id == "alice"


def test_plain_ldap_works_where_it_is_allowed_in_a_word(store: Stores, directory: Directory) -> None:
    plain = store(url=directory.ldap, plaintext="allow", ca=None)
    assert plain.verify("alice", b"right").user_id == "alice"
    assert "wrong passcode" in refusal(plain, "alice", b"wrong")


def test_another_filter_finds_users_by_another_attribute(store: Stores) -> None:
    by_mail = store("search", filter="(|(uid={user})(mail={user}))")
    assert by_mail.verify("bob+ct@example.org", b"bob's").user_id == "bob"
    assert by_mail.verify("alice", b"right").user_id == "alice"
    assert "Size limit exceeded" in unavailability(store("search", filter="(objectClass={user})"), "inetOrgPerson")
    assert "2 entries" in unavailability(by_mail, "shared@example.org")


# Who is not


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("username", "passcode"),
    [
        ("alice", b"wrong"),
        ("alice", b"Right"),
        ("alice", b"right\0"),
        ("alice", b"bob's"),
        ("mallory", b"right"),
        ("nopasscode", b"right"),
        ("radiology", b"right"),
    ],
)
def test_a_wrong_name_or_passcode_is_refused(store: Stores, way: str, username: str, passcode: bytes) -> None:
    asked = store(way)
    asked.verify("alice", b"right")
    refusal(asked, username, passcode)
    assert asked.verify("alice", b"right").user_id == "alice"


GRACE = f"cn=grace,{BASE}"
GRACE_POLICY = f"""\
dn: {GRACE}
objectClass: organizationalRole
objectClass: pwdPolicy
cn: grace
pwdAttribute: userPassword
pwdMaxAge: 1
pwdGraceAuthNLimit: 3
"""
LONG_AGO = "replace: pwdChangedTime\npwdChangedTime: 20200101000000Z"


@pytest.fixture
def carol(directory: Directory) -> Iterator[str]:
    """The DN of a user who may be used up."""
    dn = f"uid=carol,{PEOPLE}"
    directory.add(f"dn: {dn}\nobjectClass: inetOrgPerson\nuid: carol\ncn: Carol\nsn: C\nuserPassword: carol's\n")
    yield dn
    directory.run("ldapdelete", "-D", ADMIN, "-w", ADMIN_PASSCODE, dn)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("replace: pwdReset\npwdReset: TRUE", "the passcode has to be changed"),
        ("replace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z", "Invalid credentials"),
    ],
)
def test_a_right_passcode_that_may_not_be_used_is_refused(
    store: Stores, directory: Directory, carol: str, way: str, change: str, expected: str
) -> None:
    """A bind with a passcode that was reset succeeds, for its change alone."""
    asked = store(way)
    assert asked.verify("carol", b"carol's").user_id == "carol"
    directory.change(carol, change)
    assert expected in refusal(asked, "carol", b"carol's")
    assert asked.verify("alice", b"right").user_id == "alice"


@pytest.mark.parametrize("way", WAYS)
def test_a_passcode_that_has_ended_is_good_for_the_grace_that_the_directory_gives(
    store: Stores, directory: Directory, carol: str, way: str
) -> None:
    directory.add(GRACE_POLICY)
    try:
        directory.change(carol, f"replace: pwdPolicySubentry\npwdPolicySubentry: {GRACE}\n-\n{LONG_AGO}")
        asked = store(way)
        for _ in range(3):
            assert asked.verify("carol", b"carol's").user_id == "carol"
        refusal(asked, "carol", b"carol's")
    finally:
        directory.run("ldapdelete", "-D", ADMIN, "-w", ADMIN_PASSCODE, GRACE)


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_passcode_is_refused_before_the_wire(store: Stores, directory: Directory, way: str) -> None:
    """A directory takes it for a bind as nobody, which succeeds (RFC 4513 5.1.2)."""
    asked = store(way)
    asked.verify("alice", b"right")
    with directory.asked() as operations:
        assert "empty passcode" in refusal(asked, "alice", b"")
    assert operations == []


@pytest.mark.parametrize("way", WAYS)
def test_an_unknown_user_costs_the_same_exchanges_as_a_wrong_passcode(
    store: Stores, directory: Directory, way: str
) -> None:
    asked = store(way)
    kinds = []
    for username in ("alice", "mallory"):
        with directory.asked() as operations:
            refusal(asked, username, b"wrong")
        kinds.append([operation[:4] for operation in operations])
    assert kinds[0] == kinds[1] == (["BIND"] if way == "bind" else ["BIND", "SRCH", "BIND"])


DN_ATTACKS = [
    f"alice,{PEOPLE}",
    f"alice,{PEOPLE}+uid=x",
    "alice+cn=Alice Archer",
    "alice\\2cou=people",
    'alice"',
    "alice;",
    "<alice>",
    "#616c696365",
    "uid=alice",
    " alice",
    "alice ",
    "alice\0",
]


@pytest.mark.parametrize("username", DN_ATTACKS)
def test_a_name_that_would_change_the_dn_is_refused_before_the_wire(
    store: Stores, directory: Directory, username: str
) -> None:
    """RFC 4514 2.4."""
    asked = store()
    asked.verify("alice", b"right")
    with directory.asked() as operations:
        assert "mean something in a DN" in refusal(asked, username, b"right")
    assert operations == []


FILTER_ATTACKS = [
    "*",
    "a*",
    "al*ce",
    "alice)(uid=*",
    "*)(uid=*))(|(uid=*",
    "alice)(|(uid=*)",
    "\\2a",
    "alice\0",
    "(alice)",
]


@pytest.mark.parametrize("username", FILTER_ATTACKS)
def test_a_name_that_would_change_the_filter_finds_only_who_has_that_name(
    store: Stores, directory: Directory, username: str
) -> None:
    """RFC 4515 3; the twin really is called o*(d)d\\."""
    asked = store("search")
    assert asked.verify("o*(d)d\\", b"odd's").display_name == "Odd"
    with directory.asked() as operations:
        assert "unknown user" in refusal(asked, username, b"right")
    (search,) = [operation for operation in operations if operation.startswith("SRCH")]
    assert search.partition("filter=")[2].count("(") == 1


def test_an_entry_without_a_single_name_is_no_user(store: Stores) -> None:
    assert store("search").verify("alice", b"right")
    assert "exactly one uid" in unavailability(store("search"), "twofold", b"two's")
    assert "exactly one employeeNumber" in unavailability(store("search", user_id="employeeNumber"))


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_is_shown(store: Stores, way: str) -> None:
    asked = store(way)
    asked.verify("alice", b"right")
    shown = [repr(asked), refusal(asked, "alice", b"s3cret-of-alice")]
    assert not any(secret in text for secret in ("s3cret", SERVICE_PASSCODE) for text in shown)
