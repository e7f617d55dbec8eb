"""On a running association nothing is served, either, that could not be recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.builders import locked
from tests.pynetdicom.archive import archive, associated, image, trail_in
from tests.pynetdicom.support import until
from useridentity import Policy, Rule, Username, UsernameValidator
from useridentity.audit.record import Kind

STUDY = "1.2.3.1"


@pytest.mark.threat("A4")
def test_one_long_study_is_refused_too_once_nothing_can_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but C-STOREs of a study that was begun: no record of theirs would find out."""
    monkeypatch.setattr("useridentity.audit.segment.BUSY", 0.1)
    monkeypatch.setattr("useridentity.audit.journal.RETRY", 0.05)
    monkeypatch.setattr("useridentity.audit.journal.PROVED", 0.0)
    anybody = Policy([Rule([UsernameValidator()], weakest="asserted")], audit=trail_in(tmp_path))
    with archive(anybody) as running, associated(running.port, Username("bob"), confirmation="none") as assoc:
        assert [assoc.send_c_store(image(STUDY, number)).Status for number in range(3)] == [0, 0, 0]
        with locked(tmp_path):
            assert assoc.send_c_store(image(STUDY, 3)).Status == 0xA700
        until(lambda: assoc.send_c_store(image(STUDY, 4)).Status == 0)
    assert set(running.kept) == {"1.2.3.1.0", "1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.4"}


@pytest.mark.threat("A5")
def test_a_study_whose_beginning_could_not_be_recorded_begins_with_its_next_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first instance was refused; the next one that is stored is the first of it."""
    monkeypatch.setattr("useridentity.audit.segment.BUSY", 0.1)
    monkeypatch.setattr("useridentity.audit.journal.RETRY", 0.05)
    anybody = Policy([Rule([UsernameValidator()], weakest="asserted")], audit=trail_in(tmp_path))
    with archive(anybody) as running, associated(running.port, Username("bob"), confirmation="none") as assoc:
        assert assoc.send_c_store(image(STUDY, 1)).Status == 0
        with locked(tmp_path):
            assert assoc.send_c_store(image("1.2.3.2", 1)).Status == 0xA700
        until(lambda: assoc.send_c_store(image("1.2.3.2", 2)).Status == 0)
        begun = [study.study_instance_uid for each in running.records(Kind.BEGUN) for study in each.studies]
    assert begun == [STUDY, "1.2.3.2"]
