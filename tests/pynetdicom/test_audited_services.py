"""Requests of the normalized services are told as what PS3.15 A.5.3 has for them, of whichever study is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from lxml import etree
from pydicom import Dataset
from pydicom.tag import Tag
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicFilmSession,
    BasicGrayscalePrintManagementMeta,
    CTImageStorage,
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    Printer,
    StorageCommitmentPushModel,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
)

from tests.audit import schemas
from tests.audit.tables import problems
from tests.pynetdicom.archive import Archive, archive, image, trail_in
from tests.pynetdicom.support import PASSCODE, passcodes, until
from useridentity import Grant, Policy, Rule, UsernamePasscode, passcode_check
from useridentity.audit.message import MessageStyle, messages, to_xml
from useridentity.audit.record import Kind, Outcome, Record
from useridentity.pynetdicom import AE

ALICE = UsernamePasscode("alice", PASSCODE, plaintext="allow")
MPPS, COMMITMENT, META = ModalityPerformedProcedureStep, StorageCommitmentPushModel, BasicGrayscalePrintManagementMeta
PUSH, PULL = UnifiedProcedureStepPush, UnifiedProcedureStepPull
RETRIEVE = ModalityPerformedProcedureStepRetrieve
SERVICES = (MPPS, RETRIEVE, COMMITMENT, META, PUSH, PULL)
NONE = "<none>"
TAGS = [Tag("SOPClassUID"), Tag("SOPInstanceUID")]


class Told(NamedTuple):
    """What a message says was done to what."""

    event: str
    action: str
    studies: list[str]
    patient: str
    instances: list[str]


def told(record: Record) -> Told:
    """The one message of a record, which fulfils its table and the schema."""
    (message,) = messages(record, MessageStyle())
    document = etree.fromstring(to_xml(message))
    assert problems(document) == []
    assert all(schema.validate(document) for schema in schemas.schemas())
    return Told(
        document.xpath("string(//EventID/@csd-code)"),
        document.xpath("string(//@EventActionCode)"),
        document.xpath("//ParticipantObjectIdentification[@ParticipantObjectTypeCode='2']/@ParticipantObjectID"),
        document.xpath("string(//*[@ParticipantObjectTypeCode='1']/@ParticipantObjectID)"),
        document.xpath("//MPPS/@UID | //Instance/@UID"),
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Archive]:
    rules = [Rule([passcode_check(passcodes, plaintext="allow")])]
    with archive(Policy(rules, audit=trail_in(tmp_path)), *SERVICES) as running:
        for event, handler in (
            (evt.EVT_N_CREATE, lambda event: (0xC000 if "PatientComments" in event.attribute_list else 0, Dataset())),
            (evt.EVT_N_SET, lambda event: (0, event.modification_list)),
            (evt.EVT_N_GET, lambda _: (0, Dataset())),
            (evt.EVT_N_ACTION, lambda _: (0, None)),
            (evt.EVT_N_DELETE, lambda _: 0),
            (evt.EVT_N_EVENT_REPORT, lambda _: (0, None)),
        ):
            running.server.bind(event, handler)
        yield running


@contextmanager
def modality(served: Archive) -> Iterator[Association]:
    """An association that may use all the services, also as the SCP of storage commitment."""
    ae = AE("CT_1")
    for each in (CTImageStorage, *SERVICES):
        ae.add_requested_context(each)
    roles = [build_role(COMMITMENT, scu_role=True, scp_role=True)]
    assoc = ae.associate("127.0.0.1", served.port, ae_title="ARCHIVE", identity=ALICE, ext_neg=roles)
    assert assoc.is_established
    yield assoc
    assoc.release()


def performed(served: Archive) -> list[Told]:
    return [told(each) for each in served.settled(Kind.PERFORMED)]


def step(word: str = "ScheduledStepAttributesSequence", *studies: str, **more: str) -> Dataset:
    """A procedure step of Richard Roe, for these studies."""
    made = Dataset()
    made.PatientID, made.PatientName = "P9", "Roe^Richard"
    for name, value in more.items():
        setattr(made, name, value)
    items = []
    for study in studies or ("1.2.9",):
        items.append(Dataset())
        items[-1].StudyInstanceUID, items[-1].AccessionNumber = study, "A9"
    setattr(made, word, items)
    return made


def progress() -> Dataset:
    """What an N-SET of a procedure step says: nothing of its study or patient."""
    made = Dataset()
    made.PerformedProcedureStepStatus = "COMPLETED"
    return made


def references(*uids: str, failed: tuple[str, ...] = ()) -> Dataset:
    """What storage commitment is asked for, or has to say."""
    made = Dataset()
    made.TransactionUID = "1.2.3.99"
    for word, named in (("ReferencedSOPSequence", uids), ("FailedSOPSequence", failed)):
        items = []
        for uid in named:
            items.append(Dataset())
            items[-1].ReferencedSOPClassUID, items[-1].ReferencedSOPInstanceUID = CTImageStorage, uid
        setattr(made, word, items)
    return made


def test_a_procedure_step_is_a_procedure_record_of_its_study(served: Archive) -> None:
    """A.5.3.15: "manipulate procedure records, e.g., with the MPPS update". What comes later on the association is
    of the study that the step was created for."""
    with modality(served) as assoc:
        assert assoc.send_n_create(step(), MPPS, "1.2.3.4")[0].Status == 0
        assert assoc.send_n_set(progress(), MPPS, "1.2.3.4")[0].Status == 0
        assert assoc.send_n_get(TAGS, RETRIEVE, "1.2.3.4")[0].Status == 0
    assert performed(served) == [Told("110111", action, ["1.2.9"], "P9", ["1.2.3.4"]) for action in ("C", "U", "R")]


def test_a_step_that_was_created_elsewhere_is_named_by_its_uid(served: Archive) -> None:
    """No alert: nothing happened that threatens security."""
    with modality(served) as assoc:
        assert assoc.send_n_create(step(), MPPS, "1.2.3.4")[0].Status == 0
    with modality(served) as assoc:
        assert assoc.send_n_set(progress(), MPPS, "1.2.3.4")[0].Status == 0
    assert performed(served)[1:] == [Told("110111", "U", [NONE], NONE, ["1.2.3.4"])]


def test_an_instance_is_known_by_the_uid_that_the_acceptor_gives_it(served: Archive) -> None:
    def given(_: evt.Event) -> tuple[int, Dataset]:
        made = Dataset()
        made.AffectedSOPInstanceUID = "1.2.3.70"
        return 0, made

    served.server.bind(evt.EVT_N_CREATE, given)
    with modality(served) as assoc:
        assert assoc.send_n_create(step(), MPPS)[0].Status == 0
        assert assoc.send_n_set(progress(), MPPS, "1.2.3.70")[0].Status == 0
    assert performed(served) == [Told("110111", action, ["1.2.9"], "P9", ["1.2.3.70"]) for action in ("C", "U")]


def test_a_step_that_was_not_created_is_no_step_to_remember(served: Archive) -> None:
    with modality(served) as assoc:
        assert assoc.send_n_create(step(), MPPS, "1.2.3.4")[0].Status == 0
        assert assoc.send_n_create(step(PatientComments="fail"), MPPS, "1.2.3.5")[0].Status == 0xC000
        for uid in ("1.2.3.4", "1.2.3.5"):
            assoc.send_n_set(progress(), MPPS, uid)
    assert [each.patient for each in performed(served)[2:]] == ["P9", NONE]


def test_what_a_request_says_itself_is_what_it_is_about(served: Archive) -> None:
    """A peer that names another patient than before is not covered up by what it said before."""
    with modality(served) as assoc:
        assoc.send_n_create(step(), MPPS, "1.2.3.4")
        other = progress()
        other.PatientID = "P8"
        assoc.send_n_set(other, MPPS, "1.2.3.4")
    assert [each.patient for each in performed(served)] == ["P9", "P8"]


def test_a_step_of_several_studies_is_of_all_of_them(served: Archive) -> None:
    with modality(served) as assoc:
        assoc.send_n_create(step("ScheduledStepAttributesSequence", "1.2.8", "1.2.9"), MPPS, "1.2.3.4")
        assoc.send_n_set(progress(), MPPS, "1.2.3.4")
    assert [each.studies for each in performed(served)] == [["1.2.8", "1.2.9"]] * 2


@pytest.mark.parametrize("word", ["ReferencedRequestSequence", "InputInformationSequence"])
def test_a_unified_procedure_step_is_a_procedure_record_too(served: Archive, word: str) -> None:
    with modality(served) as assoc:
        assert assoc.send_n_create(step(word), PUSH, "1.2.3.6")[0].Status == 0
        assert assoc.send_n_set(progress(), PUSH, "1.2.3.6", meta_uid=PULL)[0].Status == 0
        assert assoc.send_n_action(progress(), 1, PUSH, "1.2.3.6", meta_uid=PULL)[0].Status == 0
        assert assoc.send_n_get(TAGS, PUSH, "1.2.3.6", meta_uid=PULL)[0].Status == 0
    assert performed(served) == [
        Told("110111", action, ["1.2.9"], "P9", ["1.2.3.6"]) for action in ("C", "U", "U", "R")
    ]


def test_storage_commitment_is_of_the_study_that_was_stored_before_it(served: Archive) -> None:
    """And of instances that came some other way, no more is told than their UIDs."""
    with modality(served) as assoc:
        for number in range(2):
            assert assoc.send_c_store(image("1.2.3.1", number)).Status == 0
        asked = references("1.2.3.1.0", "1.2.3.1.1", "1.9.9")
        assert assoc.send_n_action(asked, 1, COMMITMENT, "1.2.840.10008.1.20.1.1")[0].Status == 0
    (record,) = served.settled(Kind.PERFORMED)
    assert [(each.study_instance_uid, each.patient_id) for each in record.studies] == [("1.2.3.1", "P1"), ("", "")]
    assert [to_xml(each).count(b"<Instance ") for each in messages(record, MessageStyle())] == [2, 1]


def test_storage_commitment_of_what_is_not_known_names_the_instances(served: Archive) -> None:
    with modality(served) as assoc:
        assert assoc.send_n_action(references("1.9.8", "1.9.9"), 1, COMMITMENT, "1.2.840.10008.1.20.1.1")[0].Status == 0
    assert performed(served) == [Told("110103", "R", [NONE], NONE, ["1.9.8", "1.9.9"])]


def test_the_result_of_storage_commitment_names_what_was_kept_and_what_was_not(served: Archive) -> None:
    with modality(served) as assoc:
        result = references("1.9.8", failed=("1.9.9",))
        status, _ = assoc.send_n_event_report(result, 2, COMMITMENT, "1.2.840.10008.1.20.1.1")
        assert status.Status == 0
    until(lambda: served.records(Kind.PERFORMED))  # it is served in a thread of its own
    assert performed(served) == [Told("110103", "R", [NONE], NONE, ["1.9.8", "1.9.9"])]


def test_printing_reads_instances_that_it_has_created(served: Archive) -> None:
    """Table A.5.2-1: "R = Read/View/Print"; that a printer is asked how it does is told as well."""
    with modality(served) as assoc:
        assert assoc.send_n_get(TAGS, Printer, "1.2.840.10008.5.1.1.17", meta_uid=META)[0].Status == 0
        assert assoc.send_n_create(progress(), BasicFilmSession, "1.2.3.7", meta_uid=META)[0].Status == 0
        assert assoc.send_n_action(progress(), 1, BasicFilmSession, "1.2.3.7", meta_uid=META)[0].Status == 0
        assert assoc.send_n_delete(BasicFilmSession, "1.2.3.7", meta_uid=META).Status == 0
    found = performed(served)
    assert found[0] == Told("110103", "R", [NONE], NONE, ["1.2.840.10008.5.1.1.17"])
    assert found[1:] == [Told("110103", action, [NONE], NONE, ["1.2.3.7"]) for action in ("C", "R", "D")]


def test_every_request_is_recorded_before_it_is_served_and_under_its_user(served: Archive) -> None:
    with modality(served) as assoc:
        assoc.send_n_create(step(), MPPS, "1.2.3.4")
        assoc.send_n_create(step(PatientComments="fail"), MPPS, "1.2.3.5")
    records = served.settled(Kind.BEGUN, Kind.PERFORMED)
    assert [each.kind for each in records] == [Kind.BEGUN, Kind.PERFORMED] * 2
    assert [each.outcome for each in records[1::2]] == [Outcome.SUCCESS, Outcome.FAILED]
    assert {each.user.subject for each in records} == {"passcode:alice"}
    assert records[0].studies == records[1].studies


def test_a_refused_request_is_an_alert_that_names_the_patient_of_its_step(tmp_path: Path) -> None:
    """Table A.5.3.11-1 has no place for a patient: it is a detail of the alert's subject."""
    may_create = Grant(["mpps"], name="modality")
    rules = [Rule([passcode_check(passcodes, plaintext="allow")])]
    with archive(Policy(rules, [may_create], audit=trail_in(tmp_path)), *SERVICES) as running:
        running.server.bind(evt.EVT_N_CREATE, lambda _: (0, Dataset()))
        with modality(running) as assoc:
            assert assoc.send_n_create(step(), MPPS, "1.2.3.4")[0].Status == 0
            status, _ = assoc.send_n_get(TAGS, MPPS, "1.2.3.4")  # for which there is another service
            assert status.Status == 0x0124
        (refused,) = running.settled(Kind.REFUSED)
    assert refused.studies[0].patient_id == "P9"
    (message,) = messages(refused, MessageStyle())
    assert (message.event.value, message.outcome) == ("110113", 8)
    details = [detail for each in message.objects for detail in each.details]
    assert {("Patient ID", b"P9"), ("SOP Instance UID", b"1.2.3.4")} <= set(details)
