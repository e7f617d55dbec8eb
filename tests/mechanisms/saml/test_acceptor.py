"""The validator as a policy knows it, its settings in code and in TOML."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.mechanisms.builders import context, credential
from tests.mechanisms.saml.issuer import AUDIENCE, IDP, ROLE, Issuer, assertion, facts, refusal, validate, validator
from tests.mechanisms.saml.test_metadata import entity, key
from useridentity import Policy
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused
from useridentity.facts import Tls
from useridentity.mechanisms.saml import Groups, SamlSettings, SamlValidator

EVERYTHING = """
version = 1

[validator.federation]
type = "saml"
audience = "urn:dicom:ARCHIVE"
metadata = "idp.xml"
issuer = "https://idp.example.org/saml"
expired_certificates = "allow"
form = "either"
recipient = "urn:dicom:ARCHIVE"
binding = "certificate"
reuse = "never"
max_lifetime = "8h"
clock_skew = "30s"
max_authn_age = "12h"
authn_contexts = ["urn:oasis:names:tc:SAML:2.0:ac:classes:X509"]
name_id_formats = ["urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"]
groups = { attribute = "memberOf", map = { "cn=rad" = "radiology" } }
claims = { cohort = "urn:x:cohort" }
plaintext = "allow"
entity_id = "urn:pacs:1"
signing_key = "pacs.key"
signing_certificate = "pacs.pem"

[[authenticate]]
accept = ["federation"]
"""

LEAST = """
version = 1

[validator.federation]
type = "saml"
audience = "urn:dicom:ARCHIVE"
metadata = "idp.xml"

[[authenticate]]
accept = ["federation"]
"""


def loaded(folder: Path, text: str, issuer: Issuer) -> Policy:
    (folder / "idp.xml").write_text(entity(key(issuer)))
    (folder / "pacs.key").write_bytes(issuer.key_file.read_bytes())
    (folder / "pacs.pem").write_bytes(issuer.certificate_file.read_bytes())
    (folder / "identity.toml").write_text(text)
    return Policy.load(folder / "identity.toml")


def test_a_policy_file_needs_audience_and_metadata_only(tmp_path: Path, issuer: Issuer) -> None:
    acceptor = loaded(tmp_path, LEAST, issuer).rules[0].accept[0]
    assert isinstance(acceptor, SamlValidator)
    assert (acceptor.name, acceptor.identity_type, acceptor.cpu_short) == ("federation", 4, False)
    assert validate(acceptor, issuer.sign(assertion())).identity.user_id == "alice"


def test_each_key_of_a_policy_file_is_the_field_of_that_name(tmp_path: Path, issuer: Issuer) -> None:
    built = loaded(tmp_path, EVERYTHING, issuer).rules[0].accept[0]
    assert built._settings == SamlSettings(
        audience=AUDIENCE,
        metadata="idp.xml",
        issuer=IDP,
        expired_certificates="allow",
        form="either",
        recipient=AUDIENCE,
        binding="certificate",
        reuse="never",
        max_lifetime=8 * 3600.0,
        clock_skew=30.0,
        max_authn_age=12 * 3600.0,
        authn_contexts=("urn:oasis:names:tc:SAML:2.0:ac:classes:X509",),
        name_id_formats=("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",),
        groups=Groups({"cn=rad": "radiology"}, "memberOf"),
        claims={"cohort": "urn:x:cohort"},
        plaintext="allow",
        entity_id="urn:pacs:1",
        signing_key=tmp_path / "pacs.key",
        signing_certificate=tmp_path / "pacs.pem",
    )


PROBLEMS = {
    "no-audience": (LEAST.replace("audience", "#"), "audience is missing"),
    "no-keys": (LEAST.replace("metadata", "#"), "metadata is missing, or else issuer with certificates"),
    "issuer-without-keys": (LEAST.replace("metadata", "issuer"), "metadata is missing"),
    "keys-twice": (LEAST.replace("[[", 'certificates = ["pacs.pem"]\n[[', 1), "remove the other"),
    "no-file": (LEAST.replace("idp.xml", "none.xml"), "none.xml: No such file"),
    "word": (LEAST.replace("[[", 'reuse = "once"\n[[', 1), "until-expiry"),
    "truth": (LEAST.replace("[[", "plaintext = true\n[[", 1), "plaintext"),
    "half-a-signer": (LEAST.replace("[[", 'signing_key = "pacs.key"\n[[', 1), "give both, or neither"),
    "claim-that-is-there": (LEAST.replace("[[", 'claims = { role = "x" }\n[[', 1), "claims.role"),
    "groups-without-a-map": (LEAST.replace("[[", "groups = {}\n[[", 1), "map is missing"),
}


@pytest.mark.parametrize(("text", "why"), PROBLEMS.values(), ids=PROBLEMS)
def test_each_problem_of_a_policy_file_is_said(tmp_path: Path, issuer: Issuer, text: str, why: str) -> None:
    assert loaded(tmp_path, LEAST, issuer)
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, text, issuer)
    assert why in str(caught.value)


def test_all_problems_are_said_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SamlSettings(AUDIENCE, metadata=str(tmp_path / "x"), claims={"npi": "x"}, signing_key=tmp_path / "y").build()
    assert len(caught.value.problems) == 3


MISUSES = {
    "expired_certificates": "Refuse",
    "form": "Assertion",
    "binding": "Certificate",
    "reuse": "Never",
    "plaintext": "Allow",
    "audience": "",
    "issuer": "",
    "certificates": "idp.pem",
    "authn_contexts": "urn:strong",
    "name_id_formats": "urn:persistent",
}


@pytest.mark.parametrize(("name", "value"), MISUSES.items(), ids=MISUSES)
def test_what_only_code_can_get_wrong_is_said_by_build(issuer: Issuer, name: str, value: str) -> None:
    """A misspelt word would be the laxer one, an empty or a single string would match too much."""
    assert validate(validator(issuer), issuer.sign(assertion()))
    with pytest.raises(ConfigurationError) as caught:
        validator(issuer, **{name: value})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [name]


def test_a_single_path_is_no_list_of_certificates(issuer: Issuer) -> None:
    assert validator(issuer, certificates=(issuer.certificate_file,))
    with pytest.raises(ConfigurationError, match="certificates: is a single value"):
        validator(issuer, certificates=issuer.certificate_file)


def test_all_misuses_are_said_together(issuer: Issuer) -> None:
    with pytest.raises(ConfigurationError) as caught:
        validator(issuer, **MISUSES, claims={"npi": "x"}, signing_key=issuer.key_file)
    assert len(caught.value.problems) == len(MISUSES) + 2


def test_an_assertion_that_came_without_tls_is_not_looked_at(issuer: Issuer) -> None:
    octets = issuer.sign(assertion())
    assert validate(validator(issuer), octets, tls=Tls.SERVER)
    assert validate(validator(issuer, plaintext="allow"), octets, tls=Tls.NONE)
    for anything in (octets, b"nonsense"):
        assert refusal(validator(issuer), anything, tls=Tls.NONE).reason is Reason.TLS_REQUIRED


def test_only_what_is_of_type_4_is_judged(issuer: Issuer) -> None:
    octets = issuer.sign(assertion())
    assert validate(validator(issuer), octets)
    for presented, reason in (
        (None, Reason.IDENTITY_REQUIRED),
        (credential(5, octets), Reason.IDENTITY_TYPE_NOT_ACCEPTED),
    ):
        with pytest.raises(Refused) as caught:
            validator(issuer).validate(presented, facts(), context())
        assert caught.value.reason is reason


def test_no_credential_shows_in_identity_or_answer(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(attributes="")).replace(b"\n", b"")
    verified = validate(validator(issuer), octets, answer=True)
    assert "Signature" not in repr(verified)
    assert ROLE not in verified.identity.claims


def test_many_threads_get_their_own_answers(issuer: Issuer, stranger: Issuer) -> None:
    """One validator, its schema and its keys, and each thread its own users, good and bad in turn."""
    acceptor = validator(issuer)
    wrong: list[str] = []

    def work(number: int) -> None:
        good, bad = issuer.sign(assertion(name_id=f"user{number}")), stranger.sign(assertion(name_id="admin"))
        broken = good.replace(b"<saml:Subject>", b"<saml:Subjekt>").replace(b"</saml:Subject>", b"</saml:Subjekt>")
        for _ in range(20):
            if validate(acceptor, good).identity.user_id != f"user{number}":
                wrong.append("another user")
            for refused in (bad, broken):
                try:
                    wrong.append(validate(acceptor, refused).identity.user_id)
                except Refused:
                    continue

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


@pytest.mark.parametrize("module", ["lxml", "onelogin", "signxml"])
def test_a_missing_library_says_what_to_install(module: str) -> None:
    """In a process of its own: here they are loaded."""
    program = f"import sys; sys.modules[{module!r}] = None\nimport useridentity.mechanisms.saml"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "ModuleNotFoundError" in ended.stderr
    assert "pip install 'useridentity[saml]'" in ended.stderr
