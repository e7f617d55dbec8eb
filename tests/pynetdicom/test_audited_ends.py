"""The record of an association that the acceptor aborted says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pynetdicom.archive import Archive, archive, associated
from tests.pynetdicom.support import until
from useridentity import Policy, Username
from useridentity.audit.message.build import messages
from useridentity.audit.message.style import MessageStyle
from useridentity.audit.record import Kind, Outcome, Record
from useridentity.audit.trail import Trail
from useridentity.pynetdicom.acceptor import AcceptorAssociation

PROOF_ENDED = "the user's proof of identity has ended"


def ends(_running: Archive, assoc: AcceptorAssociation, _file: Path) -> None:
    assoc._ends = 0.0


def is_dropped(running: Archive, _assoc: AcceptorAssociation, file: Path) -> None:
    file.write_text(file.read_text().replace('accept = ["names"]', 'accept = ["others"]'))
    assert running.server.reload(drop=True) == 1


def aborts(_running: Archive, assoc: AcceptorAssociation, _file: Path) -> None:
    assoc.abort()


@pytest.mark.parametrize(
    ("how", "detail"), [(aborts, ""), (ends, PROOF_ENDED), (is_dropped, "the policy was reloaded: ")]
)
def test_an_abort_of_ours_is_recorded_with_its_reason(
    tmp_path: Path, how: Callable[[Archive, AcceptorAssociation, Path], None], detail: str
) -> None:
    file = tmp_path / "identity.toml"
    file.write_text(
        'version = 1\n[validator.names]\ntype = "username"\n[validator.others]\ntype = "username"\n'
        '[[authenticate]]\naccept = ["names"]\nweakest = "asserted"\n[audit]\njournal = "audit.db"\n'
    )
    with archive(Policy.load(file)) as running:
        with associated(running.port, Username("alice"), confirmation="none") as assoc:
            until(lambda: running.server.active_associations)
            (served,) = running.server.active_associations
            assert isinstance(served, AcceptorAssociation)
            how(running, served, file)
            until(lambda: assoc.is_aborted)
        (found,) = running.settled(Kind.ABORTED)
    assert found.detail.startswith(detail)
    assert bool(found.detail) is bool(detail)


POLICY = """version = 1
[validator.names]
type = "username"
[validator.others]
type = "username"
[[authenticate]]
accept = ["names"]
weakest = "asserted"
[[authorize]]
name = "{grant}"
who = {{ assurance = ["asserted"] }}
permit = ["echo", "find"]
[audit]
journal = "audit.db"
"""


@pytest.mark.parametrize(
    ("validator", "outcome", "grant"), [("names", Outcome.SUCCESS, "afterwards"), ("others", Outcome.REFUSED, "before")]
)
def test_what_a_reload_makes_of_an_association_is_recorded_as_a_decision_about_its_user(
    tmp_path: Path, validator: str, outcome: Outcome, grant: str
) -> None:
    """Dropped, with the reason; or going on under another grant, which is that of all that follows."""
    file = tmp_path / "identity.toml"
    file.write_text(POLICY.format(grant="before"))
    with archive(Policy.load(file)) as running:
        with associated(running.port, Username("alice"), confirmation="none"):
            until(lambda: running.server.active_associations)
            file.write_text(POLICY.format(grant="afterwards").replace('["names"]', f'["{validator}"]'))
            running.server.reload(drop=True)
        (accepted,) = running.settled(Kind.ACCEPTED)
        (end,) = running.records(Kind.RELEASED, Kind.ABORTED)
        (told,) = (each for each in running.records(Kind.POLICY_RELOADED) if each.association)
    assert (accepted.grant, told.grant, end.grant) == ("before", grant, grant)
    assert told.association == accepted.association
    assert told.user == accepted.user
    assert (told.outcome, bool(told.reason), bool(told.detail)) == (
        outcome,
        outcome is Outcome.REFUSED,
        bool(told.reason),
    )
    (message,) = messages(told, MessageStyle())
    assert message.event.value == "110113"


def test_a_grant_that_a_reload_changes_while_the_acceptance_is_written_is_that_of_all_that_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy is read again after the decision, and before it is on disk."""
    file = tmp_path / "identity.toml"
    file.write_text(POLICY.format(grant="before"))
    must = Trail.must
    with archive(Policy.load(file)) as running:

        def reloaded(self: Trail, record: Record) -> None:
            if record.kind is Kind.ACCEPTED:
                file.write_text(POLICY.format(grant="afterwards"))
                assert running.server.reload(drop=True) == 0
            must(self, record)

        monkeypatch.setattr(Trail, "must", reloaded)
        with associated(running.port, Username("alice"), confirmation="none") as assoc:
            assert assoc.is_established
        found = [each for each in running.settled() if each.association]
    assert [(each.kind, each.grant) for each in found] == [
        (Kind.ACCEPTED, "before"),
        (Kind.POLICY_RELOADED, "afterwards"),
        (Kind.ESTABLISHED, "afterwards"),
        (Kind.RELEASED, "afterwards"),
    ]
    assert found[1].user == found[0].user
