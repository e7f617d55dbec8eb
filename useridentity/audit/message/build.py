"""Which messages of PS3.15 A.5.3 say what a record says.

Each kind of record has one sort of message, but a record of several patients gives one message for each
(ITI-20 3.20.7.1), and an emergency is an alert of its own beside the login. Whatever has no table of its own in
A.5.3 is a Security Alert, whose outcome 0 "implies an informative alert" (Table A.5.3.11-1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from useridentity.audit import codes
from useridentity.audit.codes import Code
from useridentity.audit.describe import about_operation, about_traffic
from useridentity.audit.message.model import AuditMessage, EventOutcome, Participant, ParticipantObject
from useridentity.audit.message.objects import alert_subjects, by_patient, patient_object, query_object, study_object
from useridentity.audit.message.participants import (
    acceptor_process,
    access_point,
    destination_process,
    requestor_process,
    user_participant,
)
from useridentity.audit.message.size import in_parts
from useridentity.audit.message.style import MessageStyle
from useridentity.audit.record import EndedBy, Kind, Outcome, Record
from useridentity.decision import Reason

Told = tuple[tuple[str, str], ...]
Builder = Callable[[Record, MessageStyle], list[AuditMessage]]

_WRONG_CREDENTIAL = {
    each.word for each in (Reason.CREDENTIAL_INVALID, Reason.CREDENTIAL_EXPIRED, Reason.REPLAYED, Reason.ISSUER_UNKNOWN)
}

_SEPARATORS = re.compile('[,;"]|: ')
"""What stands between the words of a description."""

_PROCEDURE_STEPS = ("1.2.840.10008.3.1.2.3.", "1.2.840.10008.5.1.4.34.6.")
"""SOP classes of procedure steps, performed and unified: whoever changes one "manipulates procedure records, e.g.,
with the MPPS update" (A.5.3.15, Note 1)."""

_ACTIONS = {"N-CREATE": "C", "N-SET": "U", "N-DELETE": "D"}
"""EventActionCode of a request that manipulates instances. Any other reads them: printing is "R" too (Table A.5.2-1);
only the N-ACTION of a unified procedure step changes what it is about."""


def messages(record: Record, style: MessageStyle) -> tuple[AuditMessage, ...]:
    """The messages to be sent for `record`, one at least; each names the record's event id."""
    made = [part for each in _BUILDERS[record.kind](record, style) for part in in_parts(each)]
    return tuple(replace(each, part=number, parts=len(made)) for number, each in enumerate(made, 1))


def _message(
    record: Record,
    style: MessageStyle,
    event: Code,
    participants: Iterable[Participant | None],
    *,
    action: str = "E",
    types: tuple[Code, ...] = (),
    objects: Iterable[ParticipantObject] = (),
    told: Told = (),
) -> AuditMessage:
    purposes = style.purpose_codes(record.user.purposes) if style.purpose_of_use == "ihe" else []
    return AuditMessage(
        record=record.event_id,
        event=event,
        action=action,
        time=record.time,
        outcome=_outcome(record, event),
        source=style.source,
        participants=tuple(each for each in participants if each is not None),
        types=types,
        description=_description(record, told),
        purposes=tuple(purposes),
        objects=tuple(objects),
        association=record.association,
    )


def _outcome(record: Record, event: Code) -> EventOutcome:
    """Table A.5.2-1: minor is "invalid password with first retry", the peer may associate again; serious "with excess
    retries", and whatever else ended what was asked for; major an account "disabled due to excessive invalid log-on
    attempts". Of an alert major says that security may have been compromised (Table A.5.3.11-1)."""
    if record.outcome is Outcome.SUCCESS:
        return EventOutcome.SUCCESS
    if record.kind is Kind.RECORDING_RESUMED:
        return EventOutcome.MAJOR_FAILURE  # what the lost records would have said, nobody will know
    if record.reason == Reason.PENALTY.word and event is codes.USER_AUTHENTICATION:
        return EventOutcome.MAJOR_FAILURE
    is_wrong = record.kind is Kind.REJECTED and record.reason in _WRONG_CREDENTIAL
    is_lost = record.traffic is not None
    return EventOutcome.MINOR_FAILURE if is_wrong or is_lost else EventOutcome.SERIOUS_FAILURE


def _description(record: Record, told: Told = ()) -> str:
    """What happened, in words: the kind of record, the parts of the policy that decided, the reason and details."""
    operation, traffic = record.operation, record.traffic
    if operation:
        operation = replace(operation, destination=_quoted(operation.destination))
    named = (
        ("SOP class", operation.sop_class if operation and operation.request.startswith("N-") else ""),
        ("rule", record.rule),
        ("grant", record.grant),
        ("by", record.validator),
        ("reason", record.reason),
    )
    done = about_operation(operation) if operation else about_traffic(traffic) if traffic else ""
    words = [f"{record.kind.value} {done}".strip(), *(f"{name} {value}" for name, value in named if value)]
    if record.kind is Kind.ACCEPTED and record.user.assurance:
        words.append(record.user.assurance)
    words += [f"{name} {value}" for name, value in told if value]
    if record.count:
        words.append(f"{record.count} records")
    return ", ".join(words) + (f": {record.detail}" if record.detail else "")


def _origin(record: Record) -> Told:
    """What the table of a login has no participant for: the machine, who acts for the user, and a name that was
    claimed where another was proved."""
    user, requestor = record.user, record.requestor
    claimed = user.presented if user.subject and user.presented != user.user_id else ""
    words = (
        ("presented", claimed),
        ("actor", user.actor),
        ("from", requestor.ae_title),
        ("TLS peer", requestor.certificate),
    )
    return tuple((name, _quoted(value)) for name, value in words)


def _quoted(value: str) -> str:
    """A peer's word as one word of the description: not to be taken for several of ours."""
    return '"' + value.replace('"', "\\x22") + '"' if _SEPARATORS.search(value) else value


def _application(record: Record, style: MessageStyle) -> list[AuditMessage]:
    kind = codes.APPLICATION_START if record.kind is Kind.APPLICATION_STARTED else codes.APPLICATION_STOP
    process = acceptor_process(record.acceptor, codes.APPLICATION)
    return [_message(record, style, codes.APPLICATION_ACTIVITY, [process], types=(kind,))]


def _decided(record: Record, style: MessageStyle) -> list[AuditMessage]:
    """Login where a user identity was sent; where none was, the node is all there is to authenticate."""
    if record.reason == Reason.NOT_AUTHORISED.word:
        return [_alert(record, style, codes.AUTHORIZATION_DECISION)]
    if record.user.identity_type is None:
        made = [_alert(record, style, codes.NODE_AUTHENTICATION)]
    else:
        made = [_authentication(record, style, codes.LOGIN)]
    return made + _emergency(record, style, codes.EMERGENCY_OVERRIDE_STARTED)


def _ended(record: Record, style: MessageStyle) -> list[AuditMessage]:
    if record.user.identity_type is None:
        made = [_alert(record, style, codes.SESSION_STOP)]
    else:
        made = [_authentication(record, style, codes.LOGOUT)]
    return made + _emergency(record, style, codes.EMERGENCY_OVERRIDE_STOPPED)


def _emergency(record: Record, style: MessageStyle, kind: Code) -> list[AuditMessage]:
    """Breaking the glass is an alert of its own, with the reason that was given."""
    return [_alert(record, style, kind, record.user.emergency)] if record.user.emergency else []


def _authentication(record: Record, style: MessageStyle, kind: Code) -> AuditMessage:
    """Table A.5.3.12-1; the access point of the person is mandatory."""
    point = access_point(record.requestor.address or record.requestor.ae_title or record.acceptor.host or "localhost")
    by_node = record.traffic is not None and record.traffic.ended_by is EndedBy.ACCEPTOR
    node = replace(acceptor_process(record.acceptor), is_requestor=by_node)
    person = user_participant(record.user, style, point)
    asked = [replace(person, is_requestor=not by_node)] if person else []
    told = _origin(record)
    return _message(record, style, codes.USER_AUTHENTICATION, [*asked, node], types=(kind,), told=told)


def _alert(record: Record, style: MessageStyle, kind: Code, description: str = "") -> AuditMessage:
    """Table A.5.3.11-1; nobody who performed what is alerted is its requestor."""
    by_itself = not record.requestor.address and not record.requestor.ae_title
    reporting = replace(acceptor_process(record.acceptor), is_requestor=by_itself)
    performing = (
        []
        if by_itself
        else [
            requestor_process(record.requestor),
            user_participant(record.user, style),
            *_actor(record),
        ]
    )
    subjects = alert_subjects(record, description or _description(record))
    return _message(record, style, codes.SECURITY_ALERT, [reporting, *performing], types=(kind,), objects=subjects)


def _alerts(kind: Code) -> Builder:
    return lambda record, style: [_alert(record, style, kind)]


def _begun(record: Record, style: MessageStyle) -> list[AuditMessage]:
    """A request was let through: the beginning of a transfer (Table A.5.3.3-1), or else a decision to allow it."""
    request = record.operation.request if record.operation else ""
    if request == "C-STORE":
        return _per_patient(record, style, codes.BEGIN_TRANSFERRING, "E", _with_actor(record, style, _inward(record)))
    if request in ("C-MOVE", "C-GET"):
        return _per_patient(record, style, codes.BEGIN_TRANSFERRING, "E", _with_actor(record, style, _outward(record)))
    return [_alert(record, style, codes.ACCESS_CONTROL_DECISION)]


def _stored(record: Record, style: MessageStyle) -> list[AuditMessage]:
    """Table A.5.3.7-1; whether we held copies before is not known, hence action R."""
    who = _with_actor(record, style, _inward(record))
    return _per_patient(record, style, codes.INSTANCES_TRANSFERRED, "R", who)


def _retrieved(record: Record, style: MessageStyle) -> list[AuditMessage]:
    who = _with_actor(record, style, _outward(record))
    return _per_patient(record, style, codes.INSTANCES_TRANSFERRED, "R", who)


def _inward(record: Record) -> tuple[Participant, ...]:
    """The association requestor sends."""
    return _asking(record, codes.SOURCE), acceptor_process(record.acceptor, codes.DESTINATION)


def _outward(record: Record) -> tuple[Participant, ...]:
    """This process sends: to the requestor (C-GET), or to the move destination, which the requestor stands beside."""
    source, operation = acceptor_process(record.acceptor, codes.SOURCE), record.operation
    if operation is None or not operation.destination:
        return source, _asking(record, codes.DESTINATION)
    to = destination_process(operation.destination, operation.destination_address, codes.DESTINATION)
    return source, to, _asking(record)


def _performed(record: Record, style: MessageStyle) -> list[AuditMessage]:
    """Table A.5.3.15-1 for procedure steps and A.5.3.6-1 for other instances; both admit two participants and no
    third, which is told."""
    request, sop_class = (record.operation.request, record.operation.sop_class) if record.operation else ("", "")
    is_step = sop_class.startswith(_PROCEDURE_STEPS)
    event = codes.PROCEDURE_RECORD if is_step else codes.INSTANCES_ACCESSED
    action = "U" if is_step and request == "N-ACTION" else _ACTIONS.get(request, "R")
    told = (("actor", _quoted(record.user.actor)),)
    return _per_patient(record, style, event, action, _with_user(record, style, (_asking(record),)), told)


def _queried(record: Record, style: MessageStyle) -> list[AuditMessage]:
    """Table A.5.3.10-1."""
    objects = [query_object(record.operation)] if record.operation else []
    return [_message(record, style, codes.QUERY, _with_actor(record, style, _inward(record)), objects=objects)]


def _per_patient(
    record: Record, style: MessageStyle, event: Code, action: str, who: tuple[Participant, ...], told: Told = ()
) -> list[AuditMessage]:
    return [
        _message(
            record,
            style,
            event,
            who,
            action=action,
            objects=[*(study_object(each) for each in studies), patient_object(studies[0])],
            told=told,
        )
        for studies in by_patient(record.studies)
    ]


def _asking(record: Record, *roles: Code) -> Participant:
    return replace(requestor_process(record.requestor, *roles), is_requestor=True)


def _with_user(record: Record, style: MessageStyle, processes: tuple[Participant, ...]) -> tuple[Participant, ...]:
    """One of all is the requestor (Table A.5.2-1): the user where there is one, else the process that asked."""
    user = user_participant(record.user, style)
    if user is None:
        return processes
    return (*(replace(each, is_requestor=False) for each in processes), replace(user, is_requestor=True))


def _with_actor(record: Record, style: MessageStyle, processes: tuple[Participant, ...]) -> tuple[Participant, ...]:
    """Also who acted for the user, where the credential said so (RFC 8693 4.1) and the table has room."""
    return (*_with_user(record, style, processes), *_actor(record))


def _actor(record: Record) -> tuple[Participant, ...]:
    return (Participant(record.user.actor),) if record.user.actor.strip() else ()


_BUILDERS: Mapping[Kind, Builder] = {
    Kind.APPLICATION_STARTED: _application,
    Kind.APPLICATION_STOPPED: _application,
    Kind.POLICY_RELOADED: _alerts(codes.SECURITY_CONFIGURATION),
    Kind.ACCEPTED: _decided,
    Kind.REJECTED: _decided,
    Kind.SUPPRESSED: _alerts(codes.AUTHENTICATION_DECISION),
    Kind.ESTABLISHED: _alerts(codes.SESSION_START),
    Kind.RELEASED: _ended,
    Kind.ABORTED: _ended,
    Kind.BEGUN: _begun,
    Kind.STORED: _stored,
    Kind.QUERIED: _queried,
    Kind.RETRIEVED: _retrieved,
    Kind.PERFORMED: _performed,
    Kind.REFUSED: _alerts(codes.ACCESS_CONTROL_DECISION),
    Kind.ALERT: _alerts(codes.RESTRICTED_FUNCTION),
    Kind.RECORDING_RESUMED: _alerts(codes.AUDIT_RECORDING_STARTED),
    Kind.RETIRED: _alerts(codes.JOURNAL_RETIRED),
    Kind.ANCHOR: _alerts(codes.JOURNAL_ANCHOR),
}
