"""What happens on a guarded server is in the audit trail, with its user; what cannot be recorded does not happen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from tests.audit.builders import locked, tampering
from tests.lib.certificates import Certificates
from tests.lib.pdus import associate_rq
from tests.lib.rawpeer import RawPeer
from tests.pynetdicom.archive import FIND, GET, MOVE, Archive, archive, associated, image, query, trail_in
from tests.pynetdicom.support import PASSCODE, passcodes, until
from useridentity import Grant, Policy, Rule, Username, UsernamePasscode, UsernameValidator, passcode_check
from useridentity.audit.flood import BURST
from useridentity.audit.record import EndedBy, Kind, Outcome
from useridentity.audit.trail import Trail
from useridentity.audit.verify import verify
from useridentity.decision import Answer
from useridentity.errors import ConfigurationError
from useridentity.facts import Tls
from useridentity.identity import Assurance, Identity
from useridentity.policy.match import BreakGlass, When, Who
from useridentity.pynetdicom import AE, outcome_of
from useridentity.tls import client_context, server_context
from useridentity.validator import FunctionValidator, Verified

ALICE = UsernamePasscode("alice", PASSCODE, plaintext="allow")
STUDY = "1.2.3.1"


def policy(trail: Trail | None, *grants: Grant) -> Policy:
    """Alice by her passcode, others at their word, and what they may do."""
    rules = [
        Rule([passcode_check(passcodes, plaintext="allow"), UsernameValidator()], name="people", weakest="asserted")
    ]
    return Policy(rules, grants, audit=trail)


ALL = Grant(
    ["echo", "store", "find", "get", "move"],
    Who(assurance=(Assurance.AUTHENTICATED, Assurance.ASSERTED)),
    "alice may",
    destinations=("WS_*",),
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked journal is given up, and tried again, sooner."""
    monkeypatch.setattr("useridentity.audit.segment.BUSY", 0.1)
    monkeypatch.setattr("useridentity.audit.journal.RETRY", 0.05)


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Archive]:
    with archive(policy(trail_in(tmp_path), ALL)) as running:
        yield running


# Decisions.


def test_an_acceptance_is_on_disk_before_the_peer_is_told(audited: Archive) -> None:
    with associated(audited.port, ALICE) as assoc:
        assert assoc.is_established
        assert audited.trail is not None
        accepted = [each for _, each in audited.trail.journal.read(0, 100) if each.kind is Kind.ACCEPTED]
    assert len(accepted) == 1
    found = accepted[0]
    assert (found.user.subject, found.user.assurance, found.user.presented) == (
        "passcode:alice", "authenticated", "alice",
    )  # fmt: skip
    assert (found.rule, found.grant, found.validator) == ("people", "alice may", "passcode")
    assert (found.requestor.ae_title, found.requestor.address, found.requestor.tls) == ("WS_1", "127.0.0.1", "none")
    assert (found.acceptor.ae_title, found.acceptor.port) == ("ARCHIVE", audited.port)


@pytest.mark.threat("A9")
def test_a_rejection_is_recorded_with_what_was_claimed_and_not_as_who_was_proved(audited: Archive) -> None:
    with associated(audited.port, ALICE) as assoc:
        assert assoc.is_established
    with associated(audited.port, UsernamePasscode("alice", b"wrong", plaintext="allow")) as assoc:
        assert assoc.is_rejected
    found = audited.settled(Kind.REJECTED)[0]
    assert (found.outcome, found.reason) == (Outcome.REFUSED, "credential-invalid")
    assert (found.user.presented, found.user.subject, found.user.assurance) == ("alice", "", "")


def test_a_rejection_of_somebody_who_was_proved_names_him(tmp_path: Path) -> None:
    nobody = Grant(["echo"], Who(groups=("radiology",)))
    with archive(policy(trail_in(tmp_path), nobody)) as running:
        with associated(running.port, ALICE) as assoc:
            assert assoc.is_rejected
        found = running.settled(Kind.REJECTED)[0]
    assert (found.reason, found.user.subject) == ("not-authorised", "passcode:alice")


def test_a_malformed_request_is_recorded_with_its_peer(audited: Archive) -> None:
    with RawPeer(audited.port) as peer:
        peer.send(b"\x01\x00\x00\x00\x00\x04abcd")
        peer.read_pdu()
    found = audited.settled(Kind.REJECTED)[0]
    assert (found.reason, found.requestor.address) == ("malformed", "127.0.0.1")


def test_a_server_records_its_start_and_its_stop_and_leaves_a_sound_journal(tmp_path: Path) -> None:
    with archive(policy(trail_in(tmp_path), ALL)) as running, associated(running.port, ALICE) as assoc:
        assert assoc.is_established
    report = verify(tmp_path / "audit.db", tmp_path / "audit.key")
    assert report.findings == []
    journal = trail_in(tmp_path).journal
    kinds = [each.kind for _, each in journal.read(0, 100)]
    journal.close()
    assert kinds[0] is Kind.APPLICATION_STARTED
    assert Kind.APPLICATION_STOPPED in kinds[-2:]  # the association may be noted to have ended after it
    assert {Kind.ACCEPTED, Kind.ESTABLISHED, Kind.RELEASED} < set(kinds)


def test_a_server_of_the_same_policy_can_be_started_again(tmp_path: Path) -> None:
    guarded = policy(trail_in(tmp_path), ALL)
    for _ in range(2):
        with archive(guarded) as running, associated(running.port, ALICE) as assoc:
            assert assoc.is_established
            assert running.records(Kind.ACCEPTED)


def test_a_policy_without_audit_records_nothing_and_serves_all_the_same(tmp_path: Path) -> None:
    with archive(policy(None, ALL)) as running, associated(running.port, ALICE) as assoc:
        assert assoc.send_c_store(image(STUDY, 1)).Status == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.threat("A7")
def test_no_passcode_reaches_the_journal(tmp_path: Path, audited: Archive) -> None:
    secret = b"never-to-be-written-4711"
    for passcode in (PASSCODE, secret):
        with associated(audited.port, UsernamePasscode("alice", passcode, plaintext="allow")):
            pass
    audited.settled()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"alice" in written
    assert PASSCODE not in written
    assert secret not in written


# What cannot be recorded.


@pytest.mark.threat("A4")
def test_nobody_is_accepted_whose_record_is_not_on_disk_and_it_recovers_by_itself(
    tmp_path: Path, audited: Archive
) -> None:
    with associated(audited.port, ALICE) as assoc:
        assert assoc.is_established
    audited.settled()
    with locked(tmp_path), associated(audited.port, ALICE) as assoc:
        assert outcome_of(assoc).answer == Answer(2, 2, 1)
    with associated(audited.port, ALICE) as assoc:
        assert assoc.is_established
    kinds = [each.kind for each in audited.settled()]
    assert Kind.RECORDING_RESUMED in kinds
    assert [each.reason for each in audited.records(Kind.REJECTED)] == ["audit-unavailable"]


def test_with_accept_everything_goes_on_and_is_recorded_later(tmp_path: Path) -> None:
    with archive(policy(trail_in(tmp_path, "accept"), ALL)) as running:
        with associated(running.port, ALICE) as assoc:
            assert assoc.is_established
        running.settled()
        with locked(tmp_path), associated(running.port, ALICE) as assoc:
            assert assoc.send_c_store(image(STUDY, 1)).Status == 0
        assert running.trail is not None
        until(lambda: len(running.records(Kind.ACCEPTED)) == 2)
        until(lambda: running.records(Kind.STORED))


@pytest.mark.threat("A4")
def test_no_operation_is_served_on_a_running_association_while_nothing_can_be_recorded(
    tmp_path: Path, audited: Archive
) -> None:
    """Refused as out of resources, which peers try again: the user is not to blame."""
    with associated(audited.port, ALICE) as assoc:
        assert assoc.send_c_store(image(STUDY, 1)).Status == 0
        with locked(tmp_path):
            assert assoc.send_c_store(image("1.2.3.2", 1)).Status == 0xA700
            assert assoc.send_c_store(image(STUDY, 2)).Status == 0xA700, "nor one of a study that was begun"
            assert [status.Status for status, _ in assoc.send_c_find(query(), FIND)] == [0xA700]
            assert [status.Status for status, _ in assoc.send_c_move(query(), "WS_1", MOVE)] == [0xA702]
            assert [status.Status for status, _ in assoc.send_c_get(query(), GET)] == [0xA702]
            assert assoc.send_c_echo().Status == 0
        until(lambda: assoc.send_c_store(image(STUDY, 2)).Status == 0)
    assert set(audited.kept) == {"1.2.3.1.1", "1.2.3.1.2"}
    assert {each.reason for each in audited.settled(Kind.REFUSED)} == {"audit-unavailable"}


# Operations.


def test_stored_instances_are_put_together_by_study_and_outcome(audited: Archive) -> None:
    with associated(audited.port, ALICE) as assoc:
        for number in range(3):
            assert assoc.send_c_store(image(STUDY, number)).Status == 0
        assert assoc.send_c_store(image("1.2.3.2", 1, "P2", "Müller^Änne")).Status == 0
        assert assoc.send_c_store(image("1.2.3.3", 1, "UNWANTED")).Status == 0xC000
    begun = [each.studies[0].study_instance_uid for each in audited.settled(Kind.BEGUN)]
    assert begun == [STUDY, "1.2.3.2", "1.2.3.3"]
    stored = audited.records(Kind.STORED)
    assert [(e.outcome, e.studies[0].study_instance_uid, e.studies[0].sop_classes[0].number) for e in stored] == [
        (Outcome.SUCCESS, STUDY, 3), (Outcome.SUCCESS, "1.2.3.2", 1), (Outcome.FAILED, "1.2.3.3", 1),
    ]  # fmt: skip
    assert stored[0].studies[0].sop_classes[0].instances == ("1.2.3.1.0", "1.2.3.1.1", "1.2.3.1.2")
    assert (stored[1].studies[0].patient_id, stored[1].studies[0].patient_name) == ("P2", "Müller^Änne")
    assert stored[0].studies[0].accession_numbers == ("A1",)
    assert {each.user.subject for each in stored} == {"passcode:alice"}
    released = audited.records(Kind.RELEASED)[0]
    assert released.traffic is not None
    assert (released.traffic.operations, released.traffic.instances) == (5, 5)
    assert released.traffic.octets_received > 5000


@pytest.mark.threat("A5")
def test_what_is_begun_is_on_disk_before_the_handler_runs(audited: Archive) -> None:
    seen: list[Kind] = []

    def on_store(_: evt.Event) -> int:
        assert audited.trail is not None
        seen.extend(each.kind for _, each in audited.trail.journal.read(0, 100))
        return 0

    audited.server.bind(evt.EVT_C_STORE, on_store)
    with associated(audited.port, ALICE) as assoc:
        assoc.send_c_store(image(STUDY, 1))
    assert Kind.BEGUN in seen
    assert Kind.STORED not in seen


def test_a_query_is_recorded_with_its_identifier_and_its_matches(audited: Archive) -> None:
    with associated(audited.port, ALICE) as assoc:
        for study in ("1.2.3.1", "1.2.3.2"):
            assoc.send_c_store(image(study, 1))
        answers = list(assoc.send_c_find(query(PatientID="P1"), FIND))
        assert len(answers) == 3
    found = audited.settled(Kind.QUERIED)[0]
    assert found.operation is not None
    assert (found.operation.status, found.operation.matches, found.operation.sop_class) == (0, 2, str(FIND))
    assert b"P1" in found.operation.identifier
    assert found.operation.transfer_syntax == "1.2.840.10008.1.2"
    assert found.studies[0].patient_id == "P1"


def test_a_wildcard_is_no_patient(audited: Archive) -> None:
    with associated(audited.port, ALICE) as assoc:
        list(assoc.send_c_find(query(PatientID="P*"), FIND))
    assert audited.settled(Kind.QUERIED)[0].studies == ()


@pytest.mark.parametrize("destination", ["WS_1", ""])
def test_a_retrieve_is_recorded_with_its_destination_and_what_was_sent(audited: Archive, destination: str) -> None:
    with associated(audited.port, ALICE) as assoc:
        for number in range(2):
            assoc.send_c_store(image(STUDY, number))
        asked = query(StudyInstanceUID=STUDY)
        answers = assoc.send_c_move(asked, destination, MOVE) if destination else assoc.send_c_get(asked, GET)
        assert [status.Status for status, _ in answers][-1] == 0
    found = audited.settled(Kind.RETRIEVED)
    assert len(found) == 1
    assert found[0].operation is not None
    assert found[0].operation.request == ("C-MOVE" if destination else "C-GET")
    assert (found[0].operation.destination, found[0].operation.destination_address) == (destination, "127.0.0.1")
    assert (found[0].studies[0].study_instance_uid, found[0].studies[0].sop_classes[0].number) == (STUDY, 2)
    assert found[0].user.subject == "passcode:alice", "the sub-operations are those of the user who asked"
    assert [each.studies[0].study_instance_uid for each in audited.records(Kind.BEGUN)][-1] == STUDY


def test_a_retrieve_that_sent_nothing_is_recorded_too(audited: Archive) -> None:
    with associated(audited.port, ALICE) as assoc:
        list(assoc.send_c_get(query(StudyInstanceUID="1.9"), GET))
    found = audited.settled(Kind.RETRIEVED)
    assert len(found) == 1
    assert [each.study_instance_uid for each in found[0].studies] in ([], ["1.9"])


def test_a_refused_request_is_recorded_with_its_user_and_why(tmp_path: Path) -> None:
    may_find = Grant(["echo", "find", "move"], name="looks", destinations=("OTHER",))
    asked = query(StudyInstanceUID=STUDY)
    with archive(policy(trail_in(tmp_path), may_find)) as running:
        with associated(running.port, ALICE) as assoc:
            assert [status.Status for status, _ in assoc.send_c_move(asked, "WS_1", MOVE)] == [0x0124]
            assert assoc.send_c_echo().Status == 0
        found = running.settled(Kind.REFUSED)[0]
    assert (found.outcome, found.reason, found.user.subject) == (Outcome.REFUSED, "not-authorised", "passcode:alice")
    assert found.operation is not None
    assert (found.operation.request, found.operation.destination, found.operation.status) == ("C-MOVE", "WS_1", 0x0124)
    assert [each.study_instance_uid for each in found.studies] == [STUDY]
    assert found.detail


def test_an_instance_whose_data_set_cannot_be_read_is_recorded_by_its_uids(audited: Archive) -> None:
    broken = image(STUDY, 1)
    broken.PatientID = ""
    del broken.StudyInstanceUID
    with associated(audited.port, ALICE) as assoc:
        assoc.send_c_store(broken)
    stored = audited.settled(Kind.STORED)[0]
    assert stored.studies[0].study_instance_uid == ""
    assert stored.studies[0].sop_classes[0].instances == ("1.2.3.1.1",)


# Ends.


def leave(assoc: Any, how: str) -> None:
    if how == "release":
        assoc.release()
    elif how == "abort":
        assoc.abort()
    else:
        assoc.dul.socket._shutdown_socket()


@pytest.mark.parametrize(
    ("how", "kind", "by"),
    [
        ("release", Kind.RELEASED, EndedBy.REQUESTOR),
        ("abort", Kind.ABORTED, EndedBy.REQUESTOR),
        ("hang up", Kind.ABORTED, EndedBy.CONNECTION),
    ],
)
def test_the_end_of_an_association_says_who_ended_it(audited: Archive, how: str, kind: Kind, by: EndedBy) -> None:
    with associated(audited.port, ALICE) as assoc:
        leave(assoc, how)
    found = audited.settled(Kind.RELEASED, Kind.ABORTED)
    assert [(each.kind, each.traffic and each.traffic.ended_by) for each in found] == [(kind, by)]
    assert found[0].outcome is (Outcome.FAILED if by is EndedBy.CONNECTION else Outcome.SUCCESS)


def test_an_association_that_the_acceptor_aborts_says_so(audited: Archive) -> None:
    with associated(audited.port, ALICE) as assoc:
        assert assoc.is_established
        until(lambda: audited.server.ae.active_associations)
        audited.server.ae.active_associations[0].abort()
    found = audited.settled(Kind.ABORTED)
    assert [each.traffic and each.traffic.ended_by for each in found] == [EndedBy.ACCEPTOR]


def test_every_record_of_an_association_has_its_correlation_id(audited: Archive) -> None:
    for identity in (ALICE, Username("bob")):
        with associated(audited.port, identity, confirmation="none") as assoc:
            assoc.send_c_store(image(STUDY, 1))
    ids = {each.user.user_id: each.association for each in audited.settled(Kind.ACCEPTED)}
    for record in audited.records():
        if record.association:
            assert ids.get(record.user.user_id) == record.association


# Strangers.


@pytest.mark.threat("A6")
def test_a_flood_from_one_source_is_summed_up_and_stops_nobody_else(tmp_path: Path) -> None:
    from useridentity.policy import Limits
    from useridentity.state.limits import PenaltyLimits

    rules = [Rule([passcode_check(passcodes, plaintext="allow")], name="people")]
    lenient = Limits(penalty=PenaltyLimits(source_free=10_000))
    with archive(Policy(rules, limits=lenient, audit=trail_in(tmp_path))) as running:
        for _ in range(BURST + 20):
            with RawPeer(running.port) as peer:
                peer.send(associate_rq())
                peer.read_pdu()
        with associated(running.port, ALICE) as assoc:
            assert assoc.is_established
        assert len(running.settled(Kind.REJECTED)) in range(BURST, BURST + 5)
    with tampering(tmp_path / "audit.db") as database:
        bodies = [row[0] for row in database.execute("SELECT body FROM record") if '"suppressed"' in row[0]]
    assert len(bodies) == 1
    assert '"identity-required"' in bodies[0]


# What a record says of its user and of the machine.


def test_an_emergency_is_recorded_with_its_reason(tmp_path: Path) -> None:
    said = {"reason": "patient unconscious"}
    identity = Identity("idp:alice", "alice", "idp", Assurance.AUTHENTICATED, 2, claims=said)
    validator = FunctionValidator("idp", 2, lambda *_: Verified(identity), cpu_short=True)
    glass = Grant(["echo", "find"], name="emergency", break_glass=BreakGlass("reason"))
    guarded = Policy([Rule([validator])], [glass], audit=trail_in(tmp_path))
    with archive(guarded) as running:
        with associated(running.port, ALICE) as assoc:
            assert assoc.is_established
        found = running.settled(Kind.ACCEPTED)[0]
    assert (found.grant, found.user.emergency) == ("emergency", "patient unconscious")


def test_the_tls_certificate_of_the_peer_is_recorded(tmp_path: Path, certificates: Certificates) -> None:
    pair = certificates.client
    tls = server_context(certificates.server.cert, certificates.server.key, client_ca=certificates.ca)
    guarded = Policy([Rule([UsernameValidator()], When(tls=Tls.MUTUAL))], audit=trail_in(tmp_path))
    with archive(guarded, ssl_context=tls) as running:
        context = client_context(certificates.ca, pair.cert, pair.key)
        with associated(running.port, Username("bob"), tls_args=(context, "127.0.0.1"), confirmation="none") as assoc:
            assert assoc.is_established
        found = running.settled(Kind.ACCEPTED)[0]
    assert found.requestor.tls == "mutual"
    assert "CN=CT_1" in found.requestor.certificate
    assert "O=Radiology" in found.requestor.certificate


def test_a_reload_is_recorded_and_so_is_one_that_failed(tmp_path: Path) -> None:
    file = tmp_path / "identity.toml"
    file.write_text(
        'version = 1\n[validator.names]\ntype = "username"\n[[authenticate]]\naccept = ["names"]\n'
        '[audit]\njournal = "audit.db"\n'
    )
    with archive(Policy.load(file)) as running:
        running.server.reload()
        file.write_text(file.read_text().replace("audit.db", "another.db"))
        with pytest.raises(ConfigurationError, match="is not what is in use; restart the program to change it"):
            running.server.reload()
        found = running.records(Kind.POLICY_RELOADED)
    assert [each.outcome for each in found] == [Outcome.SUCCESS, Outcome.FAILED]
    assert "restart the program" in found[1].detail


def test_a_deflated_data_set_and_one_in_a_file_are_read_as_well(
    tmp_path: Path, audited: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = AE("WS_1")
    ae.add_requested_context(CTImageStorage, DeflatedExplicitVRLittleEndian)
    deflated = image("1.2.3.7", 1, "P7")
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assoc = ae.associate("127.0.0.1", audited.port, ae_title="ARCHIVE", identity=ALICE)
    assert assoc.send_c_store(deflated).Status == 0
    assoc.release()
    audited.server.bind(evt.EVT_C_STORE, lambda _: 0)
    monkeypatch.setattr("pynetdicom._config.STORE_RECV_CHUNKED_DATASET", True)
    with associated(audited.port, ALICE) as assoc:
        assert assoc.send_c_store(image("1.2.3.8", 1, "P8")).Status == 0
    stored = [each.studies[0] for each in audited.settled(Kind.STORED)]
    assert [(each.study_instance_uid, each.patient_id) for each in stored] == [("1.2.3.7", "P7"), ("1.2.3.8", "P8")]
