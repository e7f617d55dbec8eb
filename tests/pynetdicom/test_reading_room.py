"""A day in a reading room: four users of different identity types on one workstation AE title, and those refused.

The audit trail alone answers who saw which patient, and who was refused.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pynetdicom.archive import FIND, GET, MOVE, Archive, archive, associated, image, query
from useridentity import Jwt, Kerberos, Policy, Saml, Username, UsernamePasscode
from useridentity.audit.record import Kind, Outcome, Record
from useridentity.audit.search import Filter, every
from useridentity.audit.verify import verify
from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.testing import AssertionIssuer, TokenIssuer

PASSCODE = b"correct horse 4711"
XSPA = "urn:oasis:names:tc:xspa:1.0:subject"

POLICY = """\
version = 1

[validator.staff]
type = "passcode"
store = "file:passcodes.toml"
plaintext = "allow"

[validator.realm]
type = "kerberos"
service = "dicom@pacs.hospital.test"
keytab = "{keytab}"

[validator.federation]
type = "saml"
metadata = "idp.xml"
audience = "urn:dicom:ARCHIVE"
plaintext = "allow"

[validator.idp]
type = "jwt"
issuer = "https://idp.test"
audience = "dicom:ARCHIVE"
algorithms = ["RS256"]
jwks = "jwks.json"
plaintext = "allow"
groups = {{ claim = "roles", map = {{ radiologist = "radiology" }} }}

[[authenticate]]
name = "reading room"
when = {{ calling_ae_title = ["WS_1"] }}
accept = ["staff", "realm", "federation", "idp"]

[[authorize]]
name = "guests look"
who = {{ validator = ["federation"] }}
permit = ["echo", "find"]

[[authorize]]
name = "readers"
permit = ["echo", "store", "find", "move", "get"]
destinations = ["WS_1"]

[audit]
journal = "audit.db"
"""


@pytest.fixture
def room(
    shared_hospital: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Archive, dict[str, Any]]]:
    """The archive, and each user's credentials."""
    shared_hospital.settle(monkeypatch, tmp_path)
    tokens, assertions = TokenIssuer(), AssertionIssuer()
    here: dict[str, Any] = {"peers": ["127.0.0.1"], "plaintext": "allow"}
    tokens.write_jwks(tmp_path / "jwks.json")
    assertions.write_metadata(tmp_path / "idp.xml")
    set_passcode(tmp_path / "passcodes.toml", "ada", PASSCODE, "Ada Adams", ["radiology"])
    (tmp_path / "identity.toml").write_text(POLICY.format(keytab=shared_hospital.keytab))
    users = {
        "ada": UsernamePasscode("ada", PASSCODE, plaintext="allow"),
        "alice": Kerberos("dicom@pacs.hospital.test", cache=shared_hospital.alice),
        "carol": Saml(assertions.assertion("carol", attributes={f"{XSPA}:subject-id": ["Carol Clark"]}), **here),
        "dave": Jwt(tokens.token("dave", jti="token-4711", name="Dave Dunn", roles=["radiologist"]), **here),
        "forger": Jwt(TokenIssuer().token("dave"), **here),
        "stranger": Username("root"),
        "guesser": UsernamePasscode("ada", b"Secret123!", plaintext="allow"),
    }
    with archive(Policy.load(tmp_path / "identity.toml")) as running:
        yield running, users


def work(port: int, users: dict[str, Any]) -> None:
    """What happens that day."""
    with associated(port, users["ada"]) as assoc:  # stores two patients' studies
        for study, patient, name in (("1.2.3.1", "P1", "Doe^Jane"), ("1.2.3.2", "P2", "Roe^Richard")):
            for number in range(2):
                assert assoc.send_c_store(image(study, number, patient, name)).Status == 0
    with associated(port, users["alice"]) as assoc:  # looks for one and has it sent
        assert len(list(assoc.send_c_find(query(PatientID="P1"), FIND))) == 2
        assert [s.Status for s, _ in assoc.send_c_move(query(StudyInstanceUID="1.2.3.1"), "WS_1", MOVE)][-1] == 0
    with associated(port, users["carol"]) as assoc:  # may look, and is refused the images
        assert assoc.is_established
        list(assoc.send_c_find(query(PatientID="P2"), FIND))
    with associated(port, users["dave"]) as assoc:  # fetches the other
        assert [s.Status for s, _ in assoc.send_c_get(query(StudyInstanceUID="1.2.3.2"), GET)][-1] == 0
        assert [s.Status for s, _ in assoc.send_c_move(query(), "ELSEWHERE", MOVE)] == [0x0124]
    for name in ("forger", "stranger", "guesser"):
        with associated(port, users[name]) as assoc:
            assert assoc.is_rejected
    with associated(port, users["ada"], ae_title="WS_9") as assoc:  # the right user, from where nobody is awaited
        assert assoc.is_rejected


@pytest.mark.threat("A9")
def test_the_audit_trail_alone_answers_who_saw_which_patient_and_who_was_refused(
    room: tuple[Archive, dict[str, Any]], tmp_path: Path
) -> None:
    running, users = room
    work(running.port, users)
    records = running.settled()
    journal = tmp_path / "audit.db"

    def about(**wanted: str) -> list[Record]:
        return [each for _, each in every(journal, Filter(**wanted))]  # type: ignore[arg-type]

    # Who saw which patient.
    saw = {
        patient: [
            (each.user.user_id or each.user.presented, each.kind.value)
            for each in about(patient=patient)
            if each.kind is not Kind.BEGUN
        ]
        for patient in ("P1", "P2")
    }
    assert saw == {
        "P1": [("ada", "stored"), ("alice@HOSPITAL.TEST", "queried"), ("alice@HOSPITAL.TEST", "retrieved")],
        "P2": [("ada", "stored"), ("carol", "queried"), ("dave", "retrieved")],
    }

    # Who was refused, with what was claimed and never as the one who was claimed to be.
    refused = [
        (e.user.subject, e.user.presented, e.reason) for e in about(outcome="refused") if e.kind is Kind.REJECTED
    ]
    assert refused == [
        ("", "", "credential-invalid"),
        ("", "root", "identity-type-not-accepted"),
        ("", "ada", "credential-invalid"),
        ("", "ada", "no-rule"),
    ]
    assert [(e.user.user_id, e.operation and e.operation.destination) for e in about(kind="refused")] == [
        ("dave", "ELSEWHERE")
    ]

    # All of them came from one AE title: only the user tells them apart.
    accepted = [each for each in records if each.kind is Kind.ACCEPTED]
    assert {each.requestor.ae_title for each in accepted} == {"WS_1"}
    assert [(each.user.subject, each.user.identity_type) for each in accepted] == [
        ("staff:ada", 2), ("alice@HOSPITAL.TEST", 3), ("urn:idp#carol", 4), ("https://idp.test#dave", 5),
    ]  # fmt: skip
    assert [each.user.display_name for each in accepted] == ["Ada Adams", "", "Carol Clark", "Dave Dunn"]
    assert accepted[3].user.groups == ("radiology",)

    # By what each was proved, and never the proof itself.
    assert [each.user.credential_form for each in accepted] == ["", "", "assertion", "jti"]
    assert accepted[3].user.credential_id == "token-4711"
    assert len([each for each in records if each.kind is Kind.RELEASED]) == 4
    assert all(each.outcome is Outcome.SUCCESS for each in records if each.kind is Kind.RETRIEVED)
    assert verify(journal, tmp_path / "audit.key").findings == []


@pytest.mark.threat("A7")
def test_no_credential_of_the_day_is_in_the_journal(room: tuple[Archive, dict[str, Any]], tmp_path: Path) -> None:
    running, users = room
    work(running.port, users)
    running.settled()
    written = b"".join(path.read_bytes() for path in tmp_path.glob("audit.*"))
    assert b"ada" in written
    for secret in (PASSCODE, b"Secret123!", b"<saml:Assertion", b"eyJ"):  # as every token begins
        assert secret not in written


def test_the_command_line_says_the_same(room: tuple[Archive, dict[str, Any]], tmp_path: Path) -> None:
    running, users = room
    work(running.port, users)
    running.settled()
    script = Path(sys.executable).with_name("useridentity")
    done = subprocess.run(
        [script, "audit", "list", "audit.db", "--patient", "P2", "--kind", "retrieved"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.split("\t")[2:] == [
        "retrieved", "dave (Dave Dunn)", "WS_1@127.0.0.1",
        "C-GET: 2 instances, patient P2 Roe^Richard, study 1.2.3.2\n",
    ]  # fmt: skip
