"""A policy that is reloaded: all of the new file or none of it, and who is in stays in until reconsidered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from useridentity import (
    Accepted,
    Assurance,
    ConfigurationError,
    Credential,
    Decision,
    Facts,
    FunctionValidator,
    Identity,
    Policy,
    Proposal,
    Reason,
    Rejected,
    Rule,
    Tls,
    Verified,
)
from useridentity.checks import Driver

HANG = 10.0  # seconds; ten times what anything here takes
FACTS = Facts("CT_1", "ARCHIVE", ip_address("10.20.0.7"), 104, Tls.NONE, 1, datetime(2026, 11, 22, tzinfo=UTC))
ALICE = Credential(1, b"alice")
FILE = """\
version = 1

[limits]
validator_deadline = "5s"

[validator.names]
type = "username"

[[authenticate]]
name = "people"
when = { network = ["10.0.0.0/8"] }
accept = ["names"]

[[authorize]]
name = "reading"
who = { assurance = ["asserted"] }
permit = ["echo", "store"]
"""


class File:
    """A policy file, its policy and a driver that decides by it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "identity.toml"
        self.write()
        self.policy = Policy.load(self.path)
        self.driver = Driver(self.policy)

    def write(self, *changes: tuple[str, str]) -> None:
        text = FILE
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.path.write_text(text)

    def decide(self, **changes: Any) -> Decision:
        return self.driver.decide(replace(FACTS, **changes), ALICE)

    def accepted(self, **changes: Any) -> Accepted:
        decision = self.decide(**changes)
        assert isinstance(decision, Accepted), decision
        return decision


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    made = File(tmp_path)
    yield made
    made.driver.close()


def test_what_the_file_says_now_holds_from_the_next_association_on(file: File) -> None:
    before = file.accepted()
    file.write(('["echo", "store"]', '["echo"]'), ('"reading"', '"less"'), ('"5s"', '"6s"'))
    assert file.accepted() == before
    file.policy.reload()
    after = file.accepted()
    assert (before.permission.words, after.permission.words) == (("echo", "store"), ("echo",))
    assert (before.grant, after.grant) == ("reading", "less")
    assert file.policy.limits.validator_deadline == 6.0


@pytest.mark.parametrize(
    "change",
    [
        ('accept = ["names"]', 'accept = ["nobody"]'),
        ('permit = ["echo", "store"]', 'permit = ["eco"]'),
        ("version = 1", "version = 2"),
        ("version = 1", "version ="),
        ("[limits]", '[state]\nurl = "sqlite:state.db"\n\n[limits]'),
        ('who = { assurance = ["asserted"] }', 'who = { assurance = ["asserted"], kind = [] }'),
    ],
    ids=lambda change: change[1],
)
@pytest.mark.threat("P8")
def test_a_file_that_cannot_be_used_changes_nothing(file: File, change: tuple[str, str]) -> None:
    before, content = file.accepted(), file.policy.content
    file.write(change, ('"5s"', '"6s"'))
    with pytest.raises(ConfigurationError, match=r"identity\.toml"):
        file.policy.reload()
    assert file.policy.content is content
    assert file.accepted() == before
    file.path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        file.policy.reload()
    assert file.accepted() == before


def test_state_stays_where_it_is(file: File, tmp_path: Path) -> None:
    stated = ("[limits]", '[state]\nurl = "sqlite:state.db"\n\n[limits]')
    file.write(stated)
    policy = Policy.load(file.path)
    store = policy.store
    assert store is not None
    file.write(stated, ('"5s"', '"6s"'))
    policy.reload()
    assert (policy.store is store, policy.limits.validator_deadline) == (True, 6.0)
    file.write(("[limits]", '[state]\nurl = "redis://:secret@127.0.0.1"\n\n[limits]'))
    with pytest.raises(ConfigurationError, match=r"state\.url: is not the place in use; restart") as caught:
        policy.reload()
    assert "secret@" not in str(caught.value)
    store.close()


def test_a_policy_made_in_code_has_no_file_to_read_again() -> None:
    for policy in (Policy([Rule([FunctionValidator("x", 2, lambda *_: None)])]), Policy.unguarded()):  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="made in code"):
            policy.reload()


def test_the_file_is_found_again_from_another_folder(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.path.parent)
    policy = Policy.load("identity.toml")
    monkeypatch.chdir("/")
    policy.reload()


# The driver


def test_penalties_are_those_of_the_new_policy(file: File) -> None:
    assert file.driver.penalties.limits.source_free != 77
    file.write(("[limits]", "[limits.penalty]\nsource_free = 77\n\n[limits]"))
    file.policy.reload()
    file.accepted()
    assert file.driver.penalties.limits.source_free == 77


def test_a_decision_that_began_before_the_reload_ends_as_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its validator is of the policy that was; there is no pool for it any more, and it is asked all the same."""
    entered, free = threading.Event(), threading.Event()

    def wait(presented: Credential | None, facts: Facts, context: Any) -> Verified:
        entered.set()
        assert free.wait(HANG)
        return Verified(Identity("x:alice", "alice", "x", Assurance.AUTHENTICATED, 1))

    def never(*_: Any) -> Verified:
        raise AssertionError

    first, second = FunctionValidator("first", 1, wait), FunctionValidator("second", 1, never)
    policy = Policy([Rule([first])])
    driver, decisions = Driver(policy), []
    waiting = threading.Thread(target=lambda: decisions.append(driver.decide(FACTS, ALICE)))
    waiting.start()
    assert entered.wait(HANG)
    policy.content = Policy([Rule([second])]).content
    assert isinstance(driver.decide(FACTS, ALICE), Rejected)
    free.set()
    waiting.join(HANG)
    assert [type(each) for each in decisions] == [Accepted]
    assert isinstance(driver._pool(first).run(lambda: wait(None, FACTS, None), _soon()), Verified)
    left = [thread for thread in threading.enumerate() if thread.name == "validator first"]
    for thread in left:
        thread.join(HANG)
        assert not thread.is_alive()
    driver.close()


def _soon() -> float:
    import time

    return time.monotonic() + HANG


# Those who are in


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([('["10.0.0.0/8"]', '["10.99.0.0/16"]')], Reason.NO_RULE),
        ([('network = ["10.0.0.0/8"]', 'tls = "server"')], Reason.TLS_REQUIRED),
        ([("names", "others")], Reason.NOT_AUTHORISED),
        (
            [('who = { assurance = ["asserted"] }', 'who = { assurance = ["asserted"], kind = ["node"] }')],
            Reason.NOT_AUTHORISED,
        ),
        ([('["echo", "store"]', '["find"]')], Reason.NOT_AUTHORISED),
    ],
)
def test_who_would_not_be_accepted_any_more_is_rejected(
    file: File, changes: list[tuple[str, str]], reason: Reason
) -> None:
    facts = replace(FACTS, contexts=(Proposal("1.2.840.10008.1.1"),))
    accepted = file.accepted()
    assert file.policy.reconsider(facts, accepted) == accepted
    file.write(*changes)
    file.policy.reload()
    decision = file.policy.reconsider(facts, accepted)
    assert isinstance(decision, Rejected)
    assert decision.reason is reason


def test_who_still_is_may_do_what_the_new_policy_says(file: File) -> None:
    accepted = file.accepted()
    file.write(('["echo", "store"]', '["echo"]'), ('"reading"', '"less"'), ('"people"', '"users"'))
    file.policy.reload()
    decision = file.policy.reconsider(FACTS, accepted)
    assert isinstance(decision, Accepted)
    assert (decision.rule, decision.grant, decision.permission.words) == ("users", "less", ("echo",))
    assert (decision.identity, decision.validator) == (accepted.identity, "names")


ASSIGNING = ('accept = ["names"]', 'assign = { user = "ct1", groups = ["modalities"] }')
DEVICES = ('assurance = ["asserted"]', 'assurance = ["assigned"]')
MIGRATING = ('accept = ["names"]', 'accept = ["names"]\nunproved = { mode = "report", until = 2026-11-30 }')
UNPROVED = ('assurance = ["asserted"]', 'assurance = ["unproved"]')
ANONYMOUS = replace(FACTS, identity_type=None)


def test_a_device_becomes_who_the_new_policy_says(file: File) -> None:
    file.write(ASSIGNING, DEVICES)
    file.policy.reload()
    accepted = file.driver.decide(ANONYMOUS, None)
    assert isinstance(accepted, Accepted)
    file.write((ASSIGNING[0], ASSIGNING[1].replace("ct1", "ct2")), DEVICES)
    file.policy.reload()
    decision = file.policy.reconsider(ANONYMOUS, accepted)
    assert isinstance(decision, Accepted)
    assert decision.identity.subject == "assigned:ct2"


@pytest.mark.threat("P4")
def test_a_migration_that_has_ended_ends_for_those_who_are_in(file: File) -> None:
    file.write(MIGRATING, UNPROVED)
    file.policy.reload()
    accepted = file.driver.decide(ANONYMOUS, None)
    assert isinstance(accepted, Accepted)
    assert isinstance(file.policy.reconsider(ANONYMOUS, accepted), Accepted)
    later = replace(ANONYMOUS, now=datetime(2026, 12, 1, tzinfo=UTC))
    decision = file.policy.reconsider(later, accepted)
    assert isinstance(decision, Rejected)
    assert decision.reason is Reason.IDENTITY_REQUIRED


def test_an_unguarded_policy_keeps_whom_it_let_in() -> None:
    policy = Policy.unguarded()
    driver = Driver(policy)
    accepted = driver.decide(FACTS, ALICE)
    assert isinstance(accepted, Accepted)
    assert policy.reconsider(FACTS, accepted) == accepted
    driver.close()


@pytest.mark.threat("P8")
def test_a_file_cut_off_before_its_grants_does_not_permit_everything(file: File) -> None:
    """Whoever writes a policy in place, on a disk that is full, leaves its beginning: valid, and without any grant."""
    text, content = file.path.read_text(), file.policy.content
    file.policy.reload()
    assert file.policy.content is not content
    content = file.policy.content
    file.path.write_text(text[: text.index("[[authorize]]")])
    with pytest.raises(ConfigurationError, match=r"identity\.toml: has no \[\[authorize\]\] any more.*restart"):
        file.policy.reload()
    assert file.policy.content is content
    assert Policy.load(file.path).grants == ()
    Policy.load(file.path).reload()
