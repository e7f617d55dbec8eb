"""The attributes a scope may name: those of patients, studies and worklist items, with what comparing them needs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple


class Vr(Enum):
    """The value representations that scopes compare (PS3.5 Table 6.2-1)."""

    AE = "AE"
    CS = "CS"
    DA = "DA"
    LO = "LO"
    PN = "PN"
    SH = "SH"
    UI = "UI"


class Attribute(NamedTuple):
    """One attribute: its VR, whether it may have several values, whether only worklist items have it."""

    vr: Vr
    multiple: bool = False
    worklist: bool = False


_PATIENT = {
    # PS3.4 Table C.6-1, PS3.3 C.7.1.1 and C.7.1.3.
    "PatientID": Attribute(Vr.LO),
    "IssuerOfPatientID": Attribute(Vr.LO),
    "PatientName": Attribute(Vr.PN),
    "PatientBirthDate": Attribute(Vr.DA),
    "PatientSex": Attribute(Vr.CS),
    "OtherPatientIDs": Attribute(Vr.LO, multiple=True),
    "OtherPatientNames": Attribute(Vr.PN, multiple=True),
    "EthnicGroup": Attribute(Vr.SH),
    "PatientSpeciesDescription": Attribute(Vr.LO),
    "ResponsiblePerson": Attribute(Vr.PN),
    "ResponsibleOrganization": Attribute(Vr.LO),
    "ClinicalTrialSponsorName": Attribute(Vr.LO),
    "ClinicalTrialProtocolID": Attribute(Vr.LO),
    "ClinicalTrialProtocolName": Attribute(Vr.LO),
    "ClinicalTrialSiteID": Attribute(Vr.LO),
    "ClinicalTrialSiteName": Attribute(Vr.LO),
    "ClinicalTrialSubjectID": Attribute(Vr.LO),
}

_STUDY = {
    # PS3.4 Table C.6-2 and C.6-5, PS3.3 C.7.2.1 to C.7.2.3.
    "StudyInstanceUID": Attribute(Vr.UI),
    "StudyID": Attribute(Vr.SH),
    "StudyDate": Attribute(Vr.DA),
    "StudyDescription": Attribute(Vr.LO),
    "AccessionNumber": Attribute(Vr.SH),
    "ModalitiesInStudy": Attribute(Vr.CS, multiple=True),
    "ReferringPhysicianName": Attribute(Vr.PN),
    "ConsultingPhysicianName": Attribute(Vr.PN, multiple=True),
    "PhysiciansOfRecord": Attribute(Vr.PN, multiple=True),
    "NameOfPhysiciansReadingStudy": Attribute(Vr.PN, multiple=True),
    "RequestingService": Attribute(Vr.LO),
    "AdmissionID": Attribute(Vr.LO),
    "ServiceEpisodeID": Attribute(Vr.LO),
    "ClinicalTrialTimePointID": Attribute(Vr.LO),
}

_WORKLIST = {
    # PS3.4 Table K.6-1.
    "RequestedProcedureID": Attribute(Vr.SH, worklist=True),
    "RequestedProcedurePriority": Attribute(Vr.SH, worklist=True),
    "RequestingPhysician": Attribute(Vr.PN, worklist=True),
    "CurrentPatientLocation": Attribute(Vr.LO, worklist=True),
    **{
        f"ScheduledProcedureStepSequence.{keyword}": attribute
        for keyword, attribute in {
            "ScheduledStationAETitle": Attribute(Vr.AE, multiple=True, worklist=True),
            "ScheduledStationName": Attribute(Vr.SH, multiple=True, worklist=True),
            "ScheduledProcedureStepLocation": Attribute(Vr.SH, worklist=True),
            "ScheduledPerformingPhysicianName": Attribute(Vr.PN, worklist=True),
            "ScheduledProcedureStepID": Attribute(Vr.SH, worklist=True),
            "Modality": Attribute(Vr.CS, worklist=True),
        }.items()
    },
}

ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType(_PATIENT | _STUDY | _WORKLIST)
"""By keyword, or by the keywords that lead to it divided by dots (PS3.6)."""

PATIENT_ATTRIBUTES = frozenset(_PATIENT)
"""Those of a patient, the same for all studies of one."""
