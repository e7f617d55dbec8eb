"""The settings of a JWT validator: words, defaults, and every problem at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.mechanisms.jwt.issuer import AUDIENCE, ISSUER, Draft, judge, jwk, write_keys
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.jwt import Groups, JwtSettings, JwtValidator
from useridentity.settings import Runtime, decode


def read(table: dict[str, Any], folder: Path) -> tuple[JwtSettings | None, list[str]]:
    """Settings as a policy file gives them."""
    problems: list[str] = []
    settings = decode(JwtSettings, table, (), lambda key, what: problems.append(f"{key}: {what}"), folder)
    return settings, problems


def test_a_policy_file_needs_an_issuer_an_audience_and_keys(tmp_path: Path) -> None:
    write_keys(tmp_path, jwk())
    settings, problems = read({"issuer": ISSUER, "audience": AUDIENCE, "jwks": "jwks.json"}, tmp_path)
    assert problems == []
    assert settings == JwtSettings(ISSUER, AUDIENCE, jwks="jwks.json")
    judge(settings.build(Runtime("idp", tmp_path)), Draft().token())


def test_every_key_of_a_policy_file_is_read(tmp_path: Path) -> None:
    write_keys(tmp_path, jwk())
    table = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "algorithms": ["ES256", "RS256"],
        "jwks": "jwks.json",
        "typ": ["at+jwt", "JWT"],
        "max_lifetime": "5m",
        "reuse": "never",
        "binding": "none",
        "plaintext": "allow",
        "groups": {"claim": "roles", "map": {"radiologist": "radiology"}},
    }
    settings, problems = read(table, tmp_path)
    assert problems == []
    assert settings is not None
    assert settings.max_lifetime == 300
    assert settings.groups == Groups("roles", {"radiologist": "radiology"})
    assert len(judge(settings.build(Runtime("idp", tmp_path)), Draft().token()).once) == 1


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"issuer": ""}, "issuer: is empty"),
        ({"audience": ""}, "audience: is empty"),
        ({"algorithms": ()}, "algorithms: is empty"),
        ({"algorithms": ("HS256",)}, "symmetric"),
        ({"algorithms": ("RS256", "none")}, "unsigned"),
        ({"algorithms": ("None",)}, "unsigned"),
        ({"algorithms": ("RS1",)}, "is not supported"),
        ({"algorithms": ("ES256K",)}, "is not supported"),
        ({"algorithms": "RS256"}, "lists of words"),
        ({"typ": "JWT"}, "lists of words"),
        ({"typ": ()}, "typ: holds nothing"),
        ({"typ": ("",)}, "typ: holds nothing"),
        ({"max_lifetime": 90_000}, "max_lifetime"),
        ({"max_lifetime": 0}, "max_lifetime"),
        ({"reuse": "once"}, "reuse: 'once' is none of"),
        ({"binding": True}, "binding: True is none of"),
        ({"plaintext": "yes"}, "plaintext: 'yes' is none of"),
        ({"plaintext": "allow", "binding": "certificate"}, "needs TLS"),
        ({"groups": Groups("a..b", {})}, "groups.claim: 'a..b' is no claim path"),
        ({"jwks": "nowhere.json"}, "No such file"),
        ({"jwks": "http://idp.example.org/jwks"}, "no https URL"),
        ({"jwks": "ftp://idp.example.org/jwks"}, "no https URL"),
        ({"jwks": "https://user:word@idp.example.org/jwks"}, "no https URL"),
        ({"jwks": "https:///jwks"}, "no https URL"),
        ({"jwks": None, "issuer": "http://idp.example.org"}, "no https URL"),
        ({"jwks": None, "issuer": "https://idp.example.org/#a"}, "no https URL"),
        ({"jwks": None, "issuer": "https://idp.example.org:port"}, "no https URL"),
        ({"jwks": None, "issuer": "urn:idp"}, "no https URL"),
        ({"ca": Path("ca.pem")}, "ca: has no meaning"),
        ({"jwks": None, "ca": Path("nowhere.pem")}, "nowhere.pem"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_load(tmp_path: Path, wrong: dict[str, Any], problem: str) -> None:
    good: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": "jwks.json"}
    write_keys(tmp_path, jwk())
    JwtSettings(**good).build(Runtime("idp", tmp_path))
    with pytest.raises(ConfigurationError) as error:
        JwtSettings(**(good | wrong)).build(Runtime("idp", tmp_path))
    assert len(error.value.problems) == 1
    assert problem in error.value.problems[0]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    settings = JwtSettings("", "", ("HS256",), jwks="nowhere.json", groups=Groups("", {}))
    with pytest.raises(ConfigurationError) as error:
        settings.build(Runtime("idp", tmp_path))
    assert len(error.value.problems) == 5


def test_keys_that_are_fetched_are_not_fetched_before_they_are_needed(certificates: Certificates) -> None:
    """Loading a policy asks nobody, and such a validator gets threads of its own since it may wait."""
    validator = JwtSettings(ISSUER, AUDIENCE, ca=certificates.ca).build(Runtime("idp", Path()))
    assert isinstance(validator, JwtValidator)
    assert not validator.cpu_short
    assert not JwtSettings(ISSUER, AUDIENCE).build(Runtime("idp", Path())).cpu_short


_WITHOUT_PYJWT = """
import sys
sys.modules["jwt"] = None
from useridentity.mechanisms.jwt import Jwt
Jwt(b"a.b.c", peers=["*"])
try:
    from useridentity.mechanisms.jwt import JwtSettings
except ModuleNotFoundError as error:
    print(error)
"""


def test_without_pyjwt_a_token_can_be_sent_and_the_acceptor_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_PYJWT], capture_output=True, text=True, check=True)
    assert "pip install 'useridentity[jwt]'" in done.stdout
