"""Passcodes by PAM: real services, modules and conversations."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from ctypes import POINTER, byref, pointer
from pathlib import Path
from typing import Any

import pytest

from tests.lib.pam import ACCOUNT, AUTH, pam_service
from tests.mechanisms.builders import context, credential, facts
from tests.mechanisms.stores import assert_many_threads_get_each_their_own_answer, refusal, unavailability
from useridentity.checks import Driver
from useridentity.decision import Reason, Rejected
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.passcode import PasscodeSettings, PasscodeValidator, User
from useridentity.mechanisms.passcode_pam import (
    _CONV_ERR,
    _PROMPT_ECHO_OFF,
    _SUCCESS,
    MAX_PASSCODE,
    PamStore,
    _answering,
    _Message,
    _Response,
)
from useridentity.policy import Limits, Policy, Rule
from useridentity.settings import Runtime

HANG = 30.0  # seconds; half of the delay that the modules below ask for


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PamStore]:
    with pam_service(tmp_path) as name:
        yield PamStore(name)


def test_a_user_is_let_in_by_the_passcode_that_the_service_knows(store: PamStore) -> None:
    assert store.verify("alice", b"right") == User("alice")
    assert store.verify("bob", b"bob's") == User("bob")


@pytest.mark.parametrize(
    ("username", "passcode"),
    [("alice", b"wrong"), ("alice", b"bob's"), ("mallory", b"right"), ("alice", b"right "), ("alice", b"\xff\xfe")],
)
def test_a_wrong_name_or_passcode_is_refused(store: PamStore, username: str, passcode: bytes) -> None:
    store.verify("alice", b"right")
    assert "auth: " in refusal(store, username, passcode)


@pytest.mark.parametrize("passcode", [b"", b"right\0", b"right\0wrong", b"r" * (MAX_PASSCODE + 1)])
def test_a_passcode_that_pam_would_take_for_another_one_is_refused(store: PamStore, passcode: bytes) -> None:
    """PAM's strings end at NUL and at 511 octets, and some modules let users without a passcode in."""
    store.verify("alice", b"right")
    assert "PAM takes" in refusal(store, "alice", passcode)


def test_a_name_that_pam_would_take_for_another_one_is_refused(store: PamStore) -> None:
    store.verify("alice", b"right")
    assert "NUL" in refusal(store, "alice\0x", b"right")


def test_a_conversation_that_fails_in_any_way_is_no_success(store: PamStore) -> None:
    """What a callback raises ctypes drops, and answers the zero that means success to PAM."""

    class Broken:
        def calloc(self, *_: int) -> int:
            raise MemoryError

    def result(libc: Any) -> int:
        """What PAM is answered to one prompt for a passcode."""
        prompt, responses = _Message(_PROMPT_ECHO_OFF, b"Password: "), POINTER(_Response)()
        return int(_answering(libc, b"right")(1, pointer(pointer(prompt)), byref(responses), None))  # type: ignore[misc]

    pam, libc = store._library
    assert result(libc) == _SUCCESS
    assert result(Broken()) == _CONV_ERR
    assert store.verify("alice", b"right")
    store._library = (pam, Broken())  # type: ignore[assignment]
    assert "auth: " in refusal(store, "alice", b"right")


def test_an_account_that_may_not_be_used_is_refused_for_all_its_right_passcode(store: PamStore) -> None:
    store.verify("alice", b"right")
    assert "account: " in refusal(store, "locked", b"right")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("perm_denied", "permission denied"),
        ("acct_expired", "the account has ended"),
        ("authtok_expired", "the passcode has ended"),
        ("new_authtok_reqd", "the passcode has to be changed"),
    ],
)
def test_each_way_in_which_an_account_may_not_be_used_is_a_refusal(tmp_path: Path, answer: str, told: str) -> None:
    """Linux-PAM's own module for it answers with the constant of the library that is installed."""
    with pam_service(tmp_path, AUTH, "account required pam_debug.so acct=success") as name:
        assert PamStore(name).verify("alice", b"right")
    with pam_service(tmp_path, AUTH, f"account required pam_debug.so acct={answer}") as name:
        assert refusal(PamStore(name), "alice", b"right").endswith(f"account: {told}")


@pytest.mark.parametrize("answer", ["cred_insufficient", "authinfo_unavail", "system_err"])
def test_what_is_not_the_users_fault_is_no_refusal(tmp_path: Path, answer: str) -> None:
    """Nobody is penalised for a server that may not read the passcodes."""
    with pam_service(tmp_path, "auth required pam_debug.so auth=success", ACCOUNT) as name:
        assert PamStore(name).verify("alice", b"right")
    with pam_service(tmp_path, f"auth required pam_debug.so auth={answer}", ACCOUNT) as name:
        assert "auth: " in unavailability(PamStore(name))


# Asks for a passcode of its own whatever was asked before, takes any, and calls every guest "ftp".
GUEST = "auth required pam_ftp.so"


def test_the_name_is_the_one_that_the_service_settled_on(tmp_path: Path) -> None:
    with pam_service(tmp_path, GUEST, ACCOUNT) as name:
        assert PamStore(name).verify("anonymous", b"right") == User("ftp")


def test_only_one_passcode_prompt_is_answered(tmp_path: Path) -> None:
    """A service that asks again asks for something else than the passcode."""
    with pam_service(tmp_path, GUEST, ACCOUNT) as name:
        assert PamStore(name).verify("anonymous", b"right")
    with pam_service(tmp_path, GUEST, GUEST, ACCOUNT) as name:
        unavailability(PamStore(name), "anonymous")


def test_what_a_service_says_is_not_answered_and_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "notice").write_text("The system is %h.\n")
    notice = f"auth optional pam_echo.so file={tmp_path}/notice"
    with pam_service(tmp_path, notice, AUTH, notice, ACCOUNT) as name:
        store = PamStore(name)
        assert store.verify("alice", b"right")
        refusal(store, "alice", b"wrong")


def test_a_service_that_does_not_work_is_unavailable(tmp_path: Path) -> None:
    with pam_service(tmp_path) as name:
        assert PamStore(name).verify("alice", b"right")
    for broken in (("auth required pam_missing.so", ACCOUNT), (AUTH, "account required pam_missing.so")):
        with pam_service(tmp_path, *broken) as name:
            assert name in unavailability(PamStore(name))


def test_a_failure_costs_no_sleep_whatever_the_modules_ask_for(tmp_path: Path) -> None:
    """Four sleeping threads would be all that a validator has; guessing is slowed down elsewhere."""
    with pam_service(tmp_path, "auth optional pam_faildelay.so delay=60000000", AUTH, ACCOUNT) as name:
        store = PamStore(name)
        store.verify("alice", b"right")
        begun = time.monotonic()
        refusal(store, "alice", b"wrong")
        assert time.monotonic() - begun < HANG


def test_many_threads_get_each_their_own_answer(store: PamStore) -> None:
    assert_many_threads_get_each_their_own_answer(store, 60)


def test_a_service_that_hangs_is_given_up_at_the_drivers_deadline(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pam_service(tmp_path, f"auth required pam_exec.so quiet /bin/cat {fifo}", AUTH, ACCOUNT) as name:
        limits = Limits(validator_deadline=0.2)
        driver = Driver(Policy([Rule([PasscodeValidator(PamStore(name))])], limits=limits))
        try:
            decision = driver.decide(facts(), credential(2, b"alice", b"right"))
        finally:
            fifo.open("wb").close()  # lets the module go on, and the thread end
            driver.close()
        assert isinstance(decision, Rejected)
        assert decision.reason is Reason.TIMED_OUT


# What a policy may say


def test_a_policy_names_the_service(tmp_path: Path) -> None:
    with pam_service(tmp_path) as name:
        validator = PasscodeSettings(f"pam:{name}").build(Runtime("staff", tmp_path))
        found = validator.validate(credential(2, b"alice", b"right"), facts(), context()).identity
    assert found.subject == "staff:alice"


@pytest.mark.parametrize(
    "service", ["useridentity-absent", "../passwd", "/etc/pam.d/login", "Login", "a b", "x\0", "-x"]
)
def test_a_service_that_is_not_there_is_said_at_load_and_other_is_not_asked(service: str, tmp_path: Path) -> None:
    with pam_service(tmp_path) as name:
        PamStore(name)
    with pytest.raises(ConfigurationError, match=r"/etc/pam\.d"):
        PamStore(service)


def test_without_libpam_it_says_what_to_install(tmp_path: Path) -> None:
    program = """
import ctypes, sys
def missing(name):
    raise OSError(f"{name}: cannot open shared object file")
ctypes.CDLL = missing
from useridentity import ConfigurationError
from useridentity.mechanisms.passcode_pam import PamStore
try:
    PamStore(sys.argv[1])
except ConfigurationError as error:
    print(error)
"""
    with pam_service(tmp_path) as name:
        said = subprocess.check_output([sys.executable, "-c", program, name], text=True, timeout=60)
    assert "Debian: libpam0g" in said


def test_no_secret_is_shown(store: PamStore) -> None:
    store.verify("alice", b"right")
    assert "s3cret" not in repr(store) + refusal(store, "alice", b"s3cret")
