"""`type = "passcode"` in a policy file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mechanisms.builders import context, credential, facts
from useridentity.checks import Driver
from useridentity.decision import Accepted, Reason, Rejected
from useridentity.errors import ConfigurationError, Refused
from useridentity.facts import Tls
from useridentity.mechanisms.passcode import PasscodeSettings
from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.policy import Policy
from useridentity.settings import Runtime

ALICE = credential(2, b"alice", b"right")


def test_a_policy_file_names_the_store(tmp_path: Path) -> None:
    """The path is relative to the policy file."""
    set_passcode(tmp_path / "passcodes.toml", "alice", b"right")
    validator = PasscodeSettings("file:passcodes.toml").build(Runtime("staff", tmp_path))
    assert validator.validate(ALICE, facts(), context()).identity.subject == "staff:alice"
    with pytest.raises(Refused):
        validator.validate(ALICE, facts(Tls.NONE), context())


@pytest.mark.parametrize("store", ["passcodes.toml", "file:", "sql:passcodes", ""])
def test_a_store_of_no_known_kind_is_said_at_load(store: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r'write "file:passcodes\.toml"'):
        PasscodeSettings(store).build(Runtime("staff", tmp_path))


def test_a_store_that_is_missing_is_said_at_load(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"passcodes\.toml: No such file"):
        PasscodeSettings("file:passcodes.toml").build(Runtime("staff", tmp_path))


POLICY = """
version = 1
[validator.staff]
type = "passcode"
store = "file:passcodes.toml"
plaintext = "allow"
[[authenticate]]
accept = ["staff"]
"""


def test_a_policy_file_decides_by_a_passcode_file(tmp_path: Path) -> None:
    """From TOML to the decision about an association, by way of the driver's pool."""
    set_passcode(tmp_path / "passcodes.toml", "alice", b"right")
    (tmp_path / "identity.toml").write_text(POLICY)
    driver = Driver(Policy.load(tmp_path / "identity.toml"))
    try:
        accepted = driver.decide(facts(Tls.NONE), ALICE)
        rejected = driver.decide(facts(Tls.NONE), credential(2, b"alice", b"wrong"))
    finally:
        driver.close()
    assert isinstance(accepted, Accepted)
    assert accepted.identity.subject == "staff:alice"
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.CREDENTIAL_INVALID


def test_the_faults_of_a_passcode_file_are_faults_of_the_policy(tmp_path: Path) -> None:
    """Both words and files are judged when the policy is loaded."""
    policy = tmp_path / "identity.toml"
    set_passcode(tmp_path / "passcodes.toml", "alice", b"right")
    policy.write_text(POLICY)
    Policy.load(policy)
    (tmp_path / "passcodes.toml").chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"identity\.toml:3: validator\.staff: .*passcodes\.toml.*chmod 600"):
        Policy.load(policy)
    policy.write_text(POLICY.replace('"allow"', '"Allow"'))
    with pytest.raises(ConfigurationError, match=r"validator\.staff\.plaintext: 'Allow' is not allowed"):
        Policy.load(policy)


def test_without_argon2_a_policy_says_what_to_install(tmp_path: Path) -> None:
    set_passcode(tmp_path / "passcodes.toml", "alice", b"right")
    (tmp_path / "identity.toml").write_text(POLICY)
    program = f"""
import sys
sys.modules["argon2"] = None
from useridentity import ConfigurationError, Policy
try:
    Policy.load({str(tmp_path / "identity.toml")!r})
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert "identity.toml:3: validator.staff: " in done.stdout
    assert "pip install 'useridentity[passcode]'" in done.stdout
