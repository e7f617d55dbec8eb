"""Keys in a file: read again when it changes, and kept when the change is for the worse."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.mechanisms.jwt.issuer import Draft, judge, jwk, validator, write_keys
from useridentity.errors import ConfigurationError, Refused


def test_a_key_rotated_into_the_file_is_accepted_at_once_and_one_taken_out_refused(tmp_path: Path) -> None:
    idp = validator(tmp_path)
    old, new = Draft().token(), Draft(header={"kid": "k2"}, which=1).token()
    judge(idp, old)
    with pytest.raises(Refused):
        judge(idp, new)
    write_keys(tmp_path, jwk(kid="k2", which=1), jwk("ES256", "k3"))
    judge(idp, new)
    with pytest.raises(Refused):
        judge(idp, old)


@pytest.mark.parametrize("content", ["", "{", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AA"}]}', None])
def test_a_change_for_the_worse_is_logged_and_the_keys_of_before_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    idp = validator(tmp_path)
    path = tmp_path / "jwks.json"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with caplog.at_level(logging.ERROR, "useridentity.jwt"):
        judge(idp, Draft().token())
        judge(idp, Draft().token())
    assert len(caplog.records) == 1
    assert "those of before stay in use" in caplog.text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("{}", "should be a JWK Set"),
        ('{"keys": []}', "no key that verifies"),
        ('{"keys": [{"kty": "oct", "k": "AA"}]}', "secret or private"),
        ("x" * 1024 * 1025, "more than"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_configuration_error(tmp_path: Path, content: str | None, problem: str) -> None:
    validator(tmp_path)
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=problem):
        validator(tmp_path, jwks=str(path))
