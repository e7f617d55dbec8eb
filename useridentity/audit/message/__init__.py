"""Audit messages of PS3.15 A.5, made of records."""

from useridentity.audit.message.build import messages
from useridentity.audit.message.model import AuditMessage
from useridentity.audit.message.style import MessageSettings, MessageStyle
from useridentity.audit.message.xml import to_xml

__all__ = ["AuditMessage", "MessageSettings", "MessageStyle", "messages", "to_xml"]
