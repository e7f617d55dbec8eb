"""A record in words: one line that says what happened, for people. Nothing in it is escaped yet."""

from __future__ import annotations

from useridentity.audit.record import Kind, Operation, Record, Study, Traffic, User

UNITS = ("B", "KB", "MB", "GB", "TB")


def who(user: User) -> str:
    """The user as a list shows him: who was proved, or else what was claimed."""
    if user.subject:
        name = user.user_id or user.subject
        return f"{name} ({user.display_name})" if user.display_name and user.display_name != name else name
    return f"{user.presented}?" if user.presented else ""


def about(record: Record) -> str:
    """What happened, beside who did it and from where."""
    parts = [_kind(record)]
    if record.studies:
        parts.append(_studies(record.studies))
    if record.reason:
        parts.append(record.reason)
    if record.detail:
        parts.append(record.detail)
    return ": ".join(part for part in parts if part)


def _kind(record: Record) -> str:
    """What is special about this kind of record."""
    user, anchor = record.user, record.anchor
    if record.kind is Kind.ACCEPTED:
        emergency = f"EMERGENCY: {user.emergency}, " if user.emergency else ""  # first, never to be cut off
        return f"{emergency}{user.assurance} by {record.validator}, {record.grant or record.rule}"
    if record.traffic is not None:
        return about_traffic(record.traffic)
    if record.operation is not None:
        return about_operation(record.operation)
    if anchor is not None:
        return f"record {anchor.sequence} has {anchor.head[:16]}…"
    return f"{record.count} times" if record.kind is Kind.SUPPRESSED else ""


def about_traffic(traffic: Traffic) -> str:
    """By whom an association was ended, how long it was and how much it carried."""
    octets = size(traffic.octets_received + traffic.octets_sent)
    by = traffic.ended_by.value
    done = f"{counted(traffic.operations, 'operation')}, {counted(traffic.instances, 'instance')}, {octets}"
    return f"by {by} after {traffic.seconds:.1f} s, {done}"


def about_operation(operation: Operation) -> str:
    """A request, where it goes, and what was answered."""
    parts = [operation.request]
    if operation.destination:
        parts.append(f"to {operation.destination}")
    if operation.request == "C-FIND" and (operation.matches or operation.status is not None):
        parts.append(counted(operation.matches, "match", "matches"))
    if operation.status:
        parts.append(f"{operation.status:04X}H")
    return " ".join(parts)


def _studies(studies: tuple[Study, ...]) -> str:
    first = studies[0]
    number = sum(each.number for study in studies for each in study.sop_classes)
    parts = [counted(number, "instance")] if number else []
    if first.patient_id or first.patient_name:
        parts.append(f"patient {first.patient_id} {first.patient_name}".strip())
    if first.study_instance_uid:
        parts.append(f"study {first.study_instance_uid}")
    if len(studies) > 1:
        parts.append(f"and {len(studies) - 1} more")
    return ", ".join(parts)


def counted(number: int, one: str, several: str = "") -> str:
    """A number of things."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def size(octets: float) -> str:
    """A number of bytes as people say it."""
    unit = 0
    while octets >= 1000 and unit < len(UNITS) - 1:
        octets /= 1000
        unit += 1
    return f"{octets:.1f} {UNITS[unit]}" if unit else f"{octets:.0f} B"
