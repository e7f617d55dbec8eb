"""FHIR R4 AuditEvents, made of records on the patterns of IHE's Basic Audit Log Patterns (BALP 1.1.4)."""

from useridentity.audit.fhir.event import AuditEvent, audit_events, batch

__all__ = ["AuditEvent", "audit_events", "batch"]
