"""A-ASSOCIATE PDUs on the wire: read whole or refused, with PDUs that real peers sent."""

from __future__ import annotations

from struct import pack

import pytest

from tests.lib.pdus import (
    APPLICATION_CONTEXT,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MAXIMUM_LENGTH,
    VERIFICATION,
    associate_rq,
    item,
    pdu,
    presentation_context,
    user_identity,
)
from tests.wire.vectors import MANY_CONTEXTS, VECTORS, Vector, associate_ac, with_user_information
from useridentity.credential import Credential, IdentityType
from useridentity.errors import WireError
from useridentity.wire import MAX_ASSOCIATE_LENGTH, decode

vectors = pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])

ALICE = user_identity(2, b"alice", b"open sesame", positive_response_requested=True)
CREDENTIAL = Credential(2, b"alice", b"open sesame", True)
UNKNOWN = item(0x5A, b"from a later edition")


def broken(request: bytes) -> WireError:
    """The error that decoding raises."""
    with pytest.raises(WireError) as caught:
        decode(request)
    return caught.value


@vectors
def test_everything_in_a_real_pdu_is_found(vector: Vector) -> None:
    """Each value of the table, and the same bytes again."""
    found = decode(vector.pdu)
    assert found.pdu_type == vector.pdu_type
    assert (found.called_ae_title, found.calling_ae_title) == (vector.called, vector.calling)
    assert found.protocol_version == 1
    assert found.application_context_name == APPLICATION_CONTEXT
    assert found.abstract_syntaxes == vector.abstract_syntaxes
    assert found.credential == vector.credential
    assert found.server_response == vector.server_response
    assert found.free == vector.free
    assert found.encode() == vector.pdu


@vectors
def test_no_part_of_a_real_pdu_is_taken_for_the_whole(vector: Vector) -> None:
    """Every proper prefix is refused, and every PDU that lacks one byte."""
    for at in range(len(vector.pdu)):
        broken(vector.pdu[:at])
        broken(vector.pdu[:at] + vector.pdu[at + 1 :])


@vectors
def test_no_byte_can_be_lost_without_a_trace(vector: Vector) -> None:
    """Prefixes and PDUs that lack one byte, with the PDU-length that they have: refused, or read as they are."""
    for at in range(74, len(vector.pdu)):
        for part in (vector.pdu[6:at], vector.pdu[6:at] + vector.pdu[at + 1 :]):
            whole = pdu(vector.pdu_type, part)
            try:
                found = decode(whole)
            except WireError:
                continue
            assert found.encode() == whole
            assert found.credential in (None, vector.credential)


def test_128_presentation_contexts_are_read() -> None:
    """As many as there are identifiers."""
    found = decode(MANY_CONTEXTS)
    assert len(found.abstract_syntaxes) == 128
    assert found.credential == CREDENTIAL
    assert found.encode() == MANY_CONTEXTS


def test_nothing_secret_is_in_the_repr() -> None:
    """Neither fields nor the bytes they came in."""
    shown = repr(decode(associate_rq(ALICE))) + repr(decode(associate_ac(item(0x59, b"\0\x06sesame"))))
    assert "alice" not in shown
    assert "sesame" not in shown


def test_any_octets_like_bytes_are_read() -> None:
    """A receive buffer may be reused afterwards."""
    buffer = bytearray(associate_rq(ALICE))
    found = decode(buffer)
    buffer[:] = bytes(len(buffer))
    assert found.credential == CREDENTIAL
    assert type(found.credential.primary_field) is bytes


@pytest.mark.parametrize("octet", [0, *IdentityType, 6, 255])
def test_the_identity_type_is_carried_as_sent(octet: int) -> None:
    """Whether a type is known is the policy's question."""
    credential = Credential(octet, b"primary", b"")
    assert decode(decode(associate_rq()).with_credential(credential)).credential == credential


@pytest.mark.parametrize(("octet", "requested"), [(0, False), (1, True), (2, True), (255, True)])
def test_any_octet_but_0_requests_a_positive_response(octet: int, requested: bool) -> None:
    """As stock pynetdicom has it."""
    sent = bytearray(associate_rq(ALICE))
    sent[sent.index(ALICE) + 5] = octet
    credential = decode(sent).credential
    assert credential is not None
    assert credential.positive_response_requested is requested


def test_empty_fields_are_fields() -> None:
    """An empty name, an empty passcode: well-formed, and for a validator to refuse."""
    sent = associate_rq(user_identity(2, b"", b""))
    assert decode(sent).credential == Credential(2, b"", b"", False)


def test_unknown_user_sub_items_are_kept_and_ignored() -> None:
    """PS3.7 D.2: an association is not rejected for them; stock pynetdicom would abort it."""
    found = decode(associate_rq(UNKNOWN, ALICE, UNKNOWN))
    assert found.credential == CREDENTIAL
    assert found.encode() == associate_rq(UNKNOWN, ALICE, UNKNOWN)
    assert found.without_identity() == associate_rq(UNKNOWN, UNKNOWN)
    assert found.normalised() == associate_rq()


MALFORMED = {
    "two 58H": (associate_rq(ALICE, ALICE), "PS3.7 D.3.3.7"),
    "two 50H": (pdu(1, associate_rq(ALICE)[6:] + item(0x50, b"")), "PS3.8 9.3.2"),
    "59H in a request": (associate_rq(ALICE, item(0x59, b"\0\0")), "PS3.7 D.3.3.7.2"),
    "58H outside the user information": (pdu(1, associate_rq()[6:] + ALICE), "PS3.7 D.3.3.7"),
    "58H in a presentation context": (
        associate_rq(contexts=(item(0x20, presentation_context(1, VERIFICATION)[4:] + ALICE),)),
        "PS3.7 D.3.3.7",
    ),
    "no fields": (associate_rq(item(0x58, b"")), "PS3.7 Table D.3-14"),
    "no secondary field length": (associate_rq(item(0x58, b"\1\1\0\5alice")), "PS3.7 Table D.3-14"),
    "half a secondary field length": (associate_rq(item(0x58, b"\1\1\0\5alice\0")), "PS3.7 Table D.3-14"),
    "primary field too long": (associate_rq(item(0x58, b"\2\1\0\x99alice\0\0")), "PS3.7 Table D.3-14"),
    "primary field too short": (associate_rq(item(0x58, b"\2\1\0\4alice\0\0")), "PS3.7 Table D.3-14"),
    "secondary field too long": (associate_rq(item(0x58, b"\2\1\0\5alice\0\2x")), "PS3.7 Table D.3-14"),
    "bytes after the secondary field": (associate_rq(item(0x58, b"\2\1\0\5alice\0\1xy")), "PS3.7 Table D.3-14"),
    "secondary field of type 1": (associate_rq(user_identity(1, b"alice", b"x")), "PS3.7 Table D.3-14"),
    "secondary field of type 6": (associate_rq(user_identity(6, b"alice", b"x")), "PS3.7 Table D.3-14"),
    "58H longer than the user information": (
        with_user_information(item(0x50, MAXIMUM_LENGTH + b"\x58\0\x01\0" + ALICE[4:])),
        "PS3.8 9.3.2",
    ),
    "58H header cut short": (with_user_information(item(0x50, MAXIMUM_LENGTH + b"\x58\0")), "PS3.8 9.3.2"),
}


@pytest.mark.parametrize(("request_bytes", "rule"), MALFORMED.values(), ids=MALFORMED)
@pytest.mark.threat("T3")
def test_a_malformed_identity_is_refused_as_one(request_bytes: bytes, rule: str) -> None:
    """The error names the rule, and says that it is about the identity, which is answered with a rejection."""
    assert decode(associate_rq(ALICE)).credential == CREDENTIAL  # the twin without the defect
    error = broken(request_bytes)
    assert (error.rule, error.about_identity) == (rule, True)
    assert "alice" not in str(error)


CONTEXT = presentation_context(1, VERIFICATION)
NOT_A_PDU = {
    "nothing": (b"", "PS3.8 Table 9-11"),
    "no variable items fit": (associate_rq()[:73], "PS3.8 Table 9-11"),
    "PDU-length too large": (associate_rq()[:2] + pack(">I", 0xFFFFFFFF) + associate_rq()[6:], "PS3.8 Table 9-11"),
    "bytes after the PDU": (associate_rq() + b"\0", "PS3.8 Table 9-11"),
    "an A-RELEASE-RQ": (pdu(5, associate_rq()[6:]), "PS3.8 Table 9-11"),
    "called AE title blank": (associate_rq(called=""), "PS3.8 Table 9-11"),
    "calling AE title with a backslash": (associate_rq(calling="A\\B"), "PS3.8 Table 9-11"),
    "calling AE title not ASCII": (associate_rq().replace(b"RAW ", b"R\xd6W "), "PS3.8 Table 9-11"),
    "calling AE title with a control character": (associate_rq(calling="A\x00B"), "PS3.8 Table 9-11"),
    "item longer than the PDU": (pdu(1, associate_rq()[6:] + b"\x60\0\0\1"), "PS3.8 9.3.2"),
    "item header cut short": (pdu(1, associate_rq()[6:] + b"\x60\0"), "PS3.8 9.3.2"),
    "user information longer than the PDU": (with_user_information(b"\x50\0\0\x99" + MAXIMUM_LENGTH), "PS3.8 9.3.2"),
    "sub-item longer than the user information": (associate_rq(b"\x55\0\0\x09short"), "PS3.8 9.3.2"),
    "sub-item longer than its context": (associate_rq(contexts=(item(0x20, CONTEXT[4:-1]),)), "PS3.8 9.3.2"),
    "context without its fixed fields": (associate_rq(contexts=(item(0x20, b"\1\0\0"),)), "PS3.8 9.3.2.2"),
    "context with an even identifier": (associate_rq(contexts=(presentation_context(2, "1.2"),)), "PS3.8 9.3.2.2"),
    "context without transfer syntax": (associate_rq(contexts=(presentation_context(1, "1.2", ()),)), "PS3.8 9.3.2.2"),
    "context with an empty one": (associate_rq(contexts=(presentation_context(1, "1.2", ("",)),)), "PS3.8 9.3.2.2"),
    "context without abstract syntax": (
        associate_rq(contexts=(CONTEXT, item(0x20, b"\3\0\0\0" + item(0x40, b"1.2")))),
        "PS3.8 9.3.2.2",
    ),
    "129 contexts": (associate_rq(contexts=(CONTEXT,) * 129), "PS3.8 Table 9-13"),
    "abstract syntax too long": (associate_rq(contexts=(presentation_context(1, "1" * 65),)), "PS3.8 F.1"),
    "transfer syntax not ASCII": (associate_rq(contexts=(CONTEXT[:-1] + b"\xff",)), "PS3.8 F.1"),
    "the same behind a reserved byte": (
        associate_rq(contexts=(CONTEXT[:6] + b"\3" + CONTEXT[7:-1] + b"\xff",)),
        "PS3.8 F.1",
    ),
    "transfer syntax of an accepted context not ASCII": (
        associate_ac().replace(IMPLICIT_VR_LITTLE_ENDIAN.encode(), b"\xff" * 17),
        "PS3.8 F.1",
    ),
}


@pytest.mark.parametrize(("request_bytes", "rule"), NOT_A_PDU.values(), ids=NOT_A_PDU)
def test_another_malformed_pdu_is_refused_as_such(request_bytes: bytes, rule: str) -> None:
    """Answered with an abort. Stock aborts over them as well, or hangs over those of PS3.8 9.3.2.2."""
    assert decode(associate_rq()).abstract_syntaxes == (VERIFICATION,)  # the twin without the defect
    error = broken(request_bytes)
    assert (error.rule, error.about_identity) == (rule, False)


def test_the_size_of_a_pdu_is_limited() -> None:
    """To the byte, by the caller or by default."""
    sent = associate_rq()
    assert decode(sent, limit=len(sent)).encode() == sent
    with pytest.raises(WireError, match=f"{len(sent)} bytes"):
        decode(sent, limit=len(sent) - 1)
    broken(pdu(1, sent[6:] + item(0x60, bytes(60000)) * 5))
    assert MAX_ASSOCIATE_LENGTH > 74 + 25 + 128 * (8 + 21 * 68) + 4 + 65535


AC_TABLE = "PS3.7 Table D.3-15"
UNCONFIRMED = {"no sub-item": (), "a 58H sent back": (ALICE,), "a malformed 58H": (item(0x58, b"\1"),)}


@pytest.mark.parametrize("sub_items", UNCONFIRMED.values(), ids=UNCONFIRMED)
def test_an_acceptance_without_59h_confirms_nothing(sub_items: tuple[bytes, ...]) -> None:
    """Whatever of the request's identity it sends back; stock pynetdicom would show that to the application."""
    assert decode(associate_ac(item(0x59, b"\0\0"))).server_response == b""  # the twin that confirms
    found = decode(associate_ac(*sub_items))
    assert (found.credential, found.server_response) == (None, None)
    assert found.normalised() == associate_ac()


def test_a_server_response_is_found_beside_a_58h_sent_back() -> None:
    """In any order; and both are taken out."""
    for sub_items in ((ALICE, item(0x59, b"\0\2ok")), (item(0x59, b"\0\2ok"), ALICE, ALICE)):
        found = decode(associate_ac(*sub_items, UNKNOWN))
        assert found.server_response == b"ok"
        assert found.without_identity() == associate_ac(UNKNOWN)


@pytest.mark.parametrize("content", [b"", b"\0", b"\0\3ok", b"\0\1ok"])
def test_a_malformed_server_response_is_refused(content: bytes) -> None:
    """Lengths of the 59H, too short and too long."""
    assert decode(associate_ac(item(0x59, b"\0\2ok"))).server_response == b"ok"
    error = broken(associate_ac(item(0x59, content)))
    assert (error.rule, error.about_identity) == (AC_TABLE, True)


def test_two_server_responses_are_refused() -> None:
    """One may hide the other."""
    error = broken(associate_ac(item(0x59, b"\0\0"), item(0x59, b"\0\2ok")))
    assert (error.rule, error.about_identity) == ("PS3.7 D.3.3.7", True)


def test_the_ae_titles_of_an_acceptance_may_be_anything() -> None:
    """They are reserved there and not tested (PS3.8 Table 9-17)."""
    found = decode(associate_ac().replace(b"RAW ", b"R\xd6W\0").replace(b"ANY-SCP", b"       "))
    assert (found.called_ae_title, found.calling_ae_title) == ("", "R\\xd6W")
