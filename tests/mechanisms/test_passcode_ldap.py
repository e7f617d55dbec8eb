"""Passcodes in a directory: a real OpenLDAP server, and peers that are none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.lib.documents import toml_of
from tests.lib.slapd import BASE, PEOPLE, RADIOLOGY, SERVICE, SERVICE_PASSCODE, Directory, slapd
from tests.mechanisms.builders import context, credential, facts
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused, Unavailable
from useridentity.mechanisms import passcode_ldap
from useridentity.mechanisms.ldap_settings import LdapGroups, LdapSettings
from useridentity.mechanisms.passcode import PasscodeSettings, User
from useridentity.mechanisms.passcode_ldap import LdapStore
from useridentity.settings import Runtime, decode

GROUPS = LdapGroups("memberOf", {RADIOLOGY.replace("cn=radiology", "CN=Radiology"): "radiology"})
WAYS = ["bind", "search"]


@pytest.fixture(scope="module")
def directory(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    with slapd(tmp_path_factory.mktemp("slapd"), certificates.ca, certificates.server) as running:
        yield running


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service account's passcode, as an administrator keeps it."""
    path = tmp_path_factory.mktemp("secret") / "ldap.secret"
    path.touch(mode=0o600)
    path.write_text(SERVICE_PASSCODE + "\n")
    return path


@pytest.fixture
def settings(certificates: Certificates, secret: Path) -> Callable[..., LdapSettings]:
    """For either way to find a user, changed as asked."""

    def make(way: str = "bind", **changes: Any) -> LdapSettings:
        ways = {
            "bind": {"bind_dn": f"uid={{user}},{PEOPLE}"},
            "search": {"search_base": PEOPLE, "service_dn": SERVICE, "service_passcode": secret},
        }
        return replace(LdapSettings(ca=certificates.ca, groups=GROUPS, **ways[way]), **changes)

    return make


@pytest.fixture
def store(directory: Directory, settings: Callable[..., LdapSettings]) -> Iterator[Callable[..., LdapStore]]:
    """Opens stores of the directory over LDAPS, or at another URL, until the test ends."""
    opened: list[LdapStore] = []

    def open_one(way: str = "bind", url: str = "", **changes: Any) -> LdapStore:
        opened.append(LdapStore(url or directory.ldaps, settings(way, **changes)))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def refusal(store: LdapStore, username: str, passcode: bytes) -> str:
    with pytest.raises(Refused) as caught:
        store.verify(username, passcode)
    assert caught.value.reason is Reason.CREDENTIAL_INVALID
    return caught.value.detail


def unavailability(store: LdapStore, username: str = "alice", passcode: bytes = b"right") -> str:
    with pytest.raises(Unavailable) as caught:
        store.verify(username, passcode)
    return caught.value.detail


Stores = Callable[..., LdapStore]


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


# The directory's own identity


@pytest.mark.parametrize("starttls", [None, "required"])
def test_a_directory_of_another_authority_is_never_told_a_passcode(
    store: Stores, directory: Directory, certificates: Certificates, starttls: str | None
) -> None:
    url = directory.ldap if starttls else directory.ldaps
    assert store(url=url, starttls=starttls).verify("alice", b"right")
    with directory.asked() as operations:
        unavailability(store(url=url, starttls=starttls, ca=certificates.foreign_ca))
    assert operations == []


PROGRAM = f"""
import sys
from pathlib import Path
from useridentity.errors import Unavailable
from useridentity.mechanisms.ldap_settings import LdapSettings
from useridentity.mechanisms.passcode_ldap import LdapStore
settings = LdapSettings(Path(sys.argv[2]), bind_dn="uid={{user}},{PEOPLE}")
try:
    print(LdapStore(sys.argv[1], settings).verify("alice", b"right").user_id)
except Unavailable:
    print("unavailable")
"""


def test_the_environment_and_ldap_conf_have_no_say_in_whom_to_trust(
    directory: Directory, certificates: Certificates, tmp_path: Path
) -> None:
    """libldap reads both, once per process."""
    (tmp_path / "ldap.conf").write_text(f"TLS_REQCERT never\nTLS_CACERT {certificates.ca}\n")

    def asked(ca: Path, **environment: str) -> str:
        command = [sys.executable, "-c", PROGRAM, directory.ldaps, str(ca)]
        return subprocess.check_output(command, env={**os.environ, **environment}, text=True, timeout=60).strip()

    lax = {"LDAPTLS_REQCERT": "never", "LDAPTLS_CACERT": str(certificates.ca)}
    assert asked(certificates.ca) == asked(certificates.ca, **lax) == "alice"
    assert asked(certificates.foreign_ca, **lax) == "unavailable"
    assert asked(certificates.foreign_ca, LDAPCONF=str(tmp_path / "ldap.conf")) == "unavailable"


@pytest.mark.parametrize("starttls", [None, "required"])
def test_a_directory_under_another_name_is_never_told_a_passcode(
    certificates: Certificates, settings: Callable[..., LdapSettings], tmp_path: Path, starttls: str | None
) -> None:
    named = certificates.authority.issue("named", "ldap.example.org")
    with slapd(tmp_path / "other", certificates.ca, named) as other:
        url = other.ldap if starttls else other.ldaps
        with other.asked() as operations:
            unavailability(LdapStore(url, settings(starttls=starttls)))
        assert operations == []


def test_referrals_are_not_followed(store: Stores, directory: Directory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        port = elsewhere.getsockname()[1]
        directory.add(
            f"dn: uid=moved,{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\nuid: moved\n"
            f"ref: ldap://127.0.0.1:{port}/uid=moved,{PEOPLE}\n"
        )
        assert store().verify("alice", b"right")
        for way in WAYS:
            with pytest.raises((Refused, Unavailable)):
                store(way).verify("moved", b"right")
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


# Time, and its absence


def test_a_connection_is_used_again_and_bound_anew_for_each_user(store: Stores, directory: Directory) -> None:
    asked = store()
    for username, passcode in (("alice", b"right"), ("bob", b"bob's"), ("alice", b"right")):
        assert asked.verify(username, passcode).user_id == username
        refusal(asked, username, b"wrong")
    assert len(asked._idle) == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(store: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = store()
    asked.verify("alice", b"right")
    ((first, _),) = asked._idle
    asked.verify("alice", b"right")
    assert asked._idle[0][0] is first
    monkeypatch.setattr(passcode_ldap, "IDLE", 0.0)
    asked.verify("alice", b"right")
    assert asked._idle[0][0] is not first


def test_many_threads_get_each_their_own_answer(store: Stores) -> None:
    asked = store("search")

    def ask(number: int) -> str:
        username, passcode = (("alice", b"right"), ("bob", b"bob's"))[number % 2]
        if number % 3:
            return asked.verify(username, passcode).user_id
        refusal(asked, username, b"wrong")
        return username

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == ["alice", "bob"] * 100
    assert len(asked._idle) <= 8


def test_a_directory_that_is_down_and_back_is_found_again_without_a_restart(
    certificates: Certificates, settings: Callable[..., LdapSettings], tmp_path: Path
) -> None:
    with slapd(tmp_path / "slapd", certificates.ca, certificates.server) as directory:
        asked = LdapStore(directory.ldaps, settings("search"))
        assert asked.verify("alice", b"right")
        directory.stop()
        assert "Can't contact LDAP server" in unavailability(asked)
        directory.start()
        assert asked.verify("alice", b"right")
        directory.stop()
        directory.start()
        assert asked.verify("alice", b"right"), "a connection kept from before was asked and given up"
        asked.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_directory_that_falls_silent_is_given_up(store: Stores, directory: Directory, way: str) -> None:
    asked = store(way, timeout=0.3)
    asked.verify("alice", b"right")
    with directory.suspended():
        assert directory.ldaps in unavailability(asked)
    assert asked.verify("alice", b"right")


@pytest.mark.parametrize(
    ("scheme", "changes"),
    [
        pytest.param("ldaps", {}, id="in the TLS handshake"),
        pytest.param("ldap", {"starttls": "required"}, id="before STARTTLS"),
        pytest.param("ldap", {"plaintext": "allow", "ca": None}, id="at the bind"),
    ],
)
def test_a_server_that_accepts_and_says_nothing_is_given_up(
    store: Stores, scheme: str, changes: dict[str, Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        unavailability(store(url=f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3, **changes))


@pytest.mark.parametrize(
    "answer", [b"", b"\x00" * 64, b"\xff" * 64, b"HTTP/1.0 400 Bad Request\r\n\r\n", b"0\x84\xff\xff\xff\xff"]
)
def test_a_server_that_speaks_something_else_is_unavailable(store: Stores, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def serve() -> None:
            connection = server.accept()[0]
            with connection:
                connection.sendall(answer)

        served = pool.submit(serve)
        url = f"ldap://127.0.0.1:{server.getsockname()[1]}"
        unavailability(store(url=url, timeout=1.0, plaintext="allow", ca=None))
        served.result()


def test_a_service_account_that_is_refused_is_nobodys_wrong_passcode(store: Stores, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("changed")
    assert store("search").verify("alice", b"right")
    assert "Invalid credentials" in unavailability(store("search", service_passcode=secret))
    assert "Invalid credentials" in unavailability(store("search", service_dn=f"cn=gone,{BASE}"))


# What a policy may say


def test_a_policy_table_decodes_and_builds(directory: Directory, certificates: Certificates, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(certificates.ca.read_bytes())
    table = {
        "store": directory.ldaps,
        "ldap": {
            "ca": "ca.pem",
            "bind_dn": f"uid={{user}},{PEOPLE}",
            "groups": {"attribute": "memberOf", "map": {RADIOLOGY: "radiology"}},
            "timeout": "2s",
        },
    }
    reported: list[str] = []
    built = decode(PasscodeSettings, table, (), lambda _key, what: reported.append(what), tmp_path)
    assert reported == []
    assert built is not None
    validator = built.build(Runtime("staff", tmp_path))
    found = validator.validate(credential(2, b"alice", b"right"), facts(), context()).identity
    assert (found.subject, found.groups) == ("staff:alice", {"radiology"})


def test_the_examples_of_the_documentation_can_work(certificates: Certificates, secret: Path, tmp_path: Path) -> None:
    (tmp_path / "ldap-ca.pem").write_bytes(certificates.ca.read_bytes())
    shutil.copy2(secret, tmp_path / "ldap.secret")
    stores = []
    for policy in toml_of("directories"):
        table = policy["validator"]["staff"]
        assert table.pop("type") == "passcode"
        reported: list[str] = []
        built = decode(PasscodeSettings, table, (), lambda _key, what: reported.append(what), tmp_path)  # noqa: B023
        assert reported == []
        assert built is not None
        stores.append(built.store)
        if built.ldap is not None:
            built.build(Runtime("staff", tmp_path))
    assert stores == ["ldaps://ldap.example.org", "ldaps://dc1.example.org", "pam:dicom"]


def problems(make: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make()
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ca": None}, "ldap.ca: missing"),
        ({"bind_dn": ""}, "write bind_dn, to bind as the user, or search_base"),
        ({"search_base": PEOPLE}, "write bind_dn, to bind as the user, or search_base"),
        ({"bind_dn": PEOPLE}, "should hold {user} once"),
        ({"bind_dn": "uid={user},ou"}, "is no DN (RFC 4514)"),
        ({"service_dn": SERVICE}, "has no meaning with bind_dn"),
        ({"filter": "uid={user}"}, "should be a filter in parentheses"),
        ({"filter": "(uid={user}"}, "should be a filter in parentheses"),
        ({"filter": "(uid={user})(cn=*)"}, "should be a filter in parentheses"),
        ({"filter": "(uid=alice)"}, "should be a filter in parentheses that holds {user}"),
        ({"starttls": "required"}, "have no meaning with ldaps://"),
        ({"plaintext": "allow"}, "have no meaning with ldaps://"),
    ],
)
def test_settings_that_cannot_work_are_said_at_load(
    settings: Callable[..., LdapSettings], changes: dict[str, Any], expected: str
) -> None:
    LdapStore("ldaps://ldap.example.org", settings())
    assert expected in problems(lambda: LdapStore("ldaps://ldap.example.org", settings(**changes)))


def test_plain_ldap_without_a_word_is_an_error(settings: Callable[..., LdapSettings]) -> None:
    LdapStore("ldap://ldap.example.org", settings(starttls="required"))
    LdapStore("ldap://ldap.example.org", settings(plaintext="allow", ca=None))
    neither, both = settings(), settings(starttls="required", plaintext="allow")
    assert "would travel in clear" in problems(lambda: LdapStore("ldap://ldap.example.org", neither))
    assert "would travel in clear" in problems(lambda: LdapStore("ldap://ldap.example.org", both))


@pytest.mark.parametrize(
    "url",
    [
        "ldaps://",
        "ldaps:ldap.example.org",
        "ldaps://h/dc=x",
        "ldaps://h?uid",
        "ldaps://u:p@h",
        "ldaps://h:x",
        "ldaps://h:0",
    ],
)
def test_a_url_that_says_more_or_less_than_where_is_an_error(settings: Callable[..., LdapSettings], url: str) -> None:
    for sound in ("ldaps://h", "ldaps://h:636", "ldaps://[::1]:636/"):
        LdapStore(sound, settings())
    assert "write ldaps://HOST" in problems(lambda: LdapStore(url, settings()))


def test_files_that_cannot_be_used_are_said_at_load(
    settings: Callable[..., LdapSettings], secret: Path, tmp_path: Path
) -> None:
    LdapStore("ldaps://h", settings("search"))
    (tmp_path / "ca.pem").write_text("nonsense")
    assert "no PEM certificate" in problems(lambda: LdapStore("ldaps://h", settings(ca=tmp_path / "ca.pem")))
    for name, mode, text, expected in (
        ("open", 0o644, "x", "is open to other users"),
        ("empty", 0o600, "\n", "is empty"),
    ):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        assert expected in problems(lambda: LdapStore("ldaps://h", settings("search", service_passcode=path)))  # noqa: B023


def test_a_directory_without_its_table_and_a_table_without_a_directory_are_errors(tmp_path: Path) -> None:
    runtime = Runtime("staff", tmp_path)
    assert "ldap.ca: missing" in problems(lambda: PasscodeSettings("ldaps://h").build(runtime))
    table = LdapSettings(bind_dn="uid={user}")
    expected = 'ldap: has no meaning with store = "file:x"'
    assert expected in problems(lambda: PasscodeSettings("file:x", ldap=table).build(runtime))


def test_without_python_ldap_a_policy_says_what_to_install() -> None:
    program = """
import sys
sys.modules["ldap"] = None
from pathlib import Path
from useridentity import ConfigurationError
from useridentity.mechanisms.passcode import PasscodeSettings
from useridentity.settings import Runtime
try:
    PasscodeSettings("ldaps://h").build(Runtime("staff", Path()))
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert "pip install 'useridentity[ldap]'" in done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_is_shown(store: Stores, way: str) -> None:
    asked = store(way)
    asked.verify("alice", b"right")
    shown = [repr(asked), refusal(asked, "alice", b"s3cret-of-alice")]
    assert not any(secret in text for secret in ("s3cret", SERVICE_PASSCODE) for text in shown)
