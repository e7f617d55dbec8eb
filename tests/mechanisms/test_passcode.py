"""User-Identity-Type 2: what is sent, to whom, and who decides about it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.mechanisms.builders import context, credential, facts, peer
from useridentity.credential import MAX_FIELD, Confirmation, CredentialProvider
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, CredentialUnavailable, NotConfirmed, Refused, Unavailable
from useridentity.facts import Tls
from useridentity.identity import Assurance
from useridentity.mechanisms.passcode import (
    PasscodeValidator,
    User,
    UsernamePasscode,
    passcode_check,
)
from useridentity.validator import Validator

SECRET = "hunter2-\N{SNOWMAN}"
ALICE = credential(2, b"alice", b"right")


def right(username: str, passcode: bytes) -> bool:
    """The application's own check."""
    return (username, passcode) == ("alice", b"right")


class Store:
    """A store that notes what it was asked."""

    def __init__(self, answer: Any = None) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.answer = answer or User("A4711", "Alice Archer", frozenset({"radiology"}))

    def verify(self, username: str, passcode: bytes) -> Any:
        self.asked.append((username, passcode))
        return self.answer


# The association requestor's side.


def test_a_passcode_is_sent_as_octets() -> None:
    """Bytes as they are, a string as UTF-8."""
    passcodes: dict[bytes | str, bytes] = {b"\xff\x00": b"\xff\x00", SECRET: SECRET.encode()}
    for passcode, octets in passcodes.items():
        with UsernamePasscode("alice", passcode).offer(peer()) as offer:
            assert offer.credential == credential(2, b"alice", octets)


def test_an_empty_passcode_can_be_sent() -> None:
    with UsernamePasscode("alice", b"").offer(peer()) as offer:
        assert offer.credential == credential(2, b"alice", b"")


def test_a_callable_is_asked_for_each_association() -> None:
    passcodes: Iterator[bytes | str] = iter(["first", b"second"])
    provider = UsernamePasscode("alice", lambda: next(passcodes))
    for expected in [b"first", b"second"]:
        with provider.offer(peer()) as offer:
            assert offer.credential.secondary_field == expected


@pytest.mark.parametrize("address", ["pacs.example.org", "127.0.0.1", "::1"])
def test_a_passcode_does_not_leave_without_verified_tls(address: str) -> None:
    """Loopback is no exception, and a passcode that may not leave is not even asked for."""
    asked: list[str] = []
    provider = UsernamePasscode("alice", lambda: asked.append("asked") or SECRET)  # type: ignore[func-returns-value]
    provider.offer(peer(address=address))
    assert asked.pop() == "asked"
    with pytest.raises(CredentialUnavailable, match=r'TLS with a verified certificate.*plaintext="allow"'):
        provider.offer(peer(address=address, tls_verified=False))
    assert not asked


def test_a_passcode_leaves_in_clear_where_that_is_allowed() -> None:
    with UsernamePasscode("alice", SECRET, plaintext="allow").offer(peer(tls_verified=False)) as offer:
        assert offer.credential.secondary_field == SECRET.encode()


@pytest.mark.parametrize("word", ["Allow", "yes", True, "", None])
def test_a_word_that_opens_no_door_opens_none(word: Any) -> None:
    for side in (lambda: UsernamePasscode("alice", b"", plaintext=word), lambda: passcode_check(right, plaintext=word)):
        with pytest.raises(ConfigurationError, match='write "refuse" or "allow"'):
            side()


def test_a_passcode_longer_than_its_length_field_cannot_be_sent() -> None:
    UsernamePasscode("alice", b"x" * MAX_FIELD).offer(peer())
    with pytest.raises(CredentialUnavailable, match="has 65536 bytes, the item carries at most 65535"):
        UsernamePasscode("alice", b"x" * (MAX_FIELD + 1)).offer(peer())


@pytest.mark.parametrize("name", ["", "a b", "a" * 257])
def test_a_name_that_is_no_username_is_not_sent(name: str) -> None:
    with pytest.raises(CredentialUnavailable, match="not a username"):
        UsernamePasscode(name, SECRET).offer(peer())


@pytest.mark.parametrize("passcode", [None, 4711, bytearray(b"x")])
def test_a_passcode_of_another_type_is_said_at_once(passcode: Any) -> None:
    with pytest.raises(ConfigurationError, match="give bytes, a string, or a callable"):
        UsernamePasscode("alice", passcode)


def _raises() -> str:
    raise RuntimeError(SECRET)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: None, "returned NoneType, not bytes or a string"),
        (_raises, "raised RuntimeError"),
        (lambda: SECRET + "\udcff", "cannot be written in UTF-8"),
    ],
)
def test_a_callable_without_a_passcode_leaves_nothing_to_send(function: Callable[[], Any], message: str) -> None:
    """The error says what happened, never what it happened to."""
    with pytest.raises(CredentialUnavailable, match=message) as unavailable:
        UsernamePasscode("alice", function).offer(peer())
    assert SECRET not in str(unavailable.value)


def test_a_string_that_is_not_utf_8_leaves_no_trace_of_itself() -> None:
    """Not even as the context of the error: a UnicodeEncodeError holds the whole string."""
    with pytest.raises(CredentialUnavailable) as unavailable:
        UsernamePasscode("alice", SECRET + "\udcff").offer(peer())
    assert unavailable.value.__context__ is None
    # The line of the test itself is in the traceback; the value is not.
    assert "hunter2" not in "".join(traceback.format_exception_only(unavailable.value))


def test_a_provider_shows_no_passcode() -> None:
    provider: CredentialProvider = UsernamePasscode("alice", SECRET)
    assert isinstance(provider, CredentialProvider)
    with provider.offer(peer()) as offer:
        for thing in (provider, offer, offer.credential):
            assert "hunter2" not in f"{thing!r} {thing!s}"
    with pytest.raises(CredentialUnavailable):
        _ = offer.credential


def test_only_an_empty_server_response_confirms() -> None:
    with UsernamePasscode("alice", SECRET).offer(peer()) as offer:
        assert offer.confirm(b"") == Confirmation()
        for response in (None, b"alice", SECRET.encode()):
            with pytest.raises(NotConfirmed) as not_confirmed:
                offer.confirm(response)
            assert "hunter2" not in str(not_confirmed.value)


# The association acceptor's side.


def test_the_store_says_who_it_is() -> None:
    """The identity is the store's user, not what the peer wrote."""
    store = Store()
    verified = PasscodeValidator(store, name="staff").validate(ALICE, facts(), context())
    identity = verified.identity
    assert (identity.subject, identity.user_id, identity.issuer) == ("staff:A4711", "A4711", "staff")
    assert (identity.display_name, identity.groups) == ("Alice Archer", frozenset({"radiology"}))
    assert (identity.assurance, identity.identity_type) == (Assurance.AUTHENTICATED, 2)
    assert identity.presented == "alice"
    assert verified.server_response == b""
    assert store.asked == [("alice", b"right")]


@pytest.mark.threat("T20")
def test_a_passcode_that_came_without_tls_reaches_no_store() -> None:
    store = Store()
    validator = PasscodeValidator(store)
    validator.validate(ALICE, facts(Tls.SERVER), context())
    validator.validate(ALICE, facts(Tls.MUTUAL), context())
    assert len(store.asked) == 2
    with pytest.raises(Refused) as refused:
        validator.validate(ALICE, facts(Tls.NONE), context())
    assert refused.value.reason is Reason.TLS_REQUIRED
    assert len(store.asked) == 2


def test_a_passcode_in_clear_is_judged_where_that_is_allowed() -> None:
    validator = PasscodeValidator(Store(), plaintext="allow")
    assert validator.validate(ALICE, facts(Tls.NONE), context()).identity.user_id == "A4711"


def test_a_name_that_is_no_username_reaches_no_store() -> None:
    store = Store()
    with pytest.raises(Refused) as refused:
        PasscodeValidator(store).validate(credential(2, b"al\xff", b"right"), facts(), context())
    assert refused.value.reason is Reason.CREDENTIAL_INVALID
    assert not store.asked


@pytest.mark.parametrize("presented", [credential(1, b"alice"), credential(6, b"alice", b"right"), None])
def test_only_a_username_and_passcode_reach_the_store(presented: Any) -> None:
    store = Store()
    with pytest.raises(Refused):
        PasscodeValidator(store).validate(presented, facts(), context())
    assert not store.asked


@pytest.mark.parametrize("answer", [True, "alice", ("alice", "", frozenset()), object()])
def test_a_store_that_returns_no_user_has_accepted_nobody(answer: Any) -> None:
    with pytest.raises(Unavailable, match="not a User"):
        PasscodeValidator(Store(answer)).validate(ALICE, facts(), context())


def test_a_store_without_verify_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError, match="a function is no passcode store"):
        PasscodeValidator(right)  # type: ignore[arg-type]


def test_a_function_can_be_the_check() -> None:
    """True is a yes for the name that was asked about, a User for that user, False a no."""
    validator = passcode_check(right, name="own")
    assert isinstance(validator, Validator)
    assert not validator.cpu_short
    assert validator.validate(ALICE, facts(), context()).identity.subject == "own:alice"
    mapped = passcode_check(lambda name, passcode: User("A4711") if right(name, passcode) else False)
    assert mapped.validate(ALICE, facts(), context()).identity.subject == "passcode:A4711"
    for check in (validator, mapped):
        with pytest.raises(Refused) as refused:
            check.validate(credential(2, b"alice", b"wrong"), facts(), context())
        assert refused.value.reason is Reason.CREDENTIAL_INVALID


@pytest.mark.parametrize("answer", [None, 1, "yes", b"right", (True,), [True], object(), 1.0, ("alice", True)])
def test_only_true_itself_is_a_yes(answer: Any) -> None:
    """What is merely true, and the nothing of a forgotten return, accept nobody."""
    assert passcode_check(lambda _name, _passcode: True).validate(ALICE, facts(), context())
    with pytest.raises(Unavailable, match="it must return True, False or a User"):
        passcode_check(lambda _name, _passcode: answer).validate(ALICE, facts(), context())


@pytest.mark.parametrize("error", [NotImplementedError, RuntimeError, KeyError, StopIteration, SystemExit])
def test_a_function_that_raises_accepts_nobody(error: type[BaseException]) -> None:
    def check(_name: str, _passcode: bytes) -> bool:
        raise error

    with pytest.raises(error):
        passcode_check(check).validate(ALICE, facts(), context())


def test_a_coroutine_function_is_no_check() -> None:
    """What it returns is true before anything was checked."""

    async def check(_name: str, _passcode: bytes) -> bool:
        return False

    with pytest.raises(ConfigurationError, match="not a coroutine function"):
        passcode_check(check)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="not a str"):
        passcode_check("check")  # type: ignore[arg-type]


@pytest.mark.parametrize("fields", [{"user_id": ""}, {"user_id": "a", "groups": "radiology"}])
def test_a_user_has_a_name_and_a_set_of_groups(fields: dict[str, Any]) -> None:
    """A string of groups would contain each of its parts."""
    User("a", groups=frozenset({"radiology"}))
    with pytest.raises(ConfigurationError):
        User(**fields)


def test_nothing_shows_the_passcode_that_was_checked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    validator = passcode_check(right)
    presented = credential(2, b"alice", SECRET.encode())
    with pytest.raises(Refused) as refused:
        validator.validate(presented, facts(), context())
    shown = f"{validator!r} {presented!r} {refused.value!r} {refused.value!s} {caplog.text}"
    assert "hunter2" not in shown
