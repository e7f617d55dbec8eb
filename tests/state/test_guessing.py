"""Ten thousand guesses, as a driver and a listener take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

import pytest

from tests.lib.pdus import associate_rq, user_identity
from tests.lib.rawpeer import Ending, Pdu, RawPeer
from tests.mechanisms.builders import credential, facts
from tests.pynetdicom.support import PASSCODE, serving, usual_policy
from tests.state.builders import NOW, after
from useridentity.checks import Driver
from useridentity.credential import Credential
from useridentity.decision import CONGESTED, Accepted, Decision, Reason, Rejected
from useridentity.errors import Refused, Unavailable
from useridentity.facts import Tls
from useridentity.identity import Assurance, Identity
from useridentity.mechanisms.passcode import passcode_check
from useridentity.policy import Limits, Policy, Rule
from useridentity.state.limits import PenaltyLimits
from useridentity.state.penalties import AGAIN, Address
from useridentity.validator import FunctionValidator, Verified

GUESSES = 10_000
STRANGER, WARD, HOME = map(ip_address, ("203.0.113.9", "10.1.1.1", "192.0.2.1"))
LIMITS = PenaltyLimits(exempt=(ip_network("10.9.0.0/16"),))
EXEMPT = ip_address("10.9.1.1")


class Hospital:
    """A driver with a passcode check that counts what it is asked."""

    def __init__(self, *more: Any) -> None:
        self.asked = 0
        check = FunctionValidator("staff", 2, passcode_check(self._check, plaintext="allow").validate, cpu_short=True)
        self.driver = Driver(Policy([Rule([*more, check], overlap="first-verifies")], limits=Limits(penalty=LIMITS)))

    def _check(self, name: str, passcode: bytes) -> bool:
        self.asked += 1
        return passcode == name.encode() * 2

    def log_in(
        self, address: Address, name: str = "alice", passcode: bytes | None = None, *, at: float = 0
    ) -> Decision | None:
        """The decision; None where the connection would have been closed at accept."""
        if self.driver.penalties.refuses_source(address, after(at)):
            return None
        presented = credential(2, name.encode(), passcode or name.encode() * 2)
        return self.driver.decide(replace(facts(Tls.NONE), address=address, now=after(at)), presented)


@pytest.fixture
def hospital() -> Iterator[Callable[..., Hospital]]:
    made: list[Hospital] = []

    def make(*more: Any) -> Hospital:
        made.append(Hospital(*more))
        return made[-1]

    yield make
    for each in made:
        each.driver.close()


def stranger(number: int) -> Address:
    return IPv4Address("198.18.0.0") + number


@pytest.mark.threat("T27")
def test_ten_thousand_guesses_from_one_address(hospital: Callable[..., Hospital]) -> None:
    here = hospital()
    assert isinstance(here.log_in(STRANGER), Accepted)
    for second in range(GUESSES):
        here.log_in(STRANGER, f"user{second % 100}", b"guess %d" % second, at=second)
    assert here.asked <= 1 + LIMITS.source_free + 10 + GUESSES / LIMITS.source_forgive
    assert isinstance(here.log_in(WARD, "bob", at=GUESSES), Accepted)


@pytest.mark.threat("T27")
def test_ten_thousand_guesses_at_one_user_from_as_many_addresses(hospital: Callable[..., Hospital]) -> None:
    here = hospital()
    assert isinstance(here.log_in(WARD), Accepted)
    answers = [here.log_in(stranger(second), "alice", b"guess %d" % second, at=second) for second in range(GUESSES)]
    assert here.asked <= 1 + LIMITS.account_free + 10 + GUESSES / LIMITS.account_forgive
    last = answers[-1]
    assert isinstance(last, Rejected)
    assert (last.reason, last.answer) == (Reason.PENALTY, CONGESTED)
    assert isinstance(here.log_in(WARD, at=GUESSES), Accepted), "where alice was before"
    assert isinstance(here.log_in(EXEMPT, at=GUESSES), Accepted), "an exempt network"
    assert isinstance(here.log_in(HOME, "bob", at=GUESSES), Accepted), "another user"


def test_ten_thousand_guesses_from_as_many_addresses_at_as_many_users(hospital: Callable[..., Hospital]) -> None:
    """Each was one mistake of one user: nobody is penalised, and nobody else's table is filled."""
    here = hospital()
    for number in range(GUESSES):
        here.log_in(stranger(number), f"user{number}", b"guess", at=number)
    assert isinstance(here.log_in(stranger(1), "user1", at=GUESSES), Accepted)


def test_a_wrong_passcode_that_is_repeated_is_not_checked_each_time(hospital: Callable[..., Hospital]) -> None:
    here = hospital()
    for tenth in range(100):
        refused = here.log_in(WARD, passcode=b"old", at=tenth / 10)
        assert isinstance(refused, Rejected)
        assert refused.reason is Reason.CREDENTIAL_INVALID
    assert here.asked == 10 / AGAIN
    assert isinstance(here.log_in(WARD, at=10), Accepted)


def test_guesses_count_while_another_validator_cannot_tell(hospital: Callable[..., Hospital]) -> None:
    def down(*_: object) -> Any:
        raise Unavailable("the directory is down")

    here = hospital(FunctionValidator("directory", 2, down, cpu_short=True))
    answers = [here.log_in(stranger(number), "alice", b"guess %d" % number) for number in range(100)]
    assert here.asked == LIMITS.account_free + 1
    assert isinstance(answers[0], Rejected)
    assert answers[0].reason is Reason.VALIDATOR_UNAVAILABLE


def test_what_nobody_could_tell_is_checked_again_at_once(hospital: Callable[..., Hospital]) -> None:
    """A passcode that one store refused may be another's, which was down: it is not wrong for a few seconds."""
    is_up = False

    def directory(presented: Credential | None, *_: object) -> Verified:
        if not is_up:
            raise Unavailable("the directory is down")
        return Verified(Identity("directory:alice", "alice", "directory", Assurance.AUTHENTICATED, 2))

    here = hospital(FunctionValidator("directory", 2, directory, cpu_short=True))
    assert isinstance(here.log_in(WARD), Accepted), "by the other store"
    undecided = here.log_in(WARD, passcode=b"the directory's")
    assert isinstance(undecided, Rejected)
    assert undecided.reason is Reason.VALIDATOR_UNAVAILABLE
    is_up = True
    accepted = here.log_in(WARD, passcode=b"the directory's", at=AGAIN / 2)
    assert isinstance(accepted, Accepted)
    assert accepted.validator == "directory"


def test_tokens_that_are_wrong_are_charged_to_their_source(hospital: Callable[..., Hospital]) -> None:
    def refuse(presented: Credential | None, *_: object) -> Any:
        raise Refused(Reason.CREDENTIAL_INVALID, "forged")

    here = hospital(FunctionValidator("idp", 5, refuse, cpu_short=True))
    for number in range(LIMITS.source_free + 1):
        assert not here.driver.penalties.refuses_source(STRANGER, NOW)
        asked = replace(facts(Tls.NONE, 5), address=STRANGER, now=NOW)
        here.driver.decide(asked, credential(5, b"token %d" % number))
    assert here.driver.penalties.refuses_source(STRANGER, NOW)


def test_a_source_in_penalty_is_closed_at_accept_and_others_are_served() -> None:
    """Over real connections, each address of loopback a peer of its own."""

    def ask(port: int, source: str, passcode: bytes) -> Any:
        with RawPeer(port, source=source) as peer:
            try:
                peer.send(associate_rq(user_identity(2, b"alice", passcode)))
            except OSError:
                return Ending.CLOSED
            return peer.read_pdu()

    limits = PenaltyLimits(source_free=3, shortest=600.0)
    with serving(usual_policy(penalty=limits)) as acceptor:
        for number in range(4):
            assert isinstance(ask(acceptor.port, "127.0.0.66", b"guess %d" % number), Pdu)
        assert ask(acceptor.port, "127.0.0.66", PASSCODE) is Ending.CLOSED
        assert isinstance(ask(acceptor.port, "127.0.0.1", PASSCODE), Pdu)
