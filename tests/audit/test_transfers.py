"""Instances are put together by study and outcome, and told before there are too many."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from useridentity.audit.record import Outcome, SopClass, Study
from useridentity.audit.transfers import (
    MAX_ACCESSIONS,
    MAX_INSTANCES,
    MAX_STUDIES,
    Instance,
    Transfers,
    grouped,
    instances_of,
    study_of,
)


def instance(number: int, study: str = "1.2.3", sop_class: str = "1.2.840") -> Instance:
    return Instance(study, "P1", "Doe^Jane", f"A{number % 2}", sop_class, f"{study}.{number}")


def test_instances_of_a_study_are_one_record_at_the_end() -> None:
    transfers = Transfers()
    for number, sop_class in enumerate(("1.2.840", "1.2.840", "1.2.999")):
        assert list(transfers.add(instance(number, sop_class=sop_class), Outcome.SUCCESS)) == []
    [(outcome, study, _)] = transfers.rest()
    assert outcome is Outcome.SUCCESS
    assert (study.study_instance_uid, study.patient_id, study.accession_numbers) == ("1.2.3", "P1", ("A0", "A1"))
    assert study.sop_classes == (
        SopClass("1.2.840", 2, ("1.2.3.0", "1.2.3.1")),
        SopClass("1.2.999", 1, ("1.2.3.2",)),
    )
    assert list(transfers.rest()) == []
    assert transfers.number == 3


def test_what_succeeded_and_what_failed_are_told_apart() -> None:
    transfers = Transfers()
    for outcome in (Outcome.SUCCESS, Outcome.FAILED, Outcome.SUCCESS):
        assert list(transfers.add(instance(1), outcome)) == []
    assert [(outcome, study.sop_classes[0].number) for outcome, study, _ in transfers.rest()] == [
        (Outcome.SUCCESS, 2),
        (Outcome.FAILED, 1),
    ]


def test_a_study_of_very_many_instances_is_several_records() -> None:
    transfers = Transfers()
    told = [
        each for number in range(2 * MAX_INSTANCES + 1) for each in transfers.add(instance(number), Outcome.SUCCESS)
    ]
    assert [each.study.sop_classes[0].number for each in [*told, *transfers.rest()]] == [
        MAX_INSTANCES,
        MAX_INSTANCES,
        1,
    ]


def test_of_very_many_studies_the_first_is_told() -> None:
    transfers = Transfers()
    told = [
        each.study.study_instance_uid
        for number in range(MAX_STUDIES + 2)
        for each in transfers.add(instance(1, f"1.2.{number}"), Outcome.SUCCESS)
    ]
    assert told == ["1.2.0", "1.2.1"]
    assert len(list(transfers.rest())) == MAX_STUDIES


def test_a_study_begins_once() -> None:
    transfers = Transfers()
    assert not transfers.has_begun(instance(0))
    transfers.begin(instance(0))
    assert transfers.has_begun(instance(1))
    assert not transfers.has_begun(instance(1, "1.2.4"))


def test_what_is_remembered_of_studies_that_began_is_bounded() -> None:
    transfers = Transfers()
    for number in range(10 * MAX_STUDIES):
        transfers.begin(instance(1, f"1.2.{number}"))
    assert len(transfers._begun) <= MAX_STUDIES


def test_a_transfer_has_the_time_at_which_its_last_instance_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Table A.5.3.7-1: "Shall be the time when the transfer has completed", not when the association ended."""
    hours = iter(range(9, 12))

    class Clock:
        @staticmethod
        def now(_: object) -> datetime:
            return datetime(2026, 11, 22, next(hours), tzinfo=UTC)

    monkeypatch.setattr("useridentity.audit.transfers.datetime", Clock)
    transfers = Transfers()
    for study in ("1.2.3", "1.2.4", "1.2.3"):
        assert list(transfers.add(instance(1, study), Outcome.SUCCESS)) == []
    told = {each.study.study_instance_uid: each.time.hour for each in transfers.rest()}
    assert told == {"1.2.3": 11, "1.2.4": 10}


def test_patients_without_an_id_are_told_by_their_names() -> None:
    found = grouped([Instance("1.2.3", "", name) for name in ("Doe^Jane", "Roe^Richard", "Doe^Jane")])
    assert [each.patient_name for each in found] == ["Doe^Jane", "Roe^Richard"]
    found = grouped([Instance("1.2.3", "P1", name) for name in ("Doe^Jane", "DOE^JANE")])
    assert [each.patient_name for each in found] == ["Doe^Jane"], "one patient, written twice"


def test_accession_numbers_of_a_study_are_bounded() -> None:
    few, many = ([Instance("1.2.3", accession_number=str(n)) for n in range(count)] for count in (2, 1000))
    assert study_of(few).accession_numbers == ("0", "1")
    assert len(study_of(many).accession_numbers) == MAX_ACCESSIONS


def test_the_instances_of_a_study_make_it_again() -> None:
    study = Study(
        "1.2.3", "P1", "Doe^Jane", ("A1",), (SopClass("1.2.840", 2, ("1.1", "1.2")), SopClass("1.9", 1, ("2",)))
    )
    assert grouped(instances_of(study)) == (study,)
