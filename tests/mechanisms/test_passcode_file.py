"""The passcode file as an acceptor asks it."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters
from argon2.low_level import Type

from tests.mechanisms.builders import context, credential, facts
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused, Unavailable
from useridentity.mechanisms import passcode_file
from useridentity.mechanisms.passcode import PasscodeValidator, User
from useridentity.mechanisms.passcode_file import (
    LANES,
    MAX_PASSCODE,
    MEMORY_KIB,
    PASSES,
    PasscodeFile,
    remove_user,
    set_passcode,
    users,
)

ALICE = User("alice", "Alice Archer", frozenset({"radiology"}))
WEAK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
STRONG = PasswordHasher(time_cost=PASSES + 1, memory_cost=MEMORY_KIB + 1024, parallelism=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in which alice has the passcode "right"."""
    path = tmp_path / "passcodes.toml"
    set_passcode(path, "alice", b"right", "Alice Archer", ["radiology"])
    return path


def hash_of_alice(path: Path) -> str:
    """As it is in the file."""
    (line,) = [line for line in path.read_text().splitlines() if line.startswith("hash")]
    return line.partition('"')[2].rstrip('"')


def rewrite(path: Path, old: str, new: str) -> None:
    """Edit the file in place, as a person would."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refusal(store: PasscodeFile, username: str, passcode: bytes) -> Refused:
    """The refusal that these get."""
    with pytest.raises(Refused) as refused:
        store.verify(username, passcode)
    return refused.value


# Log-in.


def test_the_right_passcode_gives_the_user(path: Path) -> None:
    assert PasscodeFile(path).verify("alice", b"right") == ALICE


@pytest.mark.parametrize(
    ("username", "passcode", "detail"),
    [
        ("alice", b"wrong", "wrong passcode"),
        ("alice", b"", "wrong passcode"),
        ("alice", b"right\0", "wrong passcode"),
        ("alice", b"righ", "wrong passcode"),
        ("Alice", b"right", "unknown user"),
        ("", b"right", "unknown user"),
        ("bob", b"right", "unknown user"),
    ],
)
def test_anything_else_is_refused_alike(path: Path, username: str, passcode: bytes, detail: str) -> None:
    """One reason for the wire, and what it was for the audit record."""
    store = PasscodeFile(path)
    store.verify("alice", b"right")
    refused = refusal(store, username, passcode)
    assert refused.reason is Reason.CREDENTIAL_INVALID
    assert detail in refused.detail


def test_octets_are_octets(path: Path) -> None:
    """A passcode need not be text, and Argon2 does not stop at a NUL."""
    set_passcode(path, "alice", b"\xff\x00one")
    store = PasscodeFile(path)
    assert store.verify("alice", b"\xff\x00one")
    refusal(store, "alice", b"\xff\x00two")


def test_a_passcode_that_is_too_long_is_refused_and_not_cut(path: Path) -> None:
    set_passcode(path, "alice", b"x" * MAX_PASSCODE)
    store = PasscodeFile(path)
    assert store.verify("alice", b"x" * MAX_PASSCODE)
    assert "at most 1024" in refusal(store, "alice", b"x" * (MAX_PASSCODE + 1)).detail


class Counting(PasswordHasher):
    """The real Argon2, with a note of what it was asked to verify."""

    def __init__(self) -> None:
        super().__init__(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self.__class__.verified = []

    verified: list[Parameters]

    def verify(self, hash: Any, password: Any) -> Any:
        self.verified.append(extract_parameters(hash))
        return super().verify(hash, password)


@pytest.mark.threat("T8")
def test_unknown_users_cost_what_known_ones_cost(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One Argon2 with the same parameters each, so that time tells nobody who exists."""
    hasher = Counting()
    monkeypatch.setattr(passcode_file, "_HASHER", hasher)
    store = PasscodeFile(path)
    refusal(store, "alice", b"wrong")
    refusal(store, "nobody", b"wrong")
    known, unknown = hasher.verified
    assert known == unknown
    assert (known.type, known.memory_cost, known.time_cost) == (Type.ID, MEMORY_KIB, PASSES)


@pytest.mark.parametrize("hasher", [WEAK, STRONG], ids=["weak", "strong"])
def test_they_do_too_where_hashes_are_of_another_cost(
    path: Path, monkeypatch: pytest.MonkeyPatch, hasher: PasswordHasher
) -> None:
    """Made by another program, or before the parameters were raised; the passcode behind one opens nothing else."""
    rewrite(path, hash_of_alice(path), hasher.hash(b"right"))
    monkeypatch.setattr(passcode_file, "_HASHER", counting := Counting())
    store = PasscodeFile(path)
    refusal(store, "alice", b"wrong")
    assert "unknown user" in refusal(store, "nobody", b"right").detail
    known, unknown = counting.verified
    assert known == unknown
    assert known.memory_cost == hasher.memory_cost


def test_in_a_file_without_users_everybody_is_unknown(path: Path) -> None:
    store = PasscodeFile(path)
    store.verify("alice", b"right")
    remove_user(path, "alice")
    assert "unknown user" in refusal(store, "alice", b"right").detail


@pytest.mark.threat("T24")
def test_the_parameters_are_at_least_the_minimum_of_owasp(path: Path) -> None:
    parameters = extract_parameters(hash_of_alice(path))
    assert parameters.type is Type.ID
    assert parameters.memory_cost >= 19_456
    assert parameters.time_cost >= 2
    assert parameters.salt_len >= 16
    assert parameters.hash_len >= 32


def test_two_users_with_one_passcode_have_two_hashes(path: Path) -> None:
    set_passcode(path, "bob", b"right")
    hashes = {line for line in path.read_text().splitlines() if line.startswith("hash")}
    assert len(hashes) == 2


def test_a_hash_that_cannot_be_checked_is_no_answer(path: Path) -> None:
    """The lanes need more memory than the parameters give: Argon2 itself says no."""
    rewrite(path, f"m={MEMORY_KIB},t={PASSES},p={LANES}", "m=8,t=1,p=4")
    with pytest.raises(Unavailable, match="Argon2"):
        PasscodeFile(path).verify("alice", b"right")


def test_many_threads_log_in_while_the_file_changes(path: Path) -> None:
    store = PasscodeFile(path)
    with ThreadPoolExecutor(4) as pool:
        log_ins = [pool.submit(store.verify, "alice", b"right") for _ in range(12)]
        for number in range(6):
            set_passcode(path, f"user{number}", b"x")
        assert [log_in.result(60) for log_in in log_ins] == [ALICE] * 12
    assert store.verify("user5", b"x") == User("user5")


# Hashes that fell behind.


@pytest.mark.parametrize(("passcode", "raised"), [(b"right", True), (b"wrong", False)])
@pytest.mark.threat("T24")
def test_a_log_in_raises_a_weak_hash(path: Path, passcode: bytes, raised: bool) -> None:
    """Only the right passcode can, and it stays the passcode."""
    weak = WEAK.hash(b"right")
    rewrite(path, hash_of_alice(path), weak)
    store = PasscodeFile(path)
    try:
        store.verify("alice", passcode)
    except Refused:
        assert not raised
    found = hash_of_alice(path)
    assert (found != weak) is raised
    if raised:
        assert extract_parameters(found).memory_cost == MEMORY_KIB
    assert PasscodeFile(path).verify("alice", b"right") == ALICE


def test_a_strong_hash_is_not_lowered(path: Path) -> None:
    strong = STRONG.hash(b"right")
    rewrite(path, hash_of_alice(path), strong)
    assert PasscodeFile(path).verify("alice", b"right") == ALICE
    assert hash_of_alice(path) == strong


def test_a_passcode_that_was_changed_meanwhile_is_not_put_back(path: Path) -> None:
    """The hash made at log-in belongs to the passcode that was right then."""
    rewrite(path, hash_of_alice(path), WEAK.hash(b"right"))
    store = PasscodeFile(path)
    record = store._file.current()["alice"]
    set_passcode(path, "alice", b"changed")
    store._rehash(record, b"right")
    assert store.verify("alice", b"changed") == ALICE
    refusal(store, "alice", b"right")


def test_a_file_that_cannot_be_replaced_refuses_nobody(path: Path) -> None:
    """The system refuses the write; both log-ins are good, and one line is logged."""
    rewrite(path, hash_of_alice(path), WEAK.hash(b"right"))
    script = f"""
import logging, resource
from useridentity.mechanisms.passcode_file import PasscodeFile
logging.basicConfig()
store = PasscodeFile({str(path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
for _ in range(2):
    assert store.verify("alice", b"right").user_id == "alice"
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert done.stderr.count("weak passcode hashes stay, the file cannot be replaced") == 1
    assert extract_parameters(hash_of_alice(path)).memory_cost == 64


# A file that changes under a running server.


def test_a_changed_passcode_holds_at_once(path: Path) -> None:
    store = PasscodeFile(path)
    assert store.verify("alice", b"right")
    set_passcode(path, "alice", b"changed")
    assert store.verify("alice", b"changed") == ALICE
    refusal(store, "alice", b"right")


def test_a_removed_user_is_gone_at_once(path: Path) -> None:
    set_passcode(path, "bob", b"x")
    store = PasscodeFile(path)
    assert store.verify("bob", b"x")
    remove_user(path, "bob")
    assert "unknown user" in refusal(store, "bob", b"x").detail


@pytest.mark.parametrize("spoil", ["text", "mode", "gone"])
def test_a_broken_file_is_logged_once_and_the_users_read_before_stay(
    path: Path, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = PasscodeFile(path)
    if spoil == "text":
        rewrite(path, "version = 1", "version = 1\nsurprise = 1")
    elif spoil == "mode":
        path.chmod(0o644)
    else:
        path.unlink()
    for _ in range(2):
        assert store.verify("alice", b"right") == ALICE
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.name.startswith("useridentity.")
    assert "those of before stay in use" in line.getMessage()
    assert "passcodes.toml" in line.getMessage()


def test_a_broken_file_that_is_mended_is_read_again(path: Path) -> None:
    store = PasscodeFile(path)
    path.chmod(0o644)
    store.verify("alice", b"right")
    path.chmod(0o600)
    set_passcode(path, "bob", b"x")
    assert store.verify("bob", b"x") == User("bob")


def test_a_file_that_is_broken_from_the_start_is_no_store(path: Path) -> None:
    PasscodeFile(path)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        PasscodeFile(path)


# Nothing secret shows.


def test_neither_passcode_nor_hash_shows(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = PasscodeFile(path)
    validator = PasscodeValidator(store, name="staff")
    verified = validator.validate(credential(2, b"alice", b"right"), facts(), context())
    refused = refusal(store, "alice", b"hunter2")
    shown = f"{store!r} {store._file.current()!r} {validator!r} {verified!r} {refused!r} {users(path)!r} {caplog.text}"
    for secret in ("right", "hunter2", "argon2"):
        assert secret not in shown.lower()


def test_without_argon2_the_error_says_what_to_install() -> None:
    script = "import sys; sys.modules['argon2'] = None; import useridentity.mechanisms.passcode_file"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)
    assert "ModuleNotFoundError: passcode files need argon2-cffi: pip install 'useridentity[passcode]'" in done.stderr
