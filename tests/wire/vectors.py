"""A-ASSOCIATE PDUs as real peers sent them, and what is in them; one table for decoder, encoder and fuzzer.

Captured on loopback, with one exception: the SAML assertion, ticket, token and AP-REP are short stand-ins,
since no peer looks into them.
"""

from __future__ import annotations

from base64 import b64decode
from typing import NamedTuple
from zlib import decompress

from tests.lib.pdus import IMPLICIT_VR_LITTLE_ENDIAN, MAXIMUM_LENGTH, associate_rq, item, pdu
from useridentity.credential import Credential
from useridentity.wire import ACCEPT, REQUEST


class Vector(NamedTuple):
    """A PDU and every value that `decode` must find in it; `free` is computed by hand from its user information."""

    name: str
    pdu_type: int
    called: str
    calling: str
    free: int
    pdu: bytes
    abstract_syntaxes: tuple[str, ...] = ()
    credential: Credential | None = None
    server_response: bytes | None = None


TICKET = bytes.fromhex("6e820102") + bytes(range(60))
ASSERTION = b'<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="a1"/>'
TOKEN = b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."
AP_REP = bytes.fromhex("6f5b3059a003020105a10302010f")

# 128 presentation contexts, zlib and base64: DCMTK 3.6.7 storescu -usr alice -pwd "open sesame" -rsp, all it can store.
MANY_CONTEXTS = decompress(
    b64decode(
        "eNqlmnFojHEYx3+HJS3NWqOZMWlJ2ut937t73zuztnU2rXV7733vFktaS5cWM1qSJEmSJEmSJGlJkiRJkiRJkiRJkiRJkiRJkua9nf2x+D7Pr+e9"
        "dW13936+fX/P73mf3/P73WJKqaYxFVOqo7e/OZ/JNU4+8gUv6Mxn+iZfK+YxR6lay7CNVMI0LNM0U0bcsEo/IbkqpsaVqVTD1AuS4ceJiYvS4TPe"
        "rlTN1AtKr0q8P13O2+Hb1f+8XTJVwYimwistwtRMOY9NzWJHGv4mTFXKeWiqZXZZdAEStcI/sKdclRjHcapmxxkn41Qj57GpWj4jnCRhap6cx6bq"
        "NETThKl6OY8zqoFPCZvIqEViHMdpMT/OOFWjlsh5aCrVVBatgwPFhrJLZSw2s4wRJGYsu1zGQjMrm8uC9XB01ILirZDSOH8sZv4tpiLF5TyOUpId"
        "JzFpniulcZTS7ChtMkotch5HqZUdJ2HJa5PSOEod7ChJS35GzmNTnZyoSbcma+Q8nrpuJvhkNnk9UhobyjKSZIw8T0rjafP5dckmioCfl/PQVGtf"
        "WXQhzAWbzvBgbQQBbKufVyUTKlgfQQBP4QaN7Q81hQNyHrdwg3wPRkQqt1GM4zgV2XHSi8smOY9NDfH3T5LqvzfLeWxqWEPUJEyNyHncX25nekRi"
        "j5kdlbG4ju9gKzHVOe2U0tjQLkbSJQ3tltLY0B5WkurA90ppbGgfK0ktvfulNDZ0gJUkUto7KKWhofShsuR82O8Q93zvYSEM7bQdKSs2whGGMQ9f"
        "EnldOBpJAls7pqdLJFTheCQJbO2Eni6RWoWTkSRwwp/itkJ2ikj401Iar3Nn+HUqQa1zZ+U87pzO8a0PUTlzY2IcF4bzzL3tOERhuCCEsZ2LnKJL"
        "2LkkhHEWXWayIJEimxP/ipzHpq5qiBKz5l+T89jUdQ1RaqdyQ85jUzc1RKltwS05j03d1hClviu4I+exqbsaotQZ+D05j03d1xAl6oH/QM7jvcpD"
        "Zr9BGMo+krF4QXnMrAiOQ36b8kSMY0tPeU3qdOCZGMd903O9pofI78KLSBI4xV9qHNBQFeqVnMfN3GumHSNn0HsjpbGht4wk+f2K905K4+PC98xp"
        "30Q6UMeFHyIIYFsfdVSJghB8iiCAbX3WUSXaqOBLBAFs66uOKlEUgm8RBHAB/c51+eRRZu6HGMdV6qfGfwJQC/EvOY/j9JsfKLX2jYvx/1vKhauE"
        "r9QMpdpV8Lfa2K5jmIZrx03TMsM6U3o6htunVJXX1dWdH1idyRZ6BuKOu06pudNiqmJwy9DGoqoc2Vbc2jhaHB0cLv4Bua7LhA=="
    )
)

# An item a line, text as text.
# fmt: off
VECTORS = [
    Vector(
        'DCMTK 3.6.7 storescu -usr alice -pwd "open sesame" -rsp', REQUEST,
        called="ANY-SCP", calling="STORESCU", free=65467,
        abstract_syntaxes=("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2"),
        credential=Credential(2, b"alice", b"open sesame", True),
        pdu=b"\x01\x00\x00\x00\x01\x42" b"\x00\x01\x00\x00"  # A-ASSOCIATE-RQ, 322 bytes follow; protocol version 1
        b"ANY-SCP         "  # called AE title
        b"STORESCU        "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x20\x00\x00\x38" b"\x01\x00\xff\x00"  # 20H presentation context 1
        b"\x30\x00\x00\x19" b"1.2.840.10008.5.1.4.1.1.2"  #   30H abstract syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.1"  #   40H transfer syntax
        b"\x20\x00\x00\x4d" b"\x03\x00\xff\x00"  # 20H presentation context 3
        b"\x30\x00\x00\x19" b"1.2.840.10008.5.1.4.1.1.2"  #   30H abstract syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.2"  #   40H transfer syntax
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x50\x00\x00\x54"  # 50H user information, 84 bytes
        b"\x51\x00\x00\x04" b"\x00\x00\x40\x00"  #   51H maximum length 16384
        b"\x52\x00\x00\x1b" b"1.2.276.0.7230010.3.0.3.6.7"  #   52H implementation class UID
        b"\x55\x00\x00\x0f" b"OFFIS_DCMTK_367"  #   55H implementation version name
        b"\x58\x00\x00\x16" b"\x02\x01"  #   58H user identity: type 2, positive response requested
        b"\x00\x05" b"alice"  #     primary field, 5 bytes
        b"\x00\x0b" b"open sesame",  #     secondary field, 11 bytes
    ),
    Vector(
        "DCMTK 3.6.7 storescu -usr alice -epw -rsp", REQUEST,
        called="ANY-SCP", calling="STORESCU", free=65467,
        abstract_syntaxes=("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2"),
        credential=Credential(2, b"alice", b"", True),
        pdu=b"\x01\x00\x00\x00\x01\x37" b"\x00\x01\x00\x00"  # A-ASSOCIATE-RQ, 311 bytes follow; protocol version 1
        b"ANY-SCP         "  # called AE title
        b"STORESCU        "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x20\x00\x00\x38" b"\x01\x00\xff\x00"  # 20H presentation context 1
        b"\x30\x00\x00\x19" b"1.2.840.10008.5.1.4.1.1.2"  #   30H abstract syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.1"  #   40H transfer syntax
        b"\x20\x00\x00\x4d" b"\x03\x00\xff\x00"  # 20H presentation context 3
        b"\x30\x00\x00\x19" b"1.2.840.10008.5.1.4.1.1.2"  #   30H abstract syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.2"  #   40H transfer syntax
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x50\x00\x00\x49"  # 50H user information, 73 bytes
        b"\x51\x00\x00\x04" b"\x00\x00\x40\x00"  #   51H maximum length 16384
        b"\x52\x00\x00\x1b" b"1.2.276.0.7230010.3.0.3.6.7"  #   52H implementation class UID
        b"\x55\x00\x00\x0f" b"OFFIS_DCMTK_367"  #   55H implementation version name
        b"\x58\x00\x00\x0b" b"\x02\x01"  #   58H user identity: type 2, positive response requested
        b"\x00\x05" b"alice"  #     primary field, 5 bytes
        b"\x00\x00",  #     secondary field, 0 bytes
    ),
    Vector(
        "DCMTK 3.6.7 storescu -kt ticket -rsp", REQUEST,
        called="ANY-SCP", calling="STORESCU", free=65467,
        abstract_syntaxes=("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2"),
        credential=Credential(3, TICKET, b"", True),
        pdu=b"\x01\x00\x00\x00\x01\x72" b"\x00\x01\x00\x00"  # A-ASSOCIATE-RQ, 370 bytes follow; protocol version 1
        b"ANY-SCP         "  # called AE title
        b"STORESCU        "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x20\x00\x00\x38" b"\x01\x00\xff\x00"  # 20H presentation context 1
        b"\x30\x00\x00\x19" b"1.2.840.10008.5.1.4.1.1.2"  #   30H abstract syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.1"  #   40H transfer syntax
        b"\x20\x00\x00\x4d" b"\x03\x00\xff\x00"  # 20H presentation context 3
        b"\x30\x00\x00\x19" b"1.2.840.10008.5.1.4.1.1.2"  #   30H abstract syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.2"  #   40H transfer syntax
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x50\x00\x00\x84"  # 50H user information, 132 bytes
        b"\x51\x00\x00\x04" b"\x00\x00\x40\x00"  #   51H maximum length 16384
        b"\x52\x00\x00\x1b" b"1.2.276.0.7230010.3.0.3.6.7"  #   52H implementation class UID
        b"\x55\x00\x00\x0f" b"OFFIS_DCMTK_367"  #   55H implementation version name
        b"\x58\x00\x00\x46" b"\x03\x01"  #   58H user identity: type 3, positive response requested
        b"\x00\x40" + TICKET  #     primary field, 64 bytes
        + b"\x00\x00",  #     secondary field, 0 bytes
    ),
    Vector(
        "DCMTK 3.6.7 storescu --saml assertion.xml -rsp", REQUEST,
        called="ANY-SCP", calling="STORESCU", free=65467,
        abstract_syntaxes=("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2"),
        credential=Credential(4, ASSERTION, b"", True),
        pdu=b"\x01\x00\x00\x00\x01\x7e" b"\x00\x01\x00\x00"  # A-ASSOCIATE-RQ, 382 bytes follow; protocol version 1
        b"ANY-SCP         "  # called AE title
        b"STORESCU        "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x20\x00\x00\x38" b"\x01\x00\xff\x00"  # 20H presentation context 1
        b"\x30\x00\x00\x19" b"1.2.840.10008.5.1.4.1.1.2"  #   30H abstract syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.1"  #   40H transfer syntax
        b"\x20\x00\x00\x4d" b"\x03\x00\xff\x00"  # 20H presentation context 3
        b"\x30\x00\x00\x19" b"1.2.840.10008.5.1.4.1.1.2"  #   30H abstract syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.2"  #   40H transfer syntax
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x50\x00\x00\x90"  # 50H user information, 144 bytes
        b"\x51\x00\x00\x04" b"\x00\x00\x40\x00"  #   51H maximum length 16384
        b"\x52\x00\x00\x1b" b"1.2.276.0.7230010.3.0.3.6.7"  #   52H implementation class UID
        b"\x55\x00\x00\x0f" b"OFFIS_DCMTK_367"  #   55H implementation version name
        b"\x58\x00\x00\x52" b"\x04\x01"  #   58H user identity: type 4, positive response requested
        b"\x00\x4c" + ASSERTION  #     primary field, 76 bytes
        + b"\x00\x00",  #     secondary field, 0 bytes
    ),
    Vector(
        "dcmjs-dimse 0.3.3, username in UTF-8", REQUEST,
        called="ARCHIVE", calling="DCMJS", free=65467,
        abstract_syntaxes=("1.2.840.10008.1.1",),
        credential=Credential(1, b"\xc3\x9cnal", b"", False),
        pdu=b"\x01\x00\x00\x00\x00\xf3" b"\x00\x01\x00\x00"  # A-ASSOCIATE-RQ, 243 bytes follow; protocol version 1
        b"ARCHIVE         "  # called AE title
        b"DCMJS           "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x20\x00\x00\x45" b"\x01\x00\x00\x00"  # 20H presentation context 1
        b"\x30\x00\x00\x11" b"1.2.840.10008.1.1"  #   30H abstract syntax
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.1"  #   40H transfer syntax
        b"\x50\x00\x00\x49"  # 50H user information, 73 bytes
        b"\x51\x00\x00\x04" b"\x00\x04\x00\x00"  #   51H maximum length 262144
        b"\x52\x00\x00\x1a" b"1.2.826.0.1.3680043.10.854"  #   52H implementation class UID
        b"\x55\x00\x00\x10" b"DCMJS-DIMSE-V0.2"  #   55H implementation version name
        b"\x58\x00\x00\x0b" b"\x01\x00"  #   58H user identity: type 1, positive response not requested
        b"\x00\x05" b"\xc3\x9cnal"  #     primary field, 5 bytes
        b"\x00\x00",  #     secondary field, 0 bytes
    ),
    Vector(
        "dcmjs-dimse 0.3.3, JWT", REQUEST,
        called="ARCHIVE", calling="DCMJS", free=65467,
        abstract_syntaxes=("1.2.840.10008.1.1",),
        credential=Credential(5, TOKEN, b"", True),
        pdu=b"\x01\x00\x00\x00\x01\x17" b"\x00\x01\x00\x00"  # A-ASSOCIATE-RQ, 279 bytes follow; protocol version 1
        b"ARCHIVE         "  # called AE title
        b"DCMJS           "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x20\x00\x00\x45" b"\x01\x00\x00\x00"  # 20H presentation context 1
        b"\x30\x00\x00\x11" b"1.2.840.10008.1.1"  #   30H abstract syntax
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.1"  #   40H transfer syntax
        b"\x50\x00\x00\x6d"  # 50H user information, 109 bytes
        b"\x51\x00\x00\x04" b"\x00\x04\x00\x00"  #   51H maximum length 262144
        b"\x52\x00\x00\x1a" b"1.2.826.0.1.3680043.10.854"  #   52H implementation class UID
        b"\x55\x00\x00\x10" b"DCMJS-DIMSE-V0.2"  #   55H implementation version name
        b"\x58\x00\x00\x2f" b"\x05\x01"  #   58H user identity: type 5, positive response requested
        b"\x00\x29" + TOKEN  #     primary field, 41 bytes
        + b"\x00\x00",  #     secondary field, 0 bytes
    ),
    Vector(
        "pynetdicom 3.0.4, no identity", REQUEST,
        called="ARCHIVE", calling="PYNETDICOM", free=65463,
        abstract_syntaxes=("1.2.840.10008.1.1",),
        pdu=b"\x01\x00\x00\x00\x01\x19" b"\x00\x01\x00\x00"  # A-ASSOCIATE-RQ, 281 bytes follow; protocol version 1
        b"ARCHIVE         "  # called AE title
        b"PYNETDICOM      "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x20\x00\x00\x76" b"\x01\x00\x00\x00"  # 20H presentation context 1
        b"\x30\x00\x00\x11" b"1.2.840.10008.1.1"  #   30H abstract syntax
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.1"  #   40H transfer syntax
        b"\x40\x00\x00\x16" b"1.2.840.10008.1.2.1.99"  #   40H transfer syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.2"  #   40H transfer syntax
        b"\x50\x00\x00\x3e"  # 50H user information, 62 bytes
        b"\x51\x00\x00\x04" b"\x00\x00\x3f\xfe"  #   51H maximum length 16382
        b"\x52\x00\x00\x20" b"1.2.826.0.1.3680043.9.3811.3.0.4"  #   52H implementation class UID
        b"\x55\x00\x00\x0e" b"PYNETDICOM_304",  #   55H implementation version name
    ),
    Vector(
        "pynetdicom 3.0.4, every kind of negotiation, JWT", REQUEST,
        called="ARCHIVE", calling="PYNETDICOM", free=65298,
        abstract_syntaxes=("1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.1.2"),
        credential=Credential(5, TOKEN, b"", True),
        pdu=b"\x01\x00\x00\x00\x02\x09" b"\x00\x01\x00\x00"  # A-ASSOCIATE-RQ, 521 bytes follow; protocol version 1
        b"ARCHIVE         "  # called AE title
        b"PYNETDICOM      "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x20\x00\x00\x3a" b"\x01\x00\x00\x00"  # 20H presentation context 1
        b"\x30\x00\x00\x1b" b"1.2.840.10008.5.1.4.1.2.2.1"  #   30H abstract syntax
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.1"  #   40H transfer syntax
        b"\x20\x00\x00\x50" b"\x03\x00\x00\x00"  # 20H presentation context 3
        b"\x30\x00\x00\x19" b"1.2.840.10008.5.1.4.1.1.2"  #   30H abstract syntax
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x40\x00\x00\x16" b"1.2.840.10008.1.2.4.90"  #   40H transfer syntax
        b"\x50\x00\x01\x16"  # 50H user information, 278 bytes
        b"\x51\x00\x00\x04" b"\x00\x00\x3f\xfe"  #   51H maximum length 16382
        b"\x52\x00\x00\x20" b"1.2.826.0.1.3680043.9.3811.3.0.4"  #   52H implementation class UID
        b"\x55\x00\x00\x0e" b"PYNETDICOM_304"  #   55H implementation version name
        b"\x54\x00\x00\x1d\x00\x19" b"1.2.840.10008.5.1.4.1.1.2" b"\x00\x01"  #   54H role selection: SCU 0, SCP 1
        b"\x53\x00\x00\x04" b"\x00\x05\x00\x01"  #   53H asynchronous operations window 5, 1
        b"\x58\x00\x00\x2f" b"\x05\x01"  #   58H user identity: type 5, positive response requested
        b"\x00\x29" + TOKEN  #     primary field, 41 bytes
        + b"\x00\x00"   #     secondary field, 0 bytes
        # 56H SOP class extended negotiation
        b"\x56\x00\x00\x21\x00\x1b" b"1.2.840.10008.5.1.4.1.2.2.1" b"\x01\x01\x00\x01"
        # 57H SOP class common extended negotiation: SOP class
        b"\x57\x00\x00\x53\x00\x1d" b"1.2.840.10008.5.1.4.1.1.88.22"
        b"\x00\x11" b"1.2.840.10008.4.2"  #     service class
        b"\x00\x1f\x00\x1d" b"1.2.840.10008.5.1.4.1.1.88.11",  #     related general SOP class
    ),
    Vector(
        "pynetdicom 3.0.4, accepts", ACCEPT,
        called="ARCHIVE", calling="PYNETDICOM", free=65467,
        pdu=b"\x02\x00\x00\x00\x00\xbc" b"\x00\x01\x00\x00"  # A-ASSOCIATE-AC, 188 bytes follow; protocol version 1
        b"ARCHIVE         "  # called AE title
        b"PYNETDICOM      "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x21\x00\x00\x19" b"\x01\x00\x00\x00"  # 21H presentation context 1, result 0
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x50\x00\x00\x3e"  # 50H user information, 62 bytes
        b"\x51\x00\x00\x04" b"\x00\x00\x3f\xfe"  #   51H maximum length 16382
        b"\x52\x00\x00\x20" b"1.2.826.0.1.3680043.9.3811.3.0.4"  #   52H implementation class UID
        b"\x55\x00\x00\x0e" b"PYNETDICOM_304",  #   55H implementation version name
    ),
    Vector(
        "pynetdicom 3.0.4, accepts with a Kerberos AP-REP", ACCEPT,
        called="ARCHIVE", calling="PYNETDICOM", free=65434,
        server_response=AP_REP,
        pdu=b"\x02\x00\x00\x00\x01\x10" b"\x00\x01\x00\x00"  # A-ASSOCIATE-AC, 272 bytes follow; protocol version 1
        b"ARCHIVE         "  # called AE title
        b"PYNETDICOM      "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x21\x00\x00\x1b" b"\x01\x00\x00\x00"  # 21H presentation context 1, result 0
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.1"  #   40H transfer syntax
        b"\x21\x00\x00\x19" b"\x03\x00\x00\x00"  # 21H presentation context 3, result 0
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x50\x00\x00\x73"  # 50H user information, 115 bytes
        b"\x51\x00\x00\x04" b"\x00\x00\x3f\xfe"  #   51H maximum length 16382
        b"\x52\x00\x00\x20" b"1.2.826.0.1.3680043.9.3811.3.0.4"  #   52H implementation class UID
        b"\x55\x00\x00\x0e" b"PYNETDICOM_304"  #   55H implementation version name
        b"\x54\x00\x00\x1d\x00\x19" b"1.2.840.10008.5.1.4.1.1.2" b"\x00\x01"  #   54H role selection: SCU 0, SCP 1
        b"\x59\x00\x00\x10" b"\x00\x0e" + AP_REP,  #   59H server response, 14 bytes
    ),
    Vector(
        "DCMTK 3.6.7 storescp, accepts", ACCEPT,
        called="ANY-SCP", calling="STORESCU", free=65471,
        pdu=b"\x02\x00\x00\x00\x00\xd9" b"\x00\x01\x00\x00"  # A-ASSOCIATE-AC, 217 bytes follow; protocol version 1
        b"ANY-SCP         "  # called AE title
        b"STORESCU        "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x21\x00\x00\x1b" b"\x01\x00\x00\x00"  # 21H presentation context 1, result 0
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.1"  #   40H transfer syntax
        b"\x21\x00\x00\x1b" b"\x03\x00\x00\x00"  # 21H presentation context 3, result 0
        b"\x40\x00\x00\x13" b"1.2.840.10008.1.2.2"  #   40H transfer syntax
        b"\x50\x00\x00\x3a"  # 50H user information, 58 bytes
        b"\x51\x00\x00\x04" b"\x00\x00\x40\x00"  #   51H maximum length 16384
        b"\x52\x00\x00\x1b" b"1.2.276.0.7230010.3.0.3.6.7"  #   52H implementation class UID
        b"\x55\x00\x00\x0f" b"OFFIS_DCMTK_367",  #   55H implementation version name
    ),
    Vector(
        "dcmjs-dimse 0.3.3, accepts with an empty server response", ACCEPT,
        called="ARCHIVE", calling="DCMJS", free=65471,
        server_response=b"",
        pdu=b"\x02\x00\x00\x00\x00\xbe" b"\x00\x01\x00\x00"  # A-ASSOCIATE-AC, 190 bytes follow; protocol version 1
        b"ARCHIVE         "  # called AE title
        b"DCMJS           "  # calling AE title
        + bytes(32)  # reserved
        + b"\x10\x00\x00\x15" b"1.2.840.10008.3.1.1.1"  # 10H application context name
        b"\x21\x00\x00\x19" b"\x01\x00\x00\x00"  # 21H presentation context 1, result 0
        b"\x40\x00\x00\x11" b"1.2.840.10008.1.2"  #   40H transfer syntax
        b"\x50\x00\x00\x40"  # 50H user information, 64 bytes
        b"\x51\x00\x00\x04" b"\x00\x04\x00\x00"  #   51H maximum length 262144
        b"\x52\x00\x00\x1a" b"1.2.826.0.1.3680043.10.854"  #   52H implementation class UID
        b"\x55\x00\x00\x10" b"DCMJS-DIMSE-V0.2"  #   55H implementation version name
        b"\x59\x00\x00\x02" b"\x00\x00",  #   59H server response, 0 bytes
    ),
]
# fmt: on


def associate_ac(*user_items: bytes, context: bytes = bytes([1, 0, 0, 0])) -> bytes:
    """An A-ASSOCIATE-AC that accepts one presentation context."""
    result = item(0x21, context + item(0x40, IMPLICIT_VR_LITTLE_ENDIAN.encode()))
    return b"\x02" + associate_rq(*user_items, contexts=(result,))[1:]


def with_user_information(*items: bytes) -> bytes:
    """An A-ASSOCIATE-RQ that ends with these items instead of its user information item."""
    request = associate_rq()
    return pdu(1, request[6 : request.index(MAXIMUM_LENGTH) - 4] + b"".join(items))
