"""What the values of a data set are, in every character set: what a peer reads."""

from __future__ import annotations

import warnings
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR
from pynetdicom import evt
from pynetdicom.dsutils import decode, encode

from tests.pynetdicom.scoped.asking import STUDY_ROOT, archive, association, identifier, retrieve
from tests.pynetdicom.scoped.index import Index, instance
from tests.pynetdicom.scoped.rows import ALL, Rows, answers, study
from useridentity.pynetdicom.scoped.values import texts

CharacterSet = str | list[str]

JAPANESE: CharacterSet = ["", "ISO 2022 IR 87"]
CHINESE: CharacterSet = ["", "ISO 2022 IR 58"]
ZHANG = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="

WRITTEN: list[tuple[CharacterSet, bytes, str]] = [
    # PS3.5 Annexes H, I, J and K.
    (JAPANESE, b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田"),
    (["", "ISO 2022 IR 149"], b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong=洪^吉洞"),
    ("ISO_IR 192", b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe4\xb8\x9c", "Wang^XiaoDong=王^小东"),
    ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
    (CHINESE, ZHANG, "Zhang^XiaoDong=张^小东="),
    # Characters with 5CH in them.
    ("GB18030", b"\x81\\^\x82\\=\x83\\", "乗^俓=僜"),
    ("GBK", b"X\x81\\", "X乗"),
    (JAPANESE, b"Bo=\x1b$B%\\$\\\x1b(B", "Bo=ボぼ"),
]


def dataset(charset: CharacterSet | None, keyword: str, value: object) -> Dataset:
    """With one element, whatever is wrong with it."""
    made = Dataset()
    if charset is not None:
        made.SpecificCharacterSet = charset
    made.add(DataElement(keyword, dictionary_VR(keyword), value, validation_mode=config.IGNORE))
    return made


def received(sent: Dataset) -> Dataset:
    """The same as a peer gets it."""
    encoded = encode(sent, True, True)
    assert encoded is not None
    return decode(BytesIO(encoded), True, True)


@pytest.mark.parametrize(("charset", "written", "read"), WRITTEN)
@pytest.mark.parametrize("keyword", ["PatientName", "OtherPatientIDs"])
def test_octets_are_read_in_the_character_set_they_are_written_in(
    keyword: str, charset: CharacterSet, written: bytes, read: str
) -> None:
    read = read if keyword == "OtherPatientIDs" else read.rstrip("=")
    sent = dataset(charset, keyword, written)
    item = Dataset()
    item.ScheduledProcedureStepSequence = [dataset(None, keyword, written)]
    item.SpecificCharacterSet = charset
    for each in (sent, received(sent)):
        assert texts(each, keyword) == (read,)
    for each in (item, received(item)):
        assert texts(each, f"ScheduledProcedureStepSequence.{keyword}") == (read,)


PARTS = [b"A", b"\\", b"^", b"=", b" ", b"\0", b"\x81\\", b"\xd5\xc5", b"\xff", b"$\\"]
PARTS += [b"\x1b$B", b"\x1b(B", b"\x1b(J", b"\x1b)I", b"\x1b$)C", b"\x1b$)A", "王".encode()]
CHARSETS = st.sampled_from([None, "ISO_IR 999", "ISO_IR 144", *(charset for charset, _, _ in WRITTEN)])
KEYWORDS = st.sampled_from(["PatientName", "OtherPatientNames", "PatientID", "StudyDescription", "PatientComments"])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(CHARSETS, KEYWORDS, st.lists(st.sampled_from(PARTS), max_size=5).map(b"".join), st.booleans())
def test_octets_of_a_handler_are_what_a_peer_reads(
    charset: CharacterSet | None, keyword: str, octets: bytes, divided: bool
) -> None:
    """Also once they were sent, and where pydicom warns that they are no characters."""
    with warnings.catch_warnings(action="ignore"):
        sent = dataset(charset, keyword, octets.split(b"\\") if divided else octets)
        before, read, after = texts(sent, keyword), texts(received(sent), keyword), texts(sent, keyword)
    assert before == read == after


def test_a_name_is_what_it_was_made_of_though_it_was_sent_where_it_cannot_be_written() -> None:
    """pydicom remembers what it was written as."""
    sent = dataset("ISO_IR 100", "PatientName", "王")
    with pytest.warns(UserWarning, match="Failed to encode"):
        assert received(sent).PatientName == "?"
    assert sent.PatientName.original_string == b"?"
    assert texts(sent, "PatientName") == ("王",)


@pytest.mark.parametrize(("charset", "written", "read"), WRITTEN)
def test_rows_of_octets_are_seen_where_their_studies_are_in_scope(
    charset: CharacterSet, written: bytes, read: str
) -> None:
    index = Index([study(1, "P1"), study(2, "P2")])

    def on_find(event: evt.Event) -> Rows:
        for found in index.find(event.identifier):
            found.SpecificCharacterSet = charset
            found.PatientName = written if found.StudyInstanceUID == "1.2.1" else "Doe^Jane"
            yield 0xFF00, found

    assert len(answers(on_find, ALL, STUDY_ROOT["FIND"], None)[1]) == 2
    (row,) = answers(on_find, ALL, STUDY_ROOT["FIND"], {"PatientName": read})[1]
    assert row.StudyInstanceUID == "1.2.1"


@pytest.mark.parametrize(("charset", "written", "read"), WRITTEN)
def test_instances_of_octets_are_retrieved(charset: CharacterSet, written: bytes, read: str) -> None:
    index = Index([study(1, "P1", PatientName=read)])

    def on_get(event: evt.Event) -> Rows:
        yield 1  # type: ignore[misc]  # the number of sub-operations comes first
        made = instance({"StudyInstanceUID": "1.2.1", "SOPInstanceUID": "1.2.1.1", "PatientName": written})
        made.SpecificCharacterSet = charset
        stored = received(made)
        stored.file_meta = made.file_meta
        yield 0xFF00, stored

    came: list[Dataset] = []
    wanted = identifier("STUDY", StudyInstanceUID="1.2.1")
    with (
        archive([index.handlers[0], (evt.EVT_C_GET, on_get)], {"PatientName": read}) as acceptor,
        association(acceptor, came) as assoc,
    ):
        assert retrieve(assoc.send_c_get(wanted, STUDY_ROOT["GET"]))[0].Status == 0x0000
    assert [texts(each, "PatientName") for each in came] == [(read.rstrip("="),)]
