"""What octets are a token at all: each defect is put into one that is accepted without it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mechanisms.jwt.issuer import Draft, encoded, judge, refusal
from useridentity.mechanisms.jwt import JwtValidator
from useridentity.mechanisms.jwt.compact import MAX_TOKEN


def _other_padding_bits(token: bytes) -> bytes:
    """The same signature octets, spelled with other unused bits: 2048 bits leave four of the last character."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + bytes([alphabet[alphabet.index(token[-1]) | 1]])


MUTILATIONS = [
    (lambda token: b"", "is opaque"),
    (lambda token: b"b_aMHtnSvCVjLuOS2hZIr1UG4qfr", "is opaque"),
    (lambda token: b"Bearer " + token, "Bearer"),
    (lambda token: b".".join([token, b"a", b"b"]), "encrypted"),
    (lambda token: token + b".", "4 parts"),
    (lambda token: token.rpartition(b".")[0], "2 parts"),
    (lambda token: token.rpartition(b".")[0] + b".", "not signed"),
    (lambda token: token + b"==", "base64url"),
    (lambda token: token + b" ", "base64url"),
    (lambda token: b" " + token, "base64url"),
    (lambda token: token + b"\n\n", "base64url"),
    (lambda token: token + b"\x00", "base64url"),
    (lambda token: token.replace(b".", b"\n.", 1), "base64url"),
    (lambda token: token[:-1] + b"+", "base64url"),
    (lambda token: token[:-1] + b"\xc3", "base64url"),
    (_other_padding_bits, "base64url"),
    (lambda token: b".".join([*token.split(b".")[:2], token.split(b".")[2][:340]]), "signature"),
    (lambda token: token[:-20] + (b"A" if token[-20:-19] != b"A" else b"B") + token[-19:], "signature"),
    (lambda token: b"A" + token, "malformed"),
    (lambda token: token.rpartition(b".")[0] + b"." + encoded(b"\0" * 256), "signature"),
    (lambda token: token.rpartition(b".")[0] + b".AA", "signature"),
    (lambda token: token + b"AAAA", "signature"),
    (lambda token: encoded("{}".encode("utf-16")) + token[token.index(b".") :], "not UTF-8"),
    (lambda token: b"x" * (MAX_TOKEN + 1), "at most"),
]


@pytest.mark.parametrize(("mutilate", "detail"), MUTILATIONS)
@pytest.mark.threat("J4")
def test_octets_that_are_no_signed_token_are_refused(idp: JwtValidator, mutilate: Any, detail: str) -> None:
    token = Draft().token()
    judge(idp, token)
    assert detail in refusal(idp, mutilate(token)).detail


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_one_line_end_after_the_token_is_taken_off(idp: JwtValidator, line_end: bytes) -> None:
    """DCMTK's storescu sends the file as it is."""
    judge(idp, Draft().token() + line_end)


def test_a_token_of_the_largest_size_is_accepted_and_one_byte_more_is_not(idp: JwtValidator) -> None:
    empty = len(Draft(claims={"pad": ""}).token())
    fill = (MAX_TOKEN - empty) * 3 // 4
    token = Draft(claims={"pad": "x" * fill}).token()
    assert MAX_TOKEN - 3 <= len(token) <= MAX_TOKEN
    judge(idp, token)
    assert "at most" in refusal(idp, Draft(claims={"pad": "x" * (fill + 4)}).token()).detail
