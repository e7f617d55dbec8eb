"""What is accepted is not thereby authorized: a request belongs to its presentation context."""

from __future__ import annotations

import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from pynetdicom import dimse_messages, dimse_primitives, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicFilmSession,
    BasicGrayscalePrintManagementMeta,
    CTImageStorage,
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepWatch,
    Verification,
)

from tests.lib.pdus import associate_rq, presentation_context, user_identity
from tests.lib.rawpeer import HANG, Pdu, PduType, RawPeer
from tests.pynetdicom.support import Acceptor, dimse

Accept = Callable[..., Acceptor]

ALICE = user_identity(1, b"alice")
INSTANCE = "1.2.3.4"
IDENTIFIER = bytes.fromhex("08005200060000005354554459 20")  # Query/Retrieve Level STUDY, Implicit VR

REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "C_STORE": (CTImageStorage, {"Priority": 0, "DataSet": IDENTIFIER}),
    "C_FIND": (ModalityWorklistInformationFind, {"Priority": 0, "Identifier": IDENTIFIER}),
    "C_GET": (PatientRootQueryRetrieveInformationModelGet, {"Priority": 0, "Identifier": IDENTIFIER}),
    "C_MOVE": (
        PatientRootQueryRetrieveInformationModelMove,
        {"Priority": 0, "Identifier": IDENTIFIER, "MoveDestination": "STORE"},
    ),
    "N_GET": (ModalityPerformedProcedureStep, {}),
    "N_SET": (ModalityPerformedProcedureStep, {"ModificationList": IDENTIFIER}),
    "N_ACTION": (StorageCommitmentPushModel, {"ActionTypeID": 1, "ActionInformation": IDENTIFIER}),
    "N_CREATE": (ModalityPerformedProcedureStep, {"AttributeList": IDENTIFIER}),
    "N_DELETE": (BasicFilmSession, {}),
    "N_EVENT_REPORT": (StorageCommitmentPushModel, {"EventTypeID": 1, "EventInformation": IDENTIFIER}),
}
AFFECTED = ("C_STORE", "C_FIND", "C_GET", "C_MOVE", "N_CREATE", "N_EVENT_REPORT")


def request(kind: str, sop_class: str, context_id: int, **fields: Any) -> bytes:
    """A request of this kind for this SOP class, on whatever context."""
    primitive = getattr(dimse_primitives, kind)()
    primitive.MessageID = 1
    which = "Affected" if kind in AFFECTED else "Requested"
    setattr(primitive, f"{which}SOPClassUID", sop_class)
    if hasattr(primitive, f"{which}SOPInstanceUID"):
        setattr(primitive, f"{which}SOPInstanceUID", INSTANCE)
    for name, value in fields.items():
        setattr(primitive, name, BytesIO(value) if isinstance(value, bytes) else value)
    return dimse(getattr(dimse_messages, f"{kind}_RQ")(), primitive, context_id)


class Served:
    """An acceptor of one SOP class beside Verification, and the requests that reached a handler."""

    def __init__(self, accept: Accept, *sop_classes: str) -> None:
        self.requests: list[tuple[str, str]] = []
        handlers = [(getattr(evt, f"EVT_{kind}"), self._note) for kind in REQUESTS]
        served = (Verification, *sop_classes)
        contexts = [build_context(uid) for uid in served]
        self._acceptor = accept(contexts=contexts, handlers=handlers)
        self._proposed = tuple(presentation_context(1 + 2 * i, uid) for i, uid in enumerate(served))

    def _note(self, event: evt.Event) -> Any:
        self.requests.append((event.event.name.removeprefix("EVT_"), threading.current_thread().name))
        if event.event in (evt.EVT_C_STORE, evt.EVT_N_DELETE):
            return 0
        return iter(()) if event.event in (evt.EVT_C_FIND, evt.EVT_C_GET, evt.EVT_C_MOVE) else (0, None)

    def answer(self, sent: bytes) -> Pdu | Any:
        with RawPeer(self._acceptor.port) as peer:
            peer.send(associate_rq(ALICE, contexts=self._proposed))
            assert peer.read_pdu().type is PduType.ASSOCIATE_AC
            peer.send(sent)
            answer = peer.read_pdu()
        self._acceptor.settle()
        return answer


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.threat("T13")
def test_a_request_on_another_context_is_aborted_and_reaches_no_handler(accept: Accept, kind: str) -> None:
    sop_class, fields = REQUESTS[kind]
    served = Served(accept, sop_class)
    assert served.answer(request(kind, sop_class, 3, **fields)).type is PduType.P_DATA_TF
    assert [name for name, _ in served.requests] == [kind]
    assert served.answer(request(kind, sop_class, 1, **fields)).type is PduType.ABORT
    assert len(served.requests) == 1


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_on_a_context_that_was_not_accepted_is_aborted(accept: Accept, kind: str) -> None:
    sop_class, fields = REQUESTS[kind]
    served = Served(accept, sop_class)
    assert served.answer(request(kind, sop_class, 99, **fields)).type is PduType.ABORT
    assert served.requests == []


@pytest.mark.threat("T13")
def test_a_request_that_names_two_sop_classes_needs_a_context_for_both(accept: Accept) -> None:
    served = Served(accept, ModalityPerformedProcedureStep)
    one = request("N_SET", ModalityPerformedProcedureStep, 3, ModificationList=IDENTIFIER)
    assert served.answer(one).type is PduType.P_DATA_TF
    message = dimse_messages.N_SET_RQ()
    two = dimse_primitives.N_SET()
    two.MessageID, two.RequestedSOPClassUID, two.RequestedSOPInstanceUID = 1, CTImageStorage, INSTANCE
    two.ModificationList = BytesIO(IDENTIFIER)
    message.primitive_to_message(two)
    message.command_set.AffectedSOPClassUID = ModalityPerformedProcedureStep
    message.primitive_to_message = lambda primitive: None  # type: ignore[method-assign]  # it is one already
    assert served.answer(dimse(message, None, 3)).type is PduType.ABORT
    assert len(served.requests) == 1


@pytest.mark.parametrize(
    ("context", "sop_class", "kind"),
    [
        (BasicGrayscalePrintManagementMeta, BasicFilmSession, "N_CREATE"),
        (BasicGrayscalePrintManagementMeta, BasicFilmSession, "N_DELETE"),
        (UnifiedProcedureStepWatch, UnifiedProcedureStepPush, "N_ACTION"),
        (UnifiedProcedureStepPull, UnifiedProcedureStepPush, "N_SET"),
    ],
)
def test_components_are_served_on_the_context_that_carries_them(
    accept: Accept, context: str, sop_class: str, kind: str
) -> None:
    served = Served(accept, context)
    assert served.answer(request(kind, sop_class, 3, **REQUESTS[kind][1])).type is PduType.P_DATA_TF
    assert [name for name, _ in served.requests] == [kind]


def test_an_event_report_is_judged_in_the_thread_that_pynetdicom_starts_for_it(accept: Accept) -> None:
    served = Served(accept, StorageCommitmentPushModel)
    sop_class, fields = REQUESTS["N_EVENT_REPORT"]
    assert served.answer(request("N_EVENT_REPORT", sop_class, 3, **fields)).type is PduType.P_DATA_TF
    ((_, thread),) = served.requests
    assert not thread.startswith("AcceptorThread")


def test_an_event_report_is_answered_however_soon_it_follows_the_acceptance(accept: Accept) -> None:
    answered = threading.Event()
    handlers = [
        (evt.EVT_ACCEPTED, lambda event: answered.wait(HANG)),
        (evt.EVT_N_EVENT_REPORT, lambda event: (0, None)),
    ]
    acceptor = accept(contexts=[build_context(StorageCommitmentPushModel)], handlers=handlers)
    sop_class, fields = REQUESTS["N_EVENT_REPORT"]
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE, contexts=(presentation_context(1, sop_class),)))
        assert peer.read_pdu().type is PduType.ASSOCIATE_AC
        peer.send(request("N_EVENT_REPORT", sop_class, 1, **fields))
        assert peer.read_pdu(within=HANG / 2).type is PduType.P_DATA_TF
        answered.set()
