"""A KRB_AP_REQ as it may lie in a primary field, and the answer in the same form.

PS3.7 Table D.3-14 asks for a "Kerberos Service ticket encoded in accordance with RFC-1510", which reads as the
bare KRB_AP_REQ. Requestors that let a GSS-API library make it send it framed (RFC 4121 4.1), or
framed and offered for negotiation (SPNEGO, RFC 4178). The forms differ in their first octets, so the
library is only ever given what has been recognised, and always in the same frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256

from useridentity.mechanisms.kerberos.der import element, malformed, only, split

AP_REQ, AP_REP = 0x6E, 0x6F  # [APPLICATION 14] and [APPLICATION 15] (RFC 4120 5.5.1, 5.5.2)
INITIAL_TOKEN = 0x60  # [APPLICATION 0] (RFC 2743 3.1)
TICKET = 0x61  # [APPLICATION 1] (RFC 4120 5.3)
INTEGER, BIT_STRING, OCTET_STRING, OID, ENUMERATED, SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x0A, 0x30

KERBEROS_OID = bytes.fromhex("06092a864886f712010202")  # 1.2.840.113554.1.2.2 (RFC 4121 1.1)
MICROSOFT_KERBEROS_OID = bytes.fromhex("06092a864882f712010202")  # 1.2.840.48018.1.2.2, what Windows offers first
SPNEGO_OID = bytes.fromhex("06062b0601050502")  # 1.3.6.1.5.5.2 (RFC 4178 3.2)
AP_REQ_TOKEN, AP_REP_TOKEN = b"\x01\x00", b"\x02\x00"  # TOK_ID (RFC 4121 4.1)

PVNO = element(INTEGER, b"\x05")
AP_REQ_TYPE = element(INTEGER, b"\x0e")
ACCEPT_COMPLETED = element(ENUMERATED, b"\x00")  # negState (RFC 4178 4.2.2)


class Form(Enum):
    """How a KRB_AP_REQ was sent, and therefore how it is answered."""

    RAW = "raw"
    """Bare, as PS3.7 reads."""
    GSS = "gss"
    """Framed by GSS-API (RFC 4121 4.1)."""
    SPNEGO = "spnego"
    """Offered as the preferred mechanism of a negotiation (RFC 4178)."""


@dataclass(frozen=True, slots=True)
class ApReq:
    """A well-formed KRB_AP_REQ; nothing of it has been verified.

    Fields:
        message: the bare message.
        form: how it came.
        mechanism: the OID it was offered under, where the form is SPNEGO.
        authenticator: SHA-256 of the encrypted authenticator, the one part that no two requests share
            and that nobody without the session key can alter; the same in every form.
    """

    message: bytes = field(repr=False)
    form: Form
    mechanism: bytes = b""
    authenticator: str = ""


def read_ap_req(primary_field: bytes) -> ApReq:
    """The KRB_AP_REQ in a primary field; raises `WireError` where there is none, or one that breaks RFC 4120."""
    form, mechanism, message = _unwrapped(primary_field)
    return ApReq(message, form, mechanism, sha256(_authenticator(message)).hexdigest())


def framed_ap_req(message: bytes) -> bytes:
    """A bare KRB_AP_REQ as the GSS-API token that holds it."""
    return element(INITIAL_TOKEN, KERBEROS_OID, AP_REQ_TOKEN, message)


def bare_ap_req(token: bytes) -> bytes:
    """The KRB_AP_REQ in a GSS-API token; raises `WireError`."""
    return _bare(token, AP_REQ_TOKEN, AP_REQ, "KRB_AP_REQ")


def framed_ap_rep(message: bytes) -> bytes:
    """A bare KRB_AP_REP as the GSS-API token that holds it; raises `WireError` where it is none."""
    only(message, AP_REP, "KRB_AP_REP")
    return element(INITIAL_TOKEN, KERBEROS_OID, AP_REP_TOKEN, message)


def bare_ap_rep(token: bytes) -> bytes:
    """The KRB_AP_REP in a GSS-API token; raises `WireError`."""
    return _bare(token, AP_REP_TOKEN, AP_REP, "KRB_AP_REP")


def answer_to(request: ApReq, token: bytes) -> bytes:
    """The library's KRB_AP_REP token in the form that `request` came in; raises `WireError` where it is none."""
    message = bare_ap_rep(token)
    if request.form is Form.RAW:
        return message
    if request.form is Form.GSS:
        return token
    return _negotiated(request.mechanism, token)


def _unwrapped(primary_field: bytes) -> tuple[Form, bytes, bytes]:
    if primary_field[:1] == bytes([AP_REQ]):
        return Form.RAW, b"", primary_field
    if primary_field[:1] != bytes([INITIAL_TOKEN]):
        first = primary_field[:1].hex().upper()
        raise malformed(f"neither a KRB_AP_REQ (6EH) nor a GSS-API token (60H), it begins with {first or 'nothing'}")
    content = only(primary_field, INITIAL_TOKEN, "the GSS-API token")
    if content.startswith(SPNEGO_OID):
        mechanism, token = _offered(content.removeprefix(SPNEGO_OID))
        return Form.SPNEGO, mechanism, bare_ap_req(token)
    return Form.GSS, b"", bare_ap_req(primary_field)


def _bare(token: bytes, token_id: bytes, tag: int, name: str) -> bytes:
    content = only(token, INITIAL_TOKEN, "the GSS-API token")
    if not content.startswith(KERBEROS_OID + token_id):
        raise malformed(f"the GSS-API token holds no {name}", "RFC 4121 4.1")
    message = content.removeprefix(KERBEROS_OID + token_id)
    only(message, tag, name)
    return message


def _authenticator(message: bytes) -> bytes:
    """The cipher text of the authenticator (RFC 4120 5.5.1, 5.2.9)."""
    rest = only(only(message, AP_REQ, "KRB_AP_REQ"), SEQUENCE, "AP-REQ")
    pvno, rest = split(rest, 0xA0, "pvno")
    message_type, rest = split(rest, 0xA1, "msg-type")
    options, rest = split(rest, 0xA2, "ap-options")
    ticket, rest = split(rest, 0xA3, "ticket")
    if (pvno, message_type) != (PVNO, AP_REQ_TYPE):
        raise malformed("not version 5 of Kerberos, or not a KRB_AP_REQ", "RFC 4120 5.5.1")
    only(options, BIT_STRING, "ap-options")  # of 32 bits (RFC 4120 5.2.8), or fewer: some leave out those that are zero
    only(ticket, TICKET, "ticket")
    return _cipher(only(only(rest, 0xA4, "authenticator"), SEQUENCE, "EncryptedData"))


def _cipher(encrypted_data: bytes) -> bytes:
    etype, rest = split(encrypted_data, 0xA0, "etype")
    only(etype, INTEGER, "etype")
    if rest[:1] == b"\xa1":
        version, rest = split(rest, 0xA1, "kvno")
        only(version, INTEGER, "kvno")
    return only(only(rest, 0xA2, "cipher"), OCTET_STRING, "cipher")


def _offered(negotiation: bytes) -> tuple[bytes, bytes]:
    """The preferred mechanism of a NegTokenInit, and the token made for it (RFC 4178 4.2.1).

    One association request has room for one token, so the preferred mechanism must be Kerberos: a
    token for any other cannot be answered by a request to try again.
    """
    rest = only(only(negotiation, 0xA0, "negTokenInit"), SEQUENCE, "NegTokenInit")
    mechanisms, rest = split(rest, 0xA0, "mechTypes")
    preferred, _ = split(only(mechanisms, SEQUENCE, "MechTypeList"), OID, "the preferred mechanism")
    mechanism = element(OID, preferred)
    if mechanism not in (KERBEROS_OID, MICROSOFT_KERBEROS_OID):
        raise malformed("the preferred mechanism of the negotiation is not Kerberos", "RFC 4178 4.2.1")
    if rest[:1] == b"\xa1":
        _, rest = split(rest, 0xA1, "reqFlags")
    token, rest = split(rest, 0xA2, "mechToken")
    if rest:
        only(rest, 0xA3, "mechListMIC")
    return mechanism, only(token, OCTET_STRING, "mechToken")


def _negotiated(mechanism: bytes, token: bytes) -> bytes:
    """A NegTokenResp that completes the negotiation; needs no mechListMIC, the preferred mechanism won (RFC 4178 5)."""
    fields = (
        element(0xA0, ACCEPT_COMPLETED),
        element(0xA1, mechanism),
        element(0xA2, element(OCTET_STRING, token)),
    )
    return element(0xA1, element(SEQUENCE, *fields))
