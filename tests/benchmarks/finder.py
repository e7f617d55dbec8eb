"""Asks for all studies of an archive, as alice: `finder PORT COUNT`.

Prints the seconds of the first C-FIND of an association, and the median of COUNT that follow, unless it is 0.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from useridentity import Username
from useridentity.pynetdicom import AE

MODEL = StudyRootQueryRetrieveInformationModelFind


def find(assoc: Association) -> float:
    """Seconds of one C-FIND."""
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.StudyInstanceUID, wanted.PatientName, wanted.StudyDate, wanted.StudyDescription = "", "", "", ""
    started = time.perf_counter()
    *_, (status, _row) = assoc.send_c_find(wanted, MODEL)
    assert status.Status == 0x0000, status
    return time.perf_counter() - started


if __name__ == "__main__":
    ae = AE("SCU")
    ae.add_requested_context(MODEL)
    association = ae.associate("127.0.0.1", int(sys.argv[1]), identity=Username("alice"))
    assert association.is_established, "the acceptor refused"
    print(find(association), flush=True)
    if more := int(sys.argv[2]):
        print(median(find(association) for _ in range(more)), flush=True)
    association.release()
