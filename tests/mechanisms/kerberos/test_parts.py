"""What the tests of this folder need is present, or named as missing."""

from __future__ import annotations

import pytest

from tests.parts import require


@pytest.mark.parametrize("part", ["gssapi", "krb5kdc", "kdb5_util", "kadmin.local", "kinit", "setpriv", "faketime"])
def test_a_part_is_here(part: str) -> None:
    assert require(part)
