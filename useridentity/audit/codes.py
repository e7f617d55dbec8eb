"""Coded values of audit messages: context groups 400 to 404 of PS3.16, as far as they are sent, and RFC 3881's."""

from __future__ import annotations

from typing import NamedTuple

LOCAL_SCHEME = "99USERIDENTITY"
"""The coding scheme of what no public scheme has: "99" begins a private one (PS3.16 8.2). All these groups are
extensible."""

RFC_3881 = "RFC-3881"
"""IHE's coding scheme for the integers that RFC 3881 defines (ITI-20 3.20.7.1.3)."""


class Code(NamedTuple):
    """A value, its coding scheme and its meaning; in XML csd-code, codeSystemName and originalText."""

    value: str
    scheme: str
    meaning: str


def _dcm(value: int, meaning: str) -> Code:
    return Code(str(value), "DCM", meaning)


def local(value: str, meaning: str = "") -> Code:
    """A value of our own scheme, or of a hospital's that has named none."""
    return Code(value, LOCAL_SCHEME, meaning or value)


# CID 400: which event.
APPLICATION_ACTIVITY = _dcm(110100, "Application Activity")
BEGIN_TRANSFERRING = _dcm(110102, "Begin Transferring DICOM Instances")
INSTANCES_ACCESSED = _dcm(110103, "DICOM Instances Accessed")
INSTANCES_TRANSFERRED = _dcm(110104, "DICOM Instances Transferred")
PROCEDURE_RECORD = _dcm(110111, "Procedure Record")
QUERY = _dcm(110112, "Query")
SECURITY_ALERT = _dcm(110113, "Security Alert")
USER_AUTHENTICATION = _dcm(110114, "User Authentication")

# CID 401 and, for security alerts, CID 403: which kind of it.
APPLICATION_START = _dcm(110120, "Application Start")
APPLICATION_STOP = _dcm(110121, "Application Stop")
LOGIN = _dcm(110122, "Login")
LOGOUT = _dcm(110123, "Logout")
NODE_AUTHENTICATION = _dcm(110126, "Node Authentication")
EMERGENCY_OVERRIDE_STARTED = _dcm(110127, "Emergency Override Started")
SECURITY_CONFIGURATION = _dcm(110129, "Security Configuration")
RESTRICTED_FUNCTION = _dcm(110132, "Use of Restricted Function")
AUDIT_RECORDING_STARTED = _dcm(110134, "Audit Recording Started")
EMERGENCY_OVERRIDE_STOPPED = _dcm(110138, "Emergency Override Stopped")
AUTHENTICATION_DECISION = _dcm(110143, "Authentication Decision")
AUTHORIZATION_DECISION = _dcm(110144, "Authorization Decision")
SESSION_START = _dcm(110145, "Session start")
SESSION_STOP = _dcm(110146, "Session stop")
ACCESS_CONTROL_DECISION = _dcm(110147, "Access Control Decision")
JOURNAL_RETIRED = local("journal-retired", "Old part of the audit journal removed")
JOURNAL_ANCHOR = local("journal-anchor", "Head of the chain of the audit journal")

# CID 402: what a participant was in it.
APPLICATION = _dcm(110150, "Application")
DESTINATION = _dcm(110152, "Destination Role ID")
SOURCE = _dcm(110153, "Source Role ID")

# CID 404 and RFC 3881: what identifies an object.
STUDY_INSTANCE_UID = _dcm(110180, "Study Instance UID")
SOP_CLASS_UID = _dcm(110181, "SOP Class UID")
NODE_ID = _dcm(110182, "Node ID")
PATIENT_NUMBER = Code("2", RFC_3881, "Patient Number")
URI = Code("12", RFC_3881, "URI")
