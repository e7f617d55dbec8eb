"""What the audit trail says of one event: plain values, never a credential, the same whoever reads them.

Every event is one `Record`; its `kind` says which of the other fields are filled. Strings that came from a
peer are kept as they came, without lone surrogates and bounded: whoever shows them escapes them for the place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from uuid import uuid4

from useridentity.audit.plain import plain, restored

MAX_TEXT = 1024
"""Characters of any peer-supplied string that are kept: more than any attribute of DICOM but free text."""

MAX_IDENTIFIER = 16 * 1024
"""Bytes of a query's identifier that are kept; a syslog message carries 32 KiB of them in base64 (PS3.15 A.6)."""


class Kind(Enum):
    """What happened. Kinds of one association share its correlation id in `Record.association`."""

    APPLICATION_STARTED = "application-started"
    APPLICATION_STOPPED = "application-stopped"
    POLICY_RELOADED = "policy-reloaded"
    """A new policy holds for associations from here on; a failed one has outcome FAILED. With `association`: what
    it meant for one that was running, which went on under `rule` and `grant`, or was REFUSED for `reason`."""

    ACCEPTED = "accepted"
    """The decision about an association; written before the peer is told."""
    REJECTED = "rejected"
    SUPPRESSED = "suppressed"
    """`count` further rejections from one source for one `reason`, not recorded each: its quota was used up."""
    ESTABLISHED = "established"
    """The A-ASSOCIATE-AC was sent."""
    RELEASED = "released"
    ABORTED = "aborted"
    """`traffic.ended_by` says by whom."""

    BEGUN = "begun"
    """A request was let through, and is served once this is written: each C-FIND, C-MOVE, C-GET and N-service,
    and for C-STORE the first of each study on an association. `operation.request` says which."""
    STORED = "stored"
    """Instances that the requestor stored with C-STORE: of one study, on one association, of one outcome."""
    QUERIED = "queried"
    """A C-FIND was answered, worklist and UPS queries included; how is in `operation`."""
    RETRIEVED = "retrieved"
    """Instances that one C-MOVE or C-GET sent, of one outcome; `operation.destination` says to whom."""
    PERFORMED = "performed"
    """Another request was answered: MPPS, storage commitment, print, UPS. `operation.request` names it."""
    REFUSED = "refused"
    """A request that the user of the association may not make; `reason` or `detail` says why."""

    ALERT = "alert"
    """Something that threatens security and is none of the above; `detail` describes it."""
    RECORDING_RESUMED = "recording-resumed"
    """The journal could not be written for a while: `count` records were lost, `detail` says since when and why."""
    RETIRED = "retired"
    """A part of the journal was old enough to be removed; `anchor` says up to where, `count` how many records."""
    ANCHOR = "anchor"
    """The head of the journal's chain, sent to the sinks so that cutting the journal off shows."""


class Outcome(Enum):
    """How it ended (PS3.15 Table A.5.2-1 gives each an EventOutcomeIndicator)."""

    SUCCESS = "success"
    REFUSED = "refused"
    """Not allowed, or not proved."""
    FAILED = "failed"
    """Nothing was found wrong with the user; it could not be done."""


class EndedBy(Enum):
    """Who ended an association."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"
    CONNECTION = "connection"
    """Nobody: the connection was lost."""


@dataclass(frozen=True, slots=True)
class User:
    """Who the association requestor said it was, and apart from that who was proved.

    Fields:
        identity_type: of the 58H sub-item (PS3.7 Table D.3-14), None where none was sent.
        presented: the name that was claimed; empty where the primary field is itself the secret.
        subject, user_id, display_name, issuer, kind, groups: as in `useridentity.Identity`; empty unless proved.
        assurance: an `Assurance`'s value, empty where nobody was accepted.
        purposes: codes of purpose of use (SAML XUA, IHE IUA).
        emergency: the reason given for breaking the glass; empty for everybody else.
        actor: the subject that acts for this user (RFC 8693 4.1).
        credential_form: which id follows: "jti", "assertion", "opaque", or empty where there is none.
        credential_id: a token's `jti`, an assertion's ID, an opaque token's last 32 characters.
        attributes: what else the audit formats have a place for, of `ATTRIBUTES` only.
    """

    identity_type: int | None = None
    presented: str = ""
    subject: str = ""
    user_id: str = ""
    display_name: str = ""
    issuer: str = ""
    assurance: str = ""
    kind: str = ""
    groups: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    emergency: str = ""
    actor: str = ""
    credential_form: str = ""
    credential_id: str = ""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)


ATTRIBUTES = (
    "alias", "client_id", "role", "organization", "organization_id", "npi", "provider_identifier",
    "home_community_id", "consent_document_id", "consent_policy", "patient_id", "assurance_level",
)  # fmt: skip
"""Keys of `User.attributes`. `alias` is IHE's: a token's `aud`, an assertion's SPProvidedID (ITI-40 3.40.4.2)."""


@dataclass(frozen=True, slots=True)
class Requestor:
    """The association requestor as a machine. `certificate` is its verified TLS certificate's subject (RFC 4514)."""

    ae_title: str = ""
    address: str = ""
    port: int = 0
    tls: str = ""
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Acceptor:
    """The association acceptor: this machine, its process id, and the AE title that was called."""

    ae_title: str = ""
    host: str = ""
    address: str = ""
    port: int = 0
    process: int = 0


@dataclass(frozen=True, slots=True)
class SopClass:
    """Instances of one SOP class: how many, and of them the UIDs that were kept."""

    uid: str
    number: int = 0
    instances: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """What of one study was touched. Any of its attributes may be empty: the data set said nothing of it."""

    study_instance_uid: str = ""
    patient_id: str = ""
    patient_name: str = ""
    accession_numbers: tuple[str, ...] = ()
    sop_classes: tuple[SopClass, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """A DIMSE request and its end.

    Fields:
        request: "C-STORE", "C-FIND", "N-ACTION" and so on (PS3.7 Table 9.3-1, 10.3-1).
        sop_class: the Affected or Requested SOP Class UID.
        message_id: of the first request, 0 where it is unknown.
        status: of the final response, None where there was none.
        destination: AE title of the move destination; for C-GET and C-FIND empty, being the requestor.
        destination_address: where the sub-operations' association went.
        transfer_syntax: of `identifier`.
        identifier: the query's or retrieve's data set, of at most MAX_IDENTIFIER bytes.
        truncated: whether there was more of it.
        matches: answers to a query.
    """

    request: str
    sop_class: str = ""
    message_id: int = 0
    status: int | None = None
    destination: str = ""
    destination_address: str = ""
    transfer_syntax: str = ""
    identifier: bytes = b""
    truncated: bool = False
    matches: int = 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """How long an association was and how much it carried; `octets_*` are those of PDUs received and sent."""

    ended_by: EndedBy
    seconds: float = 0.0
    operations: int = 0
    instances: int = 0
    octets_received: int = 0
    octets_sent: int = 0


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head of the chain: `head` is the hexadecimal MAC of the record with this sequence number."""

    journal: str
    sequence: int
    head: str


@dataclass(frozen=True, slots=True)
class Record:
    """One event.

    Fields:
        kind, outcome: what happened and how it ended.
        time: when, aware, UTC.
        event_id: a UUID; who receives a record twice knows it by this.
        association: the correlation id of the association, empty for what belongs to none.
        reason: a `Reason`'s word where something was refused for one; empty otherwise.
        detail: more words, for people; never for the peer.
        rule, grant, validator: the names of the policy's parts that decided.
        user, requestor, acceptor: who asked, from where, and whom.
        operation, studies, traffic, anchor: as the kind demands.
        count: of what SUPPRESSED and RECORDING_RESUMED stand for.
    """

    kind: Kind
    outcome: Outcome = Outcome.SUCCESS
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    event_id: str = field(default_factory=lambda: str(uuid4()))
    association: str = ""
    reason: str = ""
    detail: str = ""
    rule: str = ""
    grant: str = ""
    validator: str = ""
    user: User = User()
    requestor: Requestor = Requestor()
    acceptor: Acceptor = Acceptor()
    operation: Operation | None = None
    studies: tuple[Study, ...] = ()
    traffic: Traffic | None = None
    anchor: Anchor | None = None
    count: int = 0

    def to_json(self) -> str:
        """One line of ASCII; fields without a value of their own are left out."""
        return _ENCODER.encode(plain(self))

    @classmethod
    def from_json(cls, line: str) -> Record:
        """The record that `to_json` wrote; raises `ValueError` for anything else."""
        try:
            return restored(cls, json.loads(line))
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"no audit record: {type(error).__name__}: {error}") from None


_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


def text(value: object) -> str:
    """A peer-supplied string as a record keeps it: bounded, and without what no encoding carries."""
    kept = str(value)
    if not kept.isascii():
        kept = kept.encode("utf-8", "backslashreplace").decode("utf-8")
    return kept if len(kept) <= MAX_TEXT else kept[: MAX_TEXT - 1] + "…"
