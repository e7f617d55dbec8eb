"""An audit message as RFC 5424 has it: what TLS and UDP carry alike (PS3.15 A.6, A.7; ITI-20 3.20.4.1.2)."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Literal

from useridentity.audit.message import AuditMessage, MessageStyle, messages, to_xml
from useridentity.audit.message.model import EventOutcome
from useridentity.audit.message.size import smaller
from useridentity.audit.message.text import time_text
from useridentity.audit.record import Record

MessageId = Literal["DICOM+RFC3881", "IHE+RFC-3881"]
"""PS3.15 A.6 and A.7 allow the first, IHE's ITI-20 demands the second."""

MAX_SIZE = 32768
"""Octets of a syslog message; every receiver of PS3.15 A.6 takes as many."""

APP_NAME = "useridentity"

_FACILITY = 10  # "security/authorization messages", as PS3.15 A.6 and ITI-20 want it
_NOTICE, _WARNING = 5, 4
_BOM = "\ufeff".encode()
_HOSTNAME_LENGTH, _PROCID_LENGTH = 255, 128  # RFC 5424 6


@dataclass(frozen=True, slots=True)
class SyslogFormat:
    """How a record becomes syslog messages.

    Fields:
        style: of the audit messages in them.
        message_id: MSGID.
        bom: whether MSG begins with a byte order mark: RFC 5424 6.4 has it, ITI-20 discourages it.
        max_size: octets of a message. One that is larger is sent with less in it.
        cut: whether what still does not fit is cut off, as a datagram must be (PS3.15 A.7); such a message is no longer
            XML. Otherwise it is sent whole.
    """

    style: MessageStyle
    message_id: MessageId = "DICOM+RFC3881"
    bom: bool = False
    max_size: int = MAX_SIZE
    cut: bool = False

    def encode(self, record: Record) -> list[bytes]:
        """The syslog messages that say what `record` says."""
        return [self._fitting(message, record) for message in messages(record, self.style)]

    def _fitting(self, message: AuditMessage, record: Record) -> bytes:
        header = self._header(message, record)
        encoded = b""
        for each in smaller(message):
            encoded = header + to_xml(each)
            if len(encoded) <= self.max_size:
                return encoded
        return encoded[: self.max_size].decode("utf-8", "ignore").encode("utf-8") if self.cut else encoded

    def _header(self, message: AuditMessage, record: Record) -> bytes:
        severity = _NOTICE if message.outcome is EventOutcome.SUCCESS else _WARNING
        host = _printable(record.acceptor.host or socket.gethostname(), _HOSTNAME_LENGTH)
        process = _printable(str(record.acceptor.process or ""), _PROCID_LENGTH)
        priority = _FACILITY * 8 + severity
        fields = (f"<{priority}>1", time_text(message.time), host, APP_NAME, process, self.message_id, "- ")
        return " ".join(fields).encode("ascii") + (_BOM if self.bom else b"")


def _printable(value: str, length: int) -> str:
    """A header field: PRINTUSASCII, or the NILVALUE (RFC 5424 6)."""
    return re.sub("[^!-~]", "?", value)[:length] or "-"
