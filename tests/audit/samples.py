"""Records of every kind and of every identity type, the same in each run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from useridentity.audit.record import (
    Acceptor,
    Anchor,
    EndedBy,
    Kind,
    Operation,
    Outcome,
    Record,
    Requestor,
    SopClass,
    Study,
    Traffic,
    User,
)

TIME = datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)
ASSOCIATION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
CT, MR, FIND, MOVE, MPPS, UPS, COMMITMENT, FILM_BOX = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.2.2.1",
    "1.2.840.10008.5.1.4.1.2.2.2",
    "1.2.840.10008.3.1.2.3.3",
    "1.2.840.10008.5.1.4.34.6.1",
    "1.2.840.10008.1.20.1",
    "1.2.840.10008.5.1.1.2",
)
EXPLICIT = "1.2.840.10008.1.2.1"

USERNAME = User(1, "alice", "workstations:alice", "alice", "", "workstations", "asserted", "person")
PASSCODE = User(
    2, "alice", "staff:alice", "alice", "Alice Archer", "staff", "authenticated", "person", ("radiology", "teaching")
)
KERBEROS = User(3, "", "alice@EXAMPLE.ORG", "alice", "", "EXAMPLE.ORG", "authenticated", "person", ("radiology",))
SAML = User(
    4,
    "",
    "https://idp.example.org/saml#alice",
    "alice",
    "Alice Archer",
    "https://idp.example.org/saml",
    "authenticated",
    "person",
    ("radiology",),
    ("TREAT",),
    credential_form="assertion",
    credential_id="_a75adf55-01d7-40cc-929f-dbd8372ebdfc",
    attributes={
        "alias": ("AA",),
        "role": ("radiologist",),
        "organization": ("St. Example",),
        "organization_id": ("urn:oid:1.2.3.4",),
        "npi": ("1234567890",),
        "provider_identifier": ("P-77",),
        "home_community_id": ("urn:oid:1.2.3",),
        "consent_document_id": ("urn:uuid:a4b1d27e-5493-11ec-bf63-0242ac130002",),
        "consent_policy": ("urn:oid:1.2.3.9",),
        "patient_id": ("PID1^^^&1.2.3&ISO",),
        "assurance_level": ("urn:oasis:names:tc:SAML:2.0:ac:classes:X509",),
    },
)
JWT = User(
    5,
    "",
    "https://idp.example.org#248289761001",
    "248289761001",
    "Alice Archer",
    "https://idp.example.org",
    "authenticated",
    "person",
    ("radiology",),
    ("TREAT",),
    actor="https://idp.example.org#viewer",
    credential_form="jti",
    credential_id="05b2eba6-2f6e-4fb7-9e63-7a4a07a5e9ab",
    attributes={"alias": ("dicom:ARCHIVE",), "client_id": ("viewer",), "organization": ("St. Example",)},
)
OPAQUE = replace(JWT, credential_form="opaque", credential_id="Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4", attributes={})
NODE = User(None, "CN=CT_1,O=Radiology", "node:CT_1", "CT_1", "", "node", "authenticated", "node")
NOBODY = User(None)

USERS = {
    "username": USERNAME,
    "passcode": PASSCODE,
    "kerberos": KERBEROS,
    "saml": SAML,
    "jwt": JWT,
    "opaque": OPAQUE,
    "node": NODE,
    "nobody": NOBODY,
}

REQUESTOR = Requestor("WS_1", "10.20.0.7", 50123, "mutual", "CN=ws1.example.org,O=Radiology")
ACCEPTOR = Acceptor("ARCHIVE", "pacs.example.org", "10.0.0.5", 2762, 4711)
STUDY = Study(
    "1.2.826.0.1.3680043.8.498.1",
    "PID1",
    "Doe^Jane",
    ("ACC1",),
    (SopClass(CT, 2, ("1.2.826.0.1.3680043.8.498.11", "1.2.826.0.1.3680043.8.498.12")), SopClass(MR, 1)),
)
OTHER_STUDY = Study("1.2.826.0.1.3680043.8.498.2", "PID2", "Roe^Richard", (), (SopClass(CT, 5),))
NAMED = replace(STUDY, sop_classes=())  # by a request that carries no instances
STEP = SopClass(MPPS, 1, ("1.2.826.0.1.3680043.8.498.21",))
STEPPED = replace(STUDY, sop_classes=(STEP,))  # by an N-CREATE of a procedure step, which names its study
ASKED = Study(patient_id="PID1")  # by IDENTIFIER
IDENTIFIER = bytes.fromhex("08005200435308005354554459200000") + b"\x10\x00\x20\x00LO\x04\x00PID1"

_STORE = Operation("C-STORE", CT, 1, 0)
_FIND = Operation("C-FIND", FIND, 2, 0, transfer_syntax=EXPLICIT, identifier=IDENTIFIER, matches=3)
_MOVE = Operation("C-MOVE", MOVE, 3, 0, "WS_2", "10.20.0.8", EXPLICIT, IDENTIFIER)
_GET = Operation("C-GET", MOVE, 4, 0, transfer_syntax=EXPLICIT, identifier=IDENTIFIER)
_CREATE = Operation("N-CREATE", MPPS, 5, 0)
_SET = Operation("N-SET", MPPS, 6, 0)


def begun(operation: Operation) -> Operation:
    """As it is while nothing has come of it."""
    return replace(operation, status=None, matches=0, destination_address="")


def one(sop_class: str) -> Study:
    """An instance of which nothing but its UID is known."""
    return Study(sop_classes=(SopClass(sop_class, 1, ("1.2.826.0.1.3680043.8.498.31",)),))


def record(kind: Kind, number: int, user: User = PASSCODE, **details: object) -> Record:
    """A record on the association of `user`, its event id made of `number`."""
    made = Record(
        kind,
        time=TIME,
        event_id=f"00000000-0000-4000-8000-{number:012d}",
        association=ASSOCIATION,
        user=user,
        requestor=REQUESTOR,
        acceptor=ACCEPTOR,
    )
    return replace(made, **details)  # type: ignore[arg-type]


def own(kind: Kind, number: int, **details: object) -> Record:
    """A record of the acceptor's own, of no association."""
    return replace(record(kind, number, User()), association="", requestor=Requestor(), **details)  # type: ignore[arg-type]


def corpus(user: User = PASSCODE) -> dict[str, Record]:
    """A record of every kind, and of every turn that its message can take, by name."""
    refused, failed = {"outcome": Outcome.REFUSED}, {"outcome": Outcome.FAILED}
    claimed = User(user.identity_type, user.presented)
    traffic = Traffic(EndedBy.REQUESTOR, 12.5, 4, 3, 4096, 512)
    by_acceptor, lost = replace(traffic, ended_by=EndedBy.ACCEPTOR), replace(traffic, ended_by=EndedBy.CONNECTION)
    emergency = replace(user, emergency="cardiac arrest in bay 3")
    refused_move = replace(_MOVE, status=0x0124)
    return {
        "application-started": own(Kind.APPLICATION_STARTED, 1),
        "application-stopped": own(Kind.APPLICATION_STOPPED, 2),
        "policy-reloaded": own(Kind.POLICY_RELOADED, 3, detail="identity.toml"),
        "policy-not-reloaded": own(Kind.POLICY_RELOADED, 4, detail="identity.toml:3: unknown key", **failed),
        "accepted": record(Kind.ACCEPTED, 5, user, rule="people", grant="radiologists", validator="idp"),
        "accepted-emergency": record(Kind.ACCEPTED, 6, emergency, rule="people", grant="emergency", validator="idp"),
        "rejected": record(Kind.REJECTED, 7, claimed, reason="credential-invalid", rule="people", **refused),
        "rejected-penalty": record(Kind.REJECTED, 8, claimed, reason="penalty", **refused),
        "rejected-unavailable": record(Kind.REJECTED, 9, claimed, reason="validator-unavailable", **failed),
        "rejected-not-authorised": record(Kind.REJECTED, 10, user, reason="not-authorised", **refused),
        "suppressed": record(Kind.SUPPRESSED, 11, User(), reason="credential-invalid", count=420, **refused),
        "established": record(Kind.ESTABLISHED, 12, user),
        "released-emergency": record(Kind.RELEASED, 34, emergency, traffic=traffic),
        "released": record(Kind.RELEASED, 13, user, traffic=traffic),
        "aborted": record(Kind.ABORTED, 14, user, traffic=by_acceptor, detail="the identity expired"),
        "lost": record(Kind.ABORTED, 15, user, traffic=lost, **failed),
        "begun-store": record(Kind.BEGUN, 16, user, operation=begun(_STORE), studies=(NAMED,)),
        "begun-find": record(Kind.BEGUN, 17, user, operation=begun(_FIND), studies=(ASKED,)),
        "begun-move": record(Kind.BEGUN, 18, user, operation=begun(_MOVE), studies=(ASKED,)),
        "begun-get": record(Kind.BEGUN, 19, user, operation=begun(_GET), studies=(ASKED,)),
        "stored": record(Kind.STORED, 20, user, operation=_STORE, studies=(STUDY,)),
        "stored-failed": record(Kind.STORED, 21, user, operation=_STORE, studies=(Study(),), **failed),
        "queried": record(Kind.QUERIED, 22, user, operation=_FIND, studies=(ASKED,)),
        "queried-truncated": record(Kind.QUERIED, 23, user, operation=replace(_FIND, truncated=True), studies=(ASKED,)),
        "moved": record(Kind.RETRIEVED, 24, user, operation=_MOVE, studies=(STUDY, OTHER_STUDY)),
        "moved-to-itself": record(
            Kind.RETRIEVED, 25, user, operation=replace(_MOVE, destination="WS_1"), studies=(STUDY,)
        ),
        "got": record(Kind.RETRIEVED, 26, user, operation=_GET, studies=(STUDY,)),
        "performed": record(Kind.PERFORMED, 27, user, operation=_CREATE, studies=(STEPPED,)),
        "performed-elsewhere": record(Kind.PERFORMED, 28, user, operation=_SET, studies=(Study(sop_classes=(STEP,)),)),
        "worked": record(Kind.PERFORMED, 35, user, operation=Operation("N-ACTION", UPS, 7, 0), studies=(one(UPS),)),
        "committed": record(
            Kind.PERFORMED, 36, user, operation=Operation("N-ACTION", COMMITMENT, 8, 0), studies=(one(CT),)
        ),
        "printed": record(
            Kind.PERFORMED, 37, user, operation=Operation("N-ACTION", FILM_BOX, 9, 0), studies=(one(FILM_BOX),)
        ),
        "refused": record(
            Kind.REFUSED, 29, user, operation=refused_move, studies=(ASKED,), detail="no such destination", **refused
        ),
        "alert": record(Kind.ALERT, 30, user, detail="a command set that two readers read differently", **refused),
        "recording-resumed": own(Kind.RECORDING_RESUMED, 31, detail="disk full", count=3, **failed),
        "retired": own(Kind.RETIRED, 32, anchor=Anchor("j1", 500, "00" * 32), count=500),
        "anchor": own(Kind.ANCHOR, 33, anchor=Anchor("j1", 1000, "ab" * 32)),
    }
