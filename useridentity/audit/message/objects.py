"""What an event was about: studies and their patient, a query, the subject of an alert (tables of PS3.15 A.5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

from useridentity.audit.codes import NODE_ID, PATIENT_NUMBER, SOP_CLASS_UID, STUDY_INSTANCE_UID, URI, Code
from useridentity.audit.message.model import ObjectRole, ObjectType, ParticipantObject, known
from useridentity.audit.record import Operation, Record, Study

MPPS = tuple(f"1.2.840.10008.3.1.2.3.{number}" for number in (3, 4, 5))
"""SOP classes of modality performed procedure steps, whose UIDs PS3.15 has in a place of their own."""

Details = tuple[tuple[str, bytes], ...]


def by_patient(studies: Sequence[Study]) -> list[list[Study]]:
    """The studies of each patient, who without an id is known by name; one patient at least, though nothing is known
    of him."""
    patients: dict[tuple[str, str], list[Study]] = {}
    for study in studies or (Study(),):
        patient = study.patient_id, "" if study.patient_id else study.patient_name
        patients.setdefault(patient, []).append(study)
    return list(patients.values())


def study_object(study: Study) -> ParticipantObject:
    """A study; a description has SOP classes (Table A.5.2-1), and accession numbers without any are details."""
    uid = known(study.study_instance_uid)
    classes = study.sop_classes
    return ParticipantObject(
        STUDY_INSTANCE_UID,
        uid,
        ObjectType.SYSTEM,
        ObjectRole.REPORT,
        name=uid,
        details=() if classes else _details("Accession Number", study.accession_numbers),
        accession_numbers=study.accession_numbers if classes else (),
        sop_classes=tuple(replace(each, instances=()) if each.uid in MPPS else each for each in classes),
        procedure_steps=tuple(uid for each in classes if each.uid in MPPS for uid in each.instances),
    )


def patient_object(study: Study) -> ParticipantObject:
    """The patient of a study."""
    number, name = known(study.patient_id), known(study.patient_name)
    return ParticipantObject(PATIENT_NUMBER, number, ObjectType.PERSON, ObjectRole.PATIENT, name=name)


def query_object(operation: Operation) -> ParticipantObject:
    """A query by its SOP class; the identifier and its transfer syntax as they came (Table A.5.3.10-1)."""
    truncated = ("true",) if operation.truncated else ()
    return ParticipantObject(
        SOP_CLASS_UID,
        known(operation.sop_class),
        ObjectType.SYSTEM,
        ObjectRole.REPORT,
        query=operation.identifier,
        details=_details("TransferSyntax", [operation.transfer_syntax]) + _details("Truncated", truncated),
    )


def alert_subjects(record: Record, description: str) -> tuple[ParticipantObject, ...]:
    """What an alert is about (Table A.5.3.11-1): an anchored journal, else the node, and the studies it was after.

    The table has no place for a patient: what else was asked for are details of the first subject.
    """
    told = _details("Alert Description", [description])
    if anchor := record.anchor:
        head = _details("Sequence", [str(anchor.sequence)]) + _details("Head", [anchor.head])
        return (_subject(URI, f"urn:useridentity:journal:{anchor.journal}", told + head),)
    uids = dict.fromkeys(study.study_instance_uid for study in record.studies if study.study_instance_uid.strip())
    subjects = [*((NODE_ID, node) for node in _nodes(record)), *((STUDY_INSTANCE_UID, uid) for uid in uids)]
    more = tuple(_asked_for(record)) if subjects else ()
    return tuple(_subject(*each, told if number else told + more) for number, each in enumerate(subjects))


def _asked_for(record: Record) -> Iterator[tuple[str, bytes]]:
    studies = record.studies
    destination = record.operation.destination if record.operation else ""
    yield from _details("Move Destination", [destination] if destination else ())
    yield from _details("Patient ID", dict.fromkeys(each.patient_id for each in studies if each.patient_id))
    yield from _details("Accession Number", dict.fromkeys(n for each in studies for n in each.accession_numbers))
    classes = (sop_class for each in studies for sop_class in each.sop_classes)
    yield from _details("SOP Instance UID", dict.fromkeys(uid for each in classes for uid in each.instances))


def _details(kind: str, values: Iterable[str]) -> Details:
    return tuple((kind, value.encode("utf-8", "backslashreplace")) for value in values)


def _nodes(record: Record) -> tuple[str, ...]:
    """The node that an alert is about, "in the form of node_name@domain_name or as an IP address", or none."""
    for name in (record.requestor.address, record.acceptor.address):
        with suppress(ValueError):
            return (str(ip_address(name)),)
    host, _, domain = record.acceptor.host.partition(".")
    return (f"{host}@{domain}",) if host and domain else ()


def _subject(id_type: Code, object_id: str, details: Details) -> ParticipantObject:
    role = ObjectRole.SECURITY_RESOURCE
    return ParticipantObject(id_type, object_id, ObjectType.SYSTEM, role, name=object_id, details=details)
