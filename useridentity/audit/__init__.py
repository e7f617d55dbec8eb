"""The audit trail: what is recorded, the journal that keeps it, the messages and sinks that carry it away."""

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

__all__ = [
    "Acceptor",
    "Anchor",
    "EndedBy",
    "Kind",
    "Operation",
    "Outcome",
    "Record",
    "Requestor",
    "SopClass",
    "Study",
    "Traffic",
    "User",
]
