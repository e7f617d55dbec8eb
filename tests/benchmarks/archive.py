"""An archive of so many studies of one patient: `archive scoped|unscoped ROWS`.

Answers a C-FIND of all studies with ROWS rows either way. Prints its port and ends with its standard input.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from useridentity import Assurance, Grant, Policy, Rule, Scope, UsernameValidator, Who
from useridentity.pynetdicom import AE

KEYS = ("PatientID", "IssuerOfPatientID", "PatientName", "StudyInstanceUID", "StudyDate", "StudyDescription")


def studies(count: int) -> dict[str, dict[str, str]]:
    """The studies by UID."""
    return {
        f"1.2.3.{number}": {
            "PatientID": "P1",
            "IssuerOfPatientID": "HOSP_A",
            "PatientName": "Yamada^Tarou",
            "StudyInstanceUID": f"1.2.3.{number}",
            "StudyDate": "20261122",
            "StudyDescription": "Thorax",
        }
        for number in range(count)
    }


def row(study: dict[str, str], identifier: Dataset) -> Dataset:
    """What the identifier asks for of a study."""
    answer = Dataset()
    answer.QueryRetrieveLevel = "STUDY"
    for keyword in KEYS:
        if keyword in identifier:
            setattr(answer, keyword, study[keyword])
    return answer


def start(kind: str, count: int) -> int:
    """Start the server of this kind; its port."""
    index = studies(count)

    def on_find(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        identifier = event.identifier
        uid = identifier.StudyInstanceUID
        for study in [index[uid]] if uid else index.values():
            yield 0xFF00, row(study, identifier)

    scope = Scope.of({"PatientID": "P1", "IssuerOfPatientID": "HOSP_A"}) if kind == "scoped" else None
    grant = Grant(["find"], Who(assurance=(Assurance.ASSERTED,)), scope=scope)
    ae = AE("BENCH")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    policy = Policy([Rule([UsernameValidator()])], [grant])
    handlers: list[evt.EventHandlerType] = [(evt.EVT_C_FIND, on_find)]
    server = ae.start_server(("127.0.0.1", 0), block=False, policy=policy, evt_handlers=handlers)
    assert server is not None
    return int(server.server_address[1])


if __name__ == "__main__":
    print(start(sys.argv[1], int(sys.argv[2])), flush=True)
    sys.stdin.read()
