"""What a policy may say of a directory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.lib.documents import snippets_of, toml_of
from tests.lib.slapd import PEOPLE, RADIOLOGY, SERVICE, Directory
from tests.mechanisms.builders import context, credential, facts
from tests.mechanisms.passcode_ldap.support import Settings
from useridentity import Policy
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.ldap_settings import LdapSettings
from useridentity.mechanisms.passcode import PasscodeSettings
from useridentity.mechanisms.passcode_ldap import LdapStore
from useridentity.settings import Runtime, decode
from useridentity.settings.secret import SecretFile


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


def test_the_examples_of_the_documentation_can_work(
    certificates: Certificates, secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDAP_PASSCODE", "secret")
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
    for number, text in enumerate(snippets_of("directories", "toml")):
        if "ldap" in text:
            (tmp_path / f"{number}.toml").write_text(text)
            Policy.load(tmp_path / f"{number}.toml")
    assert stores == ["ldaps://ldap.example.org", "ldaps://dc1.example.org", "ldaps://ldap.example.org", "pam:dicom"]


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
def test_settings_that_cannot_work_are_said_at_load(settings: Settings, changes: dict[str, Any], expected: str) -> None:
    LdapStore("ldaps://ldap.example.org", settings())
    assert expected in problems(lambda: LdapStore("ldaps://ldap.example.org", settings(**changes)))


def test_plain_ldap_without_a_word_is_an_error(settings: Settings) -> None:
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
def test_a_url_that_says_more_or_less_than_where_is_an_error(settings: Settings, url: str) -> None:
    for sound in ("ldaps://h", "ldaps://h:636", "ldaps://[::1]:636/"):
        LdapStore(sound, settings())
    assert "write ldaps://HOST" in problems(lambda: LdapStore(url, settings()))


def test_files_that_cannot_be_used_are_said_at_load(settings: Settings, secret: Path, tmp_path: Path) -> None:
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
        there = settings("search", service_passcode=SecretFile(path))
        assert f"ldap.service_passcode: {path}: {expected}" in problems(lambda: LdapStore("ldaps://h", there))  # noqa: B023


def test_the_service_passcode_may_be_in_the_environment(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it is not, the policy does not load; neither the passcode nor what stands in its place is repeated."""
    policy = tmp_path / "identity.toml"
    (example,) = [text for text in snippets_of("directories", "toml") if "env:" in text]
    policy.write_text(example.replace("ldap-ca.pem", str(certificates.ca)))
    monkeypatch.setenv("LDAP_PASSCODE", "hush-4711")
    (validator,) = Policy.load(policy).rules[0].accept
    assert "hush-4711" not in repr(validator) + caplog.text
    at = f"{policy}:3: validator.staff: ldap.service_passcode: "
    for value, expected in ((None, "is not set"), ("", "is empty"), ("hush-4711\udcff", "is not UTF-8")):
        monkeypatch.setenv("LDAP_PASSCODE", value) if value is not None else monkeypatch.delenv("LDAP_PASSCODE")
        assert problems(lambda: Policy.load(policy)) == f"{at}the environment variable LDAP_PASSCODE {expected}"
    for inline, expected in (("hush-4711", f"{at}names no file"), ("env:hush-4711", "is no name of a variable")):
        policy.write_text(policy.read_text().replace("env:LDAP_PASSCODE", inline))
        told = problems(lambda: Policy.load(policy))
        assert expected in told
        assert "hush" not in told
        policy.write_text(policy.read_text().replace(inline, "env:LDAP_PASSCODE"))


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
