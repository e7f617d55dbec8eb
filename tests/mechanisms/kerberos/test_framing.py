"""What a peer may put into a primary field: the three forms, octet by octet, and nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from useridentity.errors import WireError
from useridentity.mechanisms.kerberos.der import element, only, split
from useridentity.mechanisms.kerberos.framing import (
    KERBEROS_OID,
    MICROSOFT_KERBEROS_OID,
    SPNEGO_OID,
    ApReq,
    Form,
    answer_to,
    bare_ap_rep,
    bare_ap_req,
    framed_ap_rep,
    framed_ap_req,
    read_ap_req,
)

PVNO = bytes.fromhex("a003 020105")
AP_REQ_TYPE = bytes.fromhex("a103 02010e")
MUTUAL_REQUIRED = bytes.fromhex("a207 0305 00 20000000")
TICKET = bytes.fromhex("a306 6104 30020500")  # whatever is within [APPLICATION 1]
ETYPE, KVNO, CIPHER = bytes.fromhex("a003 020112"), bytes.fromhex("a103 020101"), bytes.fromhex("a205 0403 616263")
NTLM_OID = bytes.fromhex("060a2b06010401823702020a")


def authenticator(*parts: bytes) -> bytes:
    return element(0xA4, element(0x30, *parts))


def ap_req(*parts: bytes) -> bytes:
    return element(0x6E, element(0x30, *parts))


def spnego(*mechanisms: bytes, token: bytes = b"", flags: bytes = b"", mic: bytes = b"") -> bytes:
    fields = element(0xA0, element(0x30, *mechanisms)) + flags + element(0xA2, element(4, token)) + mic
    return element(0x60, SPNEGO_OID, element(0xA0, element(0x30, fields)))


AUTHENTICATOR = authenticator(ETYPE, CIPHER)


def bare(options: bytes = MUTUAL_REQUIRED, ticket: bytes = TICKET, authenticator: bytes = AUTHENTICATOR) -> bytes:
    return ap_req(PVNO, AP_REQ_TYPE, options, ticket, authenticator)


RAW = bare()
GSS = framed_ap_req(RAW)
AP_REP = bytes.fromhex("6f023000")

WELL_FORMED = {
    "bare": (RAW, Form.RAW),
    "bare with a key version": (bare(authenticator=authenticator(ETYPE, KVNO, CIPHER)), Form.RAW),
    "bare with options cut to the bits that are set, as asn1crypto does": (
        bare(options=bytes.fromhex("a204 0302 05 20")),
        Form.RAW,
    ),
    "framed": (GSS, Form.GSS),
    "negotiated": (spnego(KERBEROS_OID, token=GSS), Form.SPNEGO),
    "negotiated by Windows": (spnego(MICROSOFT_KERBEROS_OID, KERBEROS_OID, NTLM_OID, token=GSS), Form.SPNEGO),
    "negotiated with flags and MIC": (
        spnego(KERBEROS_OID, token=GSS, flags=bytes.fromhex("a104 03020142"), mic=bytes.fromhex("a303 040161")),
        Form.SPNEGO,
    ),
}
MALFORMED = {
    "nothing": b"",
    "a username": b"alice",
    "a JWT": b"eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
    "a KRB_AP_REP": AP_REP,
    "a KRB-ERROR": bytes.fromhex("7e023000"),
    "no content": bytes.fromhex("6e00"),
    "only a tag": bytes.fromhex("6e"),
    "an indefinite length": bytes.fromhex("6e80") + RAW[2:] + b"\0\0",
    "a length longer than it need be": bytes.fromhex("6e8100") + RAW[1:2] + RAW[2:],
    "a length of four octets": bytes.fromhex("6e8400000000"),
    "another version": ap_req(bytes.fromhex("a003 020104"), AP_REQ_TYPE, MUTUAL_REQUIRED, TICKET, AUTHENTICATOR),
    "another message type": ap_req(PVNO, bytes.fromhex("a103 02010c"), MUTUAL_REQUIRED, TICKET, AUTHENTICATOR),
    "options of another kind": bare(options=bytes.fromhex("a206 0404 20000000")),
    "no ticket": ap_req(PVNO, AP_REQ_TYPE, MUTUAL_REQUIRED, AUTHENTICATOR),
    "another thing for a ticket": bare(ticket=bytes.fromhex("a302 6200")),
    "no authenticator": ap_req(PVNO, AP_REQ_TYPE, MUTUAL_REQUIRED, TICKET),
    "two authenticators": ap_req(PVNO, AP_REQ_TYPE, MUTUAL_REQUIRED, TICKET, AUTHENTICATOR, AUTHENTICATOR),
    "an authenticator in clear": bare(authenticator=authenticator(ETYPE)),
    "fields in another order": ap_req(AP_REQ_TYPE, PVNO, MUTUAL_REQUIRED, TICKET, AUTHENTICATOR),
    "a frame of another mechanism": element(0x60, NTLM_OID, b"\x01\x00", RAW),
    "a frame for another token": element(0x60, KERBEROS_OID, b"\x02\x00", RAW),
    "a frame around a frame": framed_ap_req(GSS),
    "NTLM preferred": spnego(NTLM_OID, KERBEROS_OID, token=GSS),
    "no mechanism at all": spnego(token=GSS),
    "a negotiation without a token": element(
        0x60, SPNEGO_OID, element(0xA0, element(0x30, element(0xA0, element(0x30, KERBEROS_OID))))
    ),
    "a negotiation about a bare ticket": spnego(KERBEROS_OID, token=RAW),
    "a negotiation within a negotiation": spnego(KERBEROS_OID, token=spnego(KERBEROS_OID, token=GSS)),
}


@pytest.mark.parametrize("name", WELL_FORMED)
def test_each_form_is_told_by_its_octets_and_holds_the_same_request(name: str) -> None:
    field, form = WELL_FORMED[name]
    request = read_ap_req(field)
    assert request.form is form
    assert request.message[:1] == b"\x6e"
    assert request.authenticator == read_ap_req(RAW).authenticator


@pytest.mark.parametrize("name", MALFORMED)
def test_nothing_else_is_taken_for_a_ticket(name: str) -> None:
    with pytest.raises(WireError) as error:
        read_ap_req(MALFORMED[name])
    assert error.value.about_identity


@pytest.mark.parametrize("name", WELL_FORMED)
def test_every_form_must_be_whole_and_end_where_it_ends(name: str) -> None:
    field, _ = WELL_FORMED[name]
    for wrong in [field[:end] for end in range(len(field))] + [field + b"\0"]:
        with pytest.raises(WireError):
            read_ap_req(wrong)


def test_requests_that_differ_in_their_authenticator_only_are_two() -> None:
    other = bare(authenticator=authenticator(ETYPE, bytes.fromhex("a205 0403 616264")))
    assert read_ap_req(other).authenticator != read_ap_req(RAW).authenticator


def test_a_request_altered_outside_of_its_authenticator_is_still_the_same_one() -> None:
    other = bare(bytes.fromhex("a207 0305 00 00000000"), TICKET, authenticator(ETYPE, KVNO, CIPHER))
    assert read_ap_req(other).authenticator == read_ap_req(RAW).authenticator


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535])
def test_lengths_are_written_in_the_form_they_are_read_in(size: int) -> None:
    encoded = element(0x04, bytes(size))
    assert only(encoded, 0x04, "octets") == bytes(size)
    assert split(encoded + b"rest", 0x04, "octets") == (bytes(size), b"rest")


def test_frames_are_taken_off_as_they_were_put_on() -> None:
    assert bare_ap_req(GSS) == RAW
    assert bare_ap_rep(framed_ap_rep(AP_REP)) == AP_REP


@pytest.mark.parametrize("token", [b"", AP_REP, GSS, framed_ap_rep(AP_REP) + b"\0", bytes.fromhex("7e023000")])
@pytest.mark.threat("K12")
def test_only_a_framed_server_ticket_is_ever_sent_as_an_answer(token: bytes) -> None:
    """Nor is an error message of the library, which it returns where an answer would be."""
    with pytest.raises(WireError):
        answer_to(ApReq(RAW, Form.RAW), token)


def test_a_negotiation_is_answered_as_completed_with_the_mechanism_it_preferred() -> None:
    request = read_ap_req(spnego(MICROSOFT_KERBEROS_OID, KERBEROS_OID, token=GSS))
    token = framed_ap_rep(AP_REP)
    # RFC 4178 4.2.2: negState accept-completed, supportedMech, responseToken.
    expected = element(
        0xA1,
        element(
            0x30,
            bytes.fromhex("a003 0a0100"),
            element(0xA1, MICROSOFT_KERBEROS_OID),
            element(0xA2, element(0x04, token)),
        ),
    )
    assert answer_to(request, token) == expected


@settings(max_examples=500, deadline=None)
@example(b"\x60\x84")
@given(st.binary(max_size=200))
def test_random_octets_raise_nothing_but_wire_errors(octets: bytes) -> None:
    _only_wire_errors(octets)


@pytest.mark.threat("K11")
def test_mutants_raise_nothing_but_wire_errors() -> None:
    """The same 30 000 in every run: octets changed, inserted and removed at a few places each."""
    dice = random.Random(1)
    fields = [field for field, _ in WELL_FORMED.values()]
    for _ in range(30_000):
        field = dice.choice(fields)
        for _ in range(dice.randint(1, 4)):
            position = dice.randrange(len(field) + 1)
            field = field[:position] + dice.randbytes(dice.randrange(3)) + field[position + dice.randrange(3) :]
        _only_wire_errors(field)


def _only_wire_errors(octets: bytes) -> None:
    try:
        request = read_ap_req(octets)
    except WireError:
        return
    assert read_ap_req(framed_ap_req(request.message)).authenticator == request.authenticator
