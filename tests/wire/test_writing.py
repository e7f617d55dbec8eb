"""A-ASSOCIATE PDUs on the wire: identities put in and taken out, rejections and aborts written."""

from __future__ import annotations

import pytest
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ

from tests.lib.pdus import (
    IMPLEMENTATION_CLASS_UID,
    MAXIMUM_LENGTH,
    VERIFICATION,
    associate_rq,
    item,
    pdu,
    presentation_context,
    user_identity,
)
from tests.wire.vectors import VECTORS, Vector, associate_ac, with_user_information
from useridentity.credential import Credential
from useridentity.decision import CONGESTED, REFUSED
from useridentity.errors import CredentialUnavailable, WireError
from useridentity.wire import ACCEPT, REQUEST, decode, encode_abort, encode_rejection

ALICE = user_identity(2, b"alice", b"open sesame", positive_response_requested=True)
CREDENTIAL = Credential(2, b"alice", b"open sesame", True)
UNKNOWN = item(0x5A, b"from a later edition")
CONTEXT = presentation_context(1, VERIFICATION)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_a_real_pdu_is_written_as_its_peer_wrote_it(vector: Vector) -> None:
    """The identity taken out and put in again gives the same bytes, except that it is now the last sub-item."""
    bare = decode(decode(vector.pdu).without_identity())
    assert (bare.credential, bare.server_response, bare.free) == (None, None, vector.free)
    if vector.credential:
        written = bare.with_credential(vector.credential)
    elif vector.server_response is not None:
        written = bare.with_server_response(vector.server_response)
    else:
        written = bare.encode()
    assert sorted(written) == sorted(vector.pdu)
    assert written == vector.pdu or "every kind of negotiation" in vector.name
    assert decode(written).credential == vector.credential


BARE = {
    "pynetdicom": (next(vector.pdu for vector in VECTORS if "no identity" in vector.name), 65509 - 32 - 14),
    "UIDs and names as long as can be": (
        with_user_information(
            item(0x50, MAXIMUM_LENGTH + item(0x52, b"1" * 64) + item(0x55, b"V" * 16) + item(0x54, bytes(68)))
        ),
        65509 - 64 - 16 - 72,
    ),
    "empty user information": (with_user_information(item(0x50, b"")), 65525),
    "no user information": (with_user_information(), 65525),
    "user information first": (pdu(1, associate_rq()[6:74] + item(0x50, b"") + CONTEXT), 65525),
}


@pytest.mark.parametrize(("request_bytes", "free"), BARE.values(), ids=BARE)
def test_a_credential_may_fill_the_user_information_item_and_no_more(request_bytes: bytes, free: int) -> None:
    """PS3.8 9.3.2.3: one item of 65535 bytes holds all user data."""
    found = decode(request_bytes)
    assert found.free == free
    largest = Credential(2, b"p" * (free - 9), b"s" * 9, True)
    assert decode(found.with_credential(largest)).credential == largest
    assert decode(found.with_credential(largest)).free == free
    with pytest.raises(CredentialUnavailable, match=f"{free + 1} bytes.* room for {free} "):
        found.with_credential(Credential(3, b"t" * (free + 1)))


def test_a_server_response_may_fill_the_user_information_item_and_no_more() -> None:
    """Four bytes more than for a credential."""
    found = decode(associate_ac(item(0x59, b"\0\0")))
    assert found.free == 65535 - len(MAXIMUM_LENGTH + IMPLEMENTATION_CLASS_UID) - 6
    largest = bytes(found.free)
    assert decode(found.with_server_response(largest)).server_response == largest
    with pytest.raises(WireError, match=f"room for {found.free}") as caught:
        found.with_server_response(largest + b"\0")
    assert caught.value.about_identity


def test_where_nothing_is_free_not_even_an_empty_credential_fits() -> None:
    """The bytes free are negative then."""
    found = decode(with_user_information(item(0x50, item(0x5A, bytes(65525)))))
    assert found.free == 65535 - 65529 - 10
    with pytest.raises(CredentialUnavailable, match="room for 0 "):
        found.with_credential(Credential(1, b""))


@pytest.mark.parametrize("credential", [Credential(1, b"alice", b"x"), Credential(256, b"alice"), Credential(-1, b"")])
def test_what_a_58h_cannot_carry_is_not_sent(credential: Credential) -> None:
    """A secondary field beside another type than 2, or a type that is no octet."""
    found = decode(associate_rq())
    assert decode(found.with_credential(CREDENTIAL)).credential == CREDENTIAL
    with pytest.raises(CredentialUnavailable, match=r"PS3\.7 Table D\.3-14"):
        found.with_credential(credential)


def test_each_sub_item_goes_into_its_own_pdu() -> None:
    """A mistake of the caller, not of the peer."""
    assert (decode(associate_rq()).pdu_type, decode(associate_ac()).pdu_type) == (REQUEST, ACCEPT)
    with pytest.raises(ValueError, match="58H"):
        decode(associate_ac()).with_credential(CREDENTIAL)
    with pytest.raises(ValueError, match="59H"):
        decode(associate_rq()).with_server_response(b"")


def test_a_credential_takes_the_place_of_the_one_that_was_there() -> None:
    """A gateway may replace what a modality sent; the item's reserved byte stays as it was."""
    sent = bytearray(associate_rq(ALICE, UNKNOWN))
    sent[sent.index(MAXIMUM_LENGTH) - 3] = 0x7F
    written = decode(sent).with_credential(Credential(1, b"bob"))
    assert decode(written).credential == Credential(1, b"bob", b"", True)
    assert b"alice" not in written
    assert b"\x50\x7f" in written


def test_rejections_are_those_of_the_standard() -> None:
    """PS3.8 Table 9-21, and stock reads them."""
    assert encode_rejection(REFUSED).hex() == "03000000000400010201"
    decoded = A_ASSOCIATE_RJ()
    decoded.decode(encode_rejection(CONGESTED))
    assert (decoded.result, decoded.source, decoded.reason_diagnostic) == CONGESTED


def test_aborts_are_those_of_the_standard() -> None:
    """PS3.8 Table 9-26: by the UL service-provider, invalid PDU parameter value; and stock reads it."""
    assert encode_abort(2, 6).hex() == "07000000000400000206"
    decoded = A_ABORT_RQ()
    decoded.decode(encode_abort(2, 6))
    assert (decoded.source, decoded.reason_diagnostic) == (2, 6)
