"""Without its extra a builder says which one it needs."""

from __future__ import annotations

import sys

import pytest

from tests.parts import require
from useridentity.testing import AssertionIssuer, CertificateAuthority, TokenIssuer


@pytest.mark.parametrize(
    ("builder", "room", "library", "extra"),
    [
        (TokenIssuer, "jwt.keys", "jwt", "jwt"),
        (AssertionIssuer, "saml", "lxml.etree", "saml"),
        (CertificateAuthority, "certificate", "cryptography", "certificate"),
    ],
)
def test_a_builder_without_its_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, builder: type, room: str, library: str, extra: str
) -> None:
    require(library.partition(".")[0])
    builder()
    monkeypatch.delitem(sys.modules, f"useridentity.mechanisms.{room}")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'useridentity\[{extra}\]'"):
        builder()
