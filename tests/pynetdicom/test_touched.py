"""What the audit trail reads from a request's data set, whatever a peer has put into it."""

from __future__ import annotations

import tracemalloc
import zlib
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_MOVE, C_STORE, N_ACTION, N_CREATE, N_GET, N_SET
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
)

from useridentity.audit.record import MAX_TEXT, SopClass, Study
from useridentity.audit.transfers import MAX_ACCESSIONS, MAX_INSTANCES, MAX_STUDIES
from useridentity.pynetdicom.touched import MAX_INFLATED, studies_of

CONTEXT: Any = PresentationContext()
CONTEXT.transfer_syntax = [ImplicitVRLittleEndian]
STEP = ((SopClass(str(ModalityPerformedProcedureStep), 1, ("1.2.3.4",))),)


def data_set(charset: str = "", **values: Any) -> Dataset:
    made = Dataset()
    if charset:
        made.SpecificCharacterSet = charset.split("\\")
    for word, value in values.items():
        setattr(made, word, value)
    return made


def octets(made: Dataset) -> BytesIO:
    return BytesIO(encode(made, True, True) or b"")


def raw(group: int, element: int, value: bytes) -> BytesIO:
    """One element as a peer may send it, of which pydicom would not write every one."""
    padded = value + b" " * (len(value) % 2)
    return BytesIO(
        group.to_bytes(2, "little") + element.to_bytes(2, "little") + len(padded).to_bytes(4, "little") + padded
    )


def store(content: BytesIO) -> C_STORE:
    made = C_STORE()
    made.MessageID, made.DataSet = 1, content
    made.AffectedSOPClassUID, made.AffectedSOPInstanceUID = CTImageStorage, "1.2.3.1"
    return made


def find(content: BytesIO, kind: type[C_FIND | C_MOVE] = C_FIND) -> C_FIND | C_MOVE:
    made = kind()
    made.MessageID, made.AffectedSOPClassUID = 1, StudyRootQueryRetrieveInformationModelFind
    made.Identifier = content
    return made


def changed(content: BytesIO | None) -> N_SET:
    made = N_SET()
    made.MessageID, made.RequestedSOPClassUID = 1, ModalityPerformedProcedureStep
    made.RequestedSOPInstanceUID, made.ModificationList = "1.2.3.4", content
    return made


def committed(made: Dataset) -> N_ACTION:
    request = N_ACTION()
    request.MessageID, request.ActionTypeID = 1, 1
    request.RequestedSOPClassUID = StorageCommitmentPushModel
    request.RequestedSOPInstanceUID, request.ActionInformation = "1.2.840.10008.1.20.1.1", octets(made)
    return request


JAPANESE = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046"


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "M\u00fcller^\u00c4nne"),
        ("\\ISO 2022 IR 87", JAPANESE),
        ("ISO_IR 192", JAPANESE),
        ("GB18030", "Wang^XiaoDong=\u738b^\u5c0f\u4e1c"),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", "\u041b\u044e\u043ace\u043c\u0431yp\u0433"),
    ],
)
def test_names_are_read_in_their_character_sets_with_all_their_groups(charset: str, name: str) -> None:
    """PS3.5 6.1.2: escape sequences are the encoding's, and none is left in what is recorded."""
    made = data_set(charset, PatientID="P1", PatientName=name, StudyInstanceUID="1.2.3")
    for request in (store(octets(made)), find(octets(made)), changed(octets(made))):
        (found,) = studies_of(request, CONTEXT)
        assert (found.study_instance_uid, found.patient_id, found.patient_name) == ("1.2.3", "P1", name)
        assert "\x1b" not in found.patient_name


@pytest.mark.filterwarnings("ignore:Unknown encoding")
@pytest.mark.parametrize("charset", [b"ISO_IR 100", b"NO SUCH ONE"])
def test_a_character_set_that_nobody_knows_costs_the_name_at_most(charset: bytes) -> None:
    content = raw(0x08, 0x05, charset).getvalue() + raw(0x10, 0x10, b"Doe^Jane").getvalue()
    (found,) = studies_of(store(BytesIO(content + raw(0x10, 0x20, b"P1").getvalue())), CONTEXT)
    assert (found.patient_id, found.patient_name) == ("P1", "Doe^Jane")


@pytest.mark.parametrize("value", ["P1", "P^1|x&y", "<none>", "'"])
def test_a_patient_id_is_kept_as_it_came(value: str) -> None:
    made = data_set(PatientID=value, StudyInstanceUID="1.2.3")
    for request in (store(octets(made)), find(octets(made)), changed(octets(made))):
        assert [each.patient_id for each in studies_of(request, CONTEXT)] == [value]


def test_several_values_in_place_of_one_are_no_patient_to_look_for() -> None:
    r"""A \ separates values (PS3.5 6.2): what was stored is kept so, and a query for it names nobody."""
    content = b"P1\\P2"
    assert [each.patient_id for each in studies_of(store(raw(0x10, 0x20, content)), CONTEXT)] == ["P1\\P2"]
    assert [each.patient_id for each in studies_of(changed(raw(0x10, 0x20, content)), CONTEXT)] == ["P1\\P2"]
    assert studies_of(find(raw(0x10, 0x20, b"P1")), CONTEXT) == (Study(patient_id="P1"),)
    assert studies_of(find(raw(0x10, 0x20, content)), CONTEXT) == ()


def test_a_query_for_several_studies_names_each() -> None:
    made = data_set(StudyInstanceUID=["1.2.1", "1.2.2"], PatientID="P1")
    for kind in (C_FIND, C_MOVE):
        found = studies_of(find(octets(made), kind), CONTEXT)
        assert [(each.study_instance_uid, each.patient_id) for each in found] == [("1.2.1", "P1"), ("1.2.2", "P1")]


@pytest.mark.filterwarnings("ignore:The value length")
def test_what_is_very_long_or_very_many_is_bounded() -> None:
    made = data_set(StudyInstanceUID=[f"1.2.{number}" for number in range(1000)])
    assert len(studies_of(find(octets(made)), CONTEXT)) == MAX_STUDIES
    (found,) = studies_of(store(raw(0x10, 0x20, b"x" * 100_000)), CONTEXT)
    assert len(found.patient_id) == MAX_TEXT
    items = [data_set(StudyInstanceUID="1.2.3", AccessionNumber=str(number)) for number in range(1000)]
    (found,) = studies_of(changed(octets(data_set(ScheduledStepAttributesSequence=items))), CONTEXT)
    assert len(found.accession_numbers) == MAX_ACCESSIONS
    named = [
        data_set(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=f"1.9.{number}")
        for number in range(MAX_INSTANCES + 1)
    ]
    (found,) = studies_of(committed(data_set(ReferencedSOPSequence=named)), CONTEXT)
    assert sum(each.number for each in found.sop_classes) == MAX_INSTANCES


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 9, b"\x10\x00\x20\x00\xff\xff\xff\x7f", b"\x40\x00\x70\x02\xff\xff\xff\xffgarbage!"],
    ids=["empty", "garbage", "length", "sequence"],
)
def test_a_request_whose_data_set_cannot_be_read_is_named_by_its_instance(content: bytes) -> None:
    """The parser's complaint is the handler's affair; the record is made all the same."""
    good = octets(data_set(PatientID="P1", StudyInstanceUID="1.2.3"))
    assert studies_of(changed(good), CONTEXT) == (Study("1.2.3", "P1", sop_classes=STEP),)
    assert studies_of(changed(BytesIO(content)), CONTEXT)[0].sop_classes == STEP
    assert studies_of(store(BytesIO(content)), CONTEXT)[0].sop_classes[0].instances == ("1.2.3.1",)
    assert studies_of(find(BytesIO(content)), CONTEXT) == ()


def test_a_request_without_a_data_set_is_named_by_its_instance() -> None:
    made = N_GET()
    made.MessageID, made.RequestedSOPClassUID = 1, ModalityPerformedProcedureStep
    made.RequestedSOPInstanceUID = "1.2.3.4"
    assert studies_of(made, CONTEXT) == studies_of(changed(None), CONTEXT) == (Study(sop_classes=STEP),)
    create = N_CREATE()  # of an instance that the SCP gives its UID
    create.MessageID, create.AffectedSOPClassUID = 1, ModalityPerformedProcedureStep
    assert studies_of(create, CONTEXT) == (Study(sop_classes=(SopClass(str(ModalityPerformedProcedureStep), 1),)),)
    assert studies_of(C_ECHO(), CONTEXT) == ()


def test_of_a_deflated_data_set_no_more_is_read_than_its_beginning() -> None:
    """A peer may send a thousand times as much as it seems."""
    deflated: Any = PresentationContext()
    deflated.transfer_syntax = [DeflatedExplicitVRLittleEndian]
    whole = encode(data_set(PatientID="P1", StudyInstanceUID="1.2.3"), False, True) or b""
    pixels = 16 * MAX_INFLATED
    for content in (whole, whole + b"\xe0\x7f\x10\x00OB\0\0" + pixels.to_bytes(4, "little") + bytes(pixels)):
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        sent = deflate.compress(content) + deflate.flush()
        for make in (store, find, changed):
            request = make(BytesIO(sent))
            tracemalloc.start()
            (found,) = studies_of(request, deflated)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert (found.study_instance_uid, found.patient_id) == ("1.2.3", "P1")
            assert peak < 8 * MAX_INFLATED


def test_the_data_set_is_left_as_it_was() -> None:
    """Whoever serves the request reads it from its beginning."""
    for request, word in (
        (store(octets(data_set(PatientID="P1"))), "DataSet"),
        (find(octets(data_set(PatientID="P1"))), "Identifier"),
        (changed(octets(data_set(PatientID="P1"))), "ModificationList"),
    ):
        studies_of(request, CONTEXT)
        assert getattr(request, word).tell() == 0
