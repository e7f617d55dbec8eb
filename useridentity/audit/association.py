"""The records of one association, from the decision about it to its end; whatever adapter feeds them."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from useridentity.audit.here import host
from useridentity.audit.record import (
    Acceptor,
    EndedBy,
    Kind,
    Operation,
    Outcome,
    Record,
    Requestor,
    Study,
    Traffic,
    User,
    text,
)
from useridentity.audit.trail import Trail
from useridentity.audit.transfers import Instance, Part, Transfers, grouped, instances_of, study_of
from useridentity.audit.who import user_of
from useridentity.credential import Credential
from useridentity.decision import Accepted, Decision, Reason, Rejected
from useridentity.errors import Unavailable
from useridentity.facts import Facts

FAILURES = range(0xA000, 0xD000)
"""Statuses of failure of the DIMSE-C services (PS3.7 Annex C); those of warning are 0001H, 01xx, 02xx and Bxxx."""

MAX_CREATED = 64
"""Instances whose N-CREATE is remembered for the requests that follow; a modality has one procedure step at a time."""


def new_id() -> str:
    """A correlation id: by its time, so that ids that are near in time are near in the index, and random."""
    return f"{int(time.time() * 1000):011x}-{secrets.token_hex(5)}"


def application_entity(ae_title: str, address: str, port: int) -> Acceptor:
    """This process as an acceptor."""
    return Acceptor(text(ae_title.strip()), host(), address, port, os.getpid())


def outcome_of(status: int | None) -> Outcome:
    """What a response's status means: success, warning and cancel are no failure (PS3.7 Annex C)."""
    if status is None:
        return Outcome.FAILED
    if status == 0x0124:
        return Outcome.REFUSED
    is_failure = status in FAILURES and not 0xB000 <= status < 0xC000
    is_general = 0x0100 <= status < 0x0300 and status not in (0x0107, 0x0116)
    return Outcome.FAILED if is_failure or is_general else Outcome.SUCCESS


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of an association."""

    requestor: Requestor
    acceptor: Acceptor

    @classmethod
    def of(cls, facts: Facts, address: str, port: int, certificate: str = "") -> Ends:
        """`address` and `port` are the acceptor's own, `certificate` the subject of the requestor's."""
        return cls(
            Requestor(text(facts.calling_ae_title), str(facts.address), facts.port, facts.tls.value, text(certificate)),
            application_entity(facts.called_ae_title, address, port),
        )


class AssociationTrail:
    """What is recorded of one association. For the thread that serves it."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._base = Record(Kind.ALERT, association=new_id())
        self._began = time.monotonic()
        self._stored = Transfers()
        self._created: dict[str, list[Instance]] = {}
        self._operations = 0
        self._sent = 0
        self._is_open = False

    @property
    def id(self) -> str:
        """The correlation id of the association."""
        return self._base.association

    def decided(self, decision: Decision, credential: Credential | None, ends: Ends) -> Decision:
        """Record the decision, before it is told; the decision that may be told."""
        self._base = replace(self._base, requestor=ends.requestor, acceptor=ends.acceptor)
        if isinstance(decision, Rejected):
            self._reject(decision, user_of(credential, decision.identity))
            return decision
        self._accept(decision, credential)
        try:
            self._trail.must(self._record(Kind.ACCEPTED, detail=_details(decision)))
        except Unavailable as unavailable:
            rejected = Rejected(Reason.AUDIT_UNAVAILABLE, unavailable.detail, decision.rule, decision.validator)
            self._reject(rejected, self._base.user)
            return rejected
        self._trail.hold()
        self._is_open = True
        return decision

    def reconsidered(self, decision: Decision) -> None:
        """Record what a reload made of the association; what follows is recorded under what it goes on under.

        Nothing of one whose decision is not on disk yet: that comes first.
        """
        if not self._is_open:
            return
        if isinstance(decision, Rejected):
            reason, detail = decision.reason.word, text(decision.detail)
            self._trail.note(self._record(Kind.POLICY_RELOADED, Outcome.REFUSED, reason=reason, detail=detail))
            return
        before = self._base.user
        self._accept(decision, None)
        user = replace(
            self._base.user,
            identity_type=before.identity_type,
            presented=before.presented,
            credential_form=before.credential_form,
            credential_id=before.credential_id,
        )
        self._base = replace(self._base, user=user)
        self._trail.note(self._record(Kind.POLICY_RELOADED, detail=_details(decision)))

    def _accept(self, accepted: Accepted, credential: Credential | None) -> None:
        self._base = replace(
            self._base,
            rule=accepted.rule,
            grant=accepted.grant,
            validator=accepted.validator,
            user=user_of(credential, accepted.identity, accepted.permission.emergency),
        )

    def _reject(self, rejected: Rejected, user: User) -> None:
        is_refused = rejected.answer.result == 1 or rejected.reason is Reason.PENALTY
        outcome = Outcome.REFUSED if is_refused else Outcome.FAILED
        record = self._record(Kind.REJECTED, outcome, reason=rejected.reason.word, detail=text(rejected.detail))
        self._trail.note(replace(record, rule=rejected.rule, validator=rejected.validator, user=user))

    def established(self) -> None:
        """The A-ASSOCIATE-AC was sent."""
        self._trail.note(self._record(Kind.ESTABLISHED))

    def ended(
        self, by: EndedBy, *, released: bool, detail: str = "", octets_received: int = 0, octets_sent: int = 0
    ) -> None:
        """The association is over, if it ever was: what is left is recorded, how much it carried, and `detail`, why."""
        if not self._is_open:
            return
        self._is_open = False
        self._tell(Kind.STORED, Operation("C-STORE"), self._stored.rest())
        traffic = Traffic(
            by,
            round(time.monotonic() - self._began, 3),
            self._operations,
            self._stored.number + self._sent,
            octets_received,
            octets_sent,
        )
        kind = Kind.RELEASED if released else Kind.ABORTED
        outcome = Outcome.FAILED if by is EndedBy.CONNECTION else Outcome.SUCCESS
        self._trail.note(self._record(kind, outcome, detail=detail, traffic=traffic))
        self._trail.let_go()

    # Operations.

    def begins(self, operation: Operation, studies: tuple[Study, ...] = ()) -> None:
        """A request is to be served. Raises `Unavailable` where it may not be, for want of a record."""
        self._operations += 1
        self._trail.must(self._record(Kind.BEGUN, operation=operation, studies=studies))

    def begins_store(self, operation: Operation, instance: Instance) -> None:
        """As `begins`, for C-STORE: the first of a study is recorded, the others need a journal that works."""
        if self._stored.has_begun(instance):
            self._operations += 1
            self._trail.ready()
        else:
            self.begins(operation, (replace(study_of([instance]), sop_classes=()),))
            self._stored.begin(instance)  # not before: where that could not be recorded, the next instance has to be

    def stored(self, operation: Operation, instance: Instance) -> None:
        """An instance was stored, or was not, as the operation's status says."""
        self._tell(Kind.STORED, operation, self._stored.add(instance, outcome_of(operation.status)))

    def queried(self, operation: Operation, asked: tuple[Study, ...] = ()) -> None:
        """A C-FIND was answered; `asked` is what its identifier names outright."""
        self._over(Kind.QUERIED, operation, asked)

    def retrieved(self, operation: Operation, sent: Transfers, asked: tuple[Study, ...] = ()) -> None:
        """A C-MOVE or C-GET is over; `sent` are the instances of its sub-operations.

        What none of them tells is told for itself: that there were none, or that the whole ended worse than each.
        """
        self._sent += sent.number
        rest = list(sent.rest())
        self._tell(Kind.RETRIEVED, operation, rest)
        outcome = outcome_of(operation.status)
        if not sent.number or outcome not in {Outcome.SUCCESS, *(part.outcome for part in rest)}:
            self._over(Kind.RETRIEVED, operation, asked)

    def sends(self, operation: Operation, sent: Transfers, instance: Instance, outcome: Outcome) -> None:
        """An instance was sent by a C-MOVE or C-GET, or could not be."""
        self._tell(Kind.RETRIEVED, operation, sent.add(instance, outcome))

    def performed(self, operation: Operation, studies: tuple[Study, ...] = ()) -> None:
        """Another request was answered; `studies` are those that its data set names."""
        if operation.request == "N-CREATE" and outcome_of(operation.status) is Outcome.SUCCESS:
            self._remember(studies)
        self._over(Kind.PERFORMED, operation, studies)

    def about(self, studies: tuple[Study, ...]) -> tuple[Study, ...]:
        """What a request is about: `studies`, or, where these are instances alone, the studies and patients that they
        were created for on this association, or stored with."""
        named = [each for study in studies if not _is_known(study) for each in instances_of(study)]
        if not named:
            return studies
        known = {each.sop_instance: [each] for each in self._stored.pending()} | self._created
        found = grouped(more for each in named for more in known.get(each.sop_instance, [each]))
        return (*filter(_is_known, studies), *found)

    def _remember(self, studies: tuple[Study, ...]) -> None:
        created: dict[str, list[Instance]] = {}
        for each in (each for study in studies if _is_known(study) for each in instances_of(study)):
            created.setdefault(each.sop_instance, []).append(each)
        self._created |= created
        for uid in tuple(self._created)[:-MAX_CREATED]:
            del self._created[uid]

    def refused(
        self,
        operation: Operation,
        detail: str,
        reason: Reason = Reason.NOT_AUTHORISED,
        studies: tuple[Study, ...] = (),
    ) -> None:
        """A request was not served; `studies` are those that it was after."""
        outcome = Outcome.FAILED if reason is Reason.AUDIT_UNAVAILABLE else Outcome.REFUSED
        refused = self._record(Kind.REFUSED, outcome, operation=operation, studies=studies, reason=reason.word)
        self._trail.note(replace(refused, detail=text(detail)))

    def _over(self, kind: Kind, operation: Operation, studies: tuple[Study, ...] = ()) -> None:
        self._trail.note(self._record(kind, outcome_of(operation.status), operation=operation, studies=studies))

    def _tell(self, kind: Kind, operation: Operation, found: Iterable[Part]) -> None:
        for part in found:
            told = self._record(kind, part.outcome, operation=operation, studies=(part.study,))
            self._trail.note(replace(told, time=part.time))

    def _record(
        self,
        kind: Kind,
        outcome: Outcome = Outcome.SUCCESS,
        *,
        operation: Operation | None = None,
        studies: tuple[Study, ...] = (),
        traffic: Traffic | None = None,
        reason: str = "",
        detail: str = "",
    ) -> Record:
        base = self._base
        return Record(
            kind,
            outcome,
            association=base.association,
            reason=reason,
            detail=detail,
            rule=base.rule,
            grant=base.grant,
            validator=base.validator,
            user=base.user,
            requestor=base.requestor,
            acceptor=base.acceptor,
            operation=operation,
            studies=studies,
            traffic=traffic,
        )


def _is_known(study: Study) -> bool:
    """Whether it has more to tell than instances."""
    return bool(study.study_instance_uid or study.patient_id or study.patient_name or study.accession_numbers)


def _details(accepted: Accepted) -> str:
    """What an acceptance has to say beside its fields."""
    parts = []
    if accepted.node is not None:
        parts.append(f"from {accepted.node.subject}")
    if accepted.waived is not None:
        parts.append(f"without unproved: {accepted.waived.reason.word} {accepted.waived.detail}")
    return text("; ".join(parts))
