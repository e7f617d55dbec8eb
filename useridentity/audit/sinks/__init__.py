"""Where the audit trail goes: syslog, FHIR, OpenTelemetry, files, Python's logging."""

from useridentity.audit.sinks.opening import SETTINGS, open_sink, open_sinks
from useridentity.audit.sinks.sink import AT_ONCE, Confirm, NoForm, Sink, Undelivered

__all__ = ["AT_ONCE", "SETTINGS", "Confirm", "NoForm", "Sink", "Undelivered", "open_sink", "open_sinks"]
