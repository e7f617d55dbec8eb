"""What an event was about: studies and their patient, a query, the subject of an alert (tables of PS3.15 A.5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address

from useridentity.audit.codes import NODE_ID, PATIENT_NUMBER, SOP_CLASS_UID, STUDY_INSTANCE_UID, URI, Code
from useridentity.audit.message.model import NOT_KNOWN, ObjectRole, ObjectType, ParticipantObject
from useridentity.audit.record import Operation, Record, Study


def by_patient(studies: Sequence[Study]) -> list[list[Study]]:
    """The studies of each patient, in order; one patient at least, though nothing is known of it."""
    patients: dict[str, list[Study]] = {}
    for study in studies or (Study(),):
        patients.setdefault(study.patient_id, []).append(study)
    return list(patients.values())


def study_object(study: Study) -> ParticipantObject:
    """A study; a description has SOP classes (Table A.5.2-1), and accession numbers without any are details."""
    uid = study.study_instance_uid or NOT_KNOWN
    alone = () if study.sop_classes else study.accession_numbers
    return ParticipantObject(
        STUDY_INSTANCE_UID,
        uid,
        ObjectType.SYSTEM,
        ObjectRole.REPORT,
        name=uid,
        details=tuple(("Accession Number", number.encode("utf-8", "backslashreplace")) for number in alone),
        accession_numbers=study.accession_numbers if study.sop_classes else (),
        sop_classes=study.sop_classes,
    )


def patient_object(study: Study) -> ParticipantObject:
    """The patient of a study."""
    number, name = study.patient_id or NOT_KNOWN, study.patient_name or NOT_KNOWN
    return ParticipantObject(PATIENT_NUMBER, number, ObjectType.PERSON, ObjectRole.PATIENT, name=name)


def query_object(operation: Operation) -> ParticipantObject:
    """A query by its SOP class; the identifier and its transfer syntax as they came (Table A.5.3.10-1)."""
    details = [("TransferSyntax", operation.transfer_syntax.encode("utf-8", "backslashreplace"))]
    if operation.truncated:
        details.append(("Truncated", b"true"))
    return ParticipantObject(
        SOP_CLASS_UID,
        operation.sop_class or NOT_KNOWN,
        ObjectType.SYSTEM,
        ObjectRole.REPORT,
        query=operation.identifier,
        details=tuple(details),
    )


def alert_subjects(record: Record, description: str) -> tuple[ParticipantObject, ...]:
    """What an alert is about (Table A.5.3.11-1): an anchored journal, else the node, and the studies it was after."""
    told = ("Alert Description", description.encode("utf-8", "backslashreplace"))
    destination = record.operation.destination if record.operation else ""
    details = (told, ("Move Destination", destination.encode("utf-8", "backslashreplace"))) if destination else (told,)
    if anchor := record.anchor:
        head = (
            ("Sequence", str(anchor.sequence).encode("ascii")),
            ("Head", anchor.head.encode("utf-8", "backslashreplace")),
        )
        return (_subject(URI, f"urn:useridentity:journal:{anchor.journal}", (told, *head)),)
    studies = [study.study_instance_uid for study in record.studies if study.study_instance_uid]
    nodes = [_subject(NODE_ID, node, details) for node in _nodes(record)]
    return (*nodes, *(_subject(STUDY_INSTANCE_UID, uid, details) for uid in studies))


def _nodes(record: Record) -> tuple[str, ...]:
    """The node that an alert is about, "in the form of node_name@domain_name or as an IP address", or none."""
    for name in (record.requestor.address, record.acceptor.address):
        with suppress(ValueError):
            return (str(ip_address(name)),)
    host, _, domain = record.acceptor.host.partition(".")
    return (f"{host}@{domain}",) if host and domain else ()


def _subject(id_type: Code, object_id: str, details: tuple[tuple[str, bytes], ...]) -> ParticipantObject:
    role = ObjectRole.SECURITY_RESOURCE
    return ParticipantObject(id_type, object_id, ObjectType.SYSTEM, role, name=object_id, details=details)
