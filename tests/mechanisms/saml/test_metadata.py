"""An identity provider's keys: configured, or out of its metadata, which changes."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.mechanisms.saml.issuer import (
    AUDIENCE,
    DS,
    IDP,
    NOW,
    Issuer,
    assertion,
    at,
    make_issuer,
    refusal,
    validate,
)
from useridentity.errors import ConfigurationError, Unavailable
from useridentity.mechanisms.saml import SamlSettings, SamlValidator
from useridentity.settings import Runtime

MD = 'xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"'
SAML2 = "urn:oasis:names:tc:SAML:2.0:protocol"


def key(holder: Issuer, use: str = ' use="signing"') -> str:
    encoded = base64.encodebytes(holder.certificate.public_bytes(Encoding.DER)).decode()
    return (
        f'<md:KeyDescriptor{use}><ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>{encoded}'
        "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )


def entity(*keys: str, name: str = IDP, more: str = "", role: str = "IDPSSODescriptor", role_more: str = "") -> str:
    return (
        f'<md:EntityDescriptor {MD} entityID="{name}"{more}><md:{role} protocolSupportEnumeration="{SAML2}"{role_more}>'
        f"{''.join(keys)}</md:{role}></md:EntityDescriptor>"
    )


def entities(*descriptors: str, more: str = "") -> str:
    return f"<md:EntitiesDescriptor {MD}{more}>{''.join(descriptors)}</md:EntitiesDescriptor>"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "idp.xml"


def acceptor(file: Path, document: str | bytes, **settings: Any) -> SamlValidator:
    file.write_bytes(document if isinstance(document, bytes) else document.encode())
    return SamlSettings(AUDIENCE, metadata=file.name, **settings).build(Runtime("federation", file.parent))


def replaced(file: Path, document: str) -> None:
    """Put another file in its place, as an administrator's or a script's mv does."""
    beside = file.with_suffix(".new")
    beside.write_text(document)
    os.replace(beside, file)


def test_the_signing_keys_of_the_metadata_are_good_and_no_others(
    file: Path, issuer: Issuer, stranger: Issuer, elliptic: Issuer
) -> None:
    built = acceptor(file, entity(key(issuer), key(elliptic, ""), key(stranger, ' use="encryption"')))
    assert built.name == "federation"
    assert validate(built, issuer.sign(assertion())).identity.issuer == IDP
    assert refusal(built, stranger.sign(assertion()))


def test_a_key_for_encryption_only_signs_nothing(file: Path, issuer: Issuer, stranger: Issuer) -> None:
    assert acceptor(file, entity(key(issuer)))
    with pytest.raises(ConfigurationError, match="no certificate"):
        acceptor(file, entity(key(stranger, ' use="encryption"')))


def test_one_of_several_providers_is_named(file: Path, issuer: Issuer, stranger: Issuer) -> None:
    other = "https://other.example.org"
    both = entities(entity(key(stranger), name=other), entity(key(issuer)), entity(role="SPSSODescriptor", name="sp"))
    assert validate(acceptor(file, both, issuer=IDP), issuer.sign(assertion()))
    assert refusal(acceptor(file, both, issuer=IDP), stranger.sign(assertion()))
    with pytest.raises(ConfigurationError, match=f"say which with issuer.*{other}"):
        acceptor(file, both)
    with pytest.raises(ConfigurationError, match="not exactly one identity provider urn:x"):
        acceptor(file, both, issuer="urn:x")


def test_a_key_that_was_rolled_over_is_read_from_the_changed_file(file: Path, issuer: Issuer, stranger: Issuer) -> None:
    built = acceptor(file, entity(key(issuer)))
    assert refusal(built, stranger.sign(assertion()))
    replaced(file, entity(key(issuer), key(stranger)))
    assert validate(built, stranger.sign(assertion()))
    replaced(file, entity(key(stranger)))
    assert refusal(built, issuer.sign(assertion()))


@pytest.mark.parametrize("broken", ["", "<x/>", "half", 'entity(name="urn:other")'])
def test_a_file_that_was_changed_into_something_else_is_logged_and_the_keys_stay(
    file: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    built = acceptor(file, entity(key(issuer)))
    replaced(file, entity(key(issuer), name="urn:other") if "entity" in broken else broken)
    assert validate(built, issuer.sign(assertion()))
    assert "those of before stay in use" in caplog.text
    file.unlink()
    assert validate(built, issuer.sign(assertion()))


def test_the_keys_of_its_other_roles_are_not_an_identity_providers(
    file: Path, issuer: Issuer, stranger: Issuer
) -> None:
    provider, service = entity(key(issuer)), entity(key(stranger), role="SPSSODescriptor")
    both = provider.replace("</md:EntityDescriptor>", service[service.index("<md:SPSSO") :])
    assert validate(acceptor(file, both), issuer.sign(assertion()))
    assert refusal(acceptor(file, both), stranger.sign(assertion()))


UNTIL = {
    "role": lambda key, until: entity(key, role_more=until),
    "entity": lambda key, until: entity(key, more=until),
    "entities": lambda key, until: entities(entity(key), more=until),
}


@pytest.mark.parametrize("document", UNTIL.values(), ids=UNTIL)
def test_metadata_that_is_out_of_date_is_not_used(
    file: Path, issuer: Issuer, document: Callable[[str, str], str]
) -> None:
    built, octets = acceptor(file, document(key(issuer), f' validUntil="{at(60)}"')), issuer.sign(assertion())
    assert validate(built, octets, now=NOW + timedelta(seconds=59))
    with pytest.raises(Unavailable, match="renew it"):
        validate(built, octets, now=NOW + timedelta(seconds=60))


@pytest.mark.parametrize("document", UNTIL.values(), ids=UNTIL)
@pytest.mark.parametrize("end", ["2020-01-01T00:00:00", "2020-01-01T00:00:00+00:00", "2020-01-01", ""])
def test_an_end_that_cannot_be_read_is_not_taken_for_none(
    file: Path, issuer: Issuer, document: Callable[[str, str], str], end: str
) -> None:
    assert acceptor(file, document(key(issuer), f' validUntil="{at(60)}"'))
    with pytest.raises(ConfigurationError, match="no instant in UTC"):
        acceptor(file, document(key(issuer), f' validUntil="{end}"'))


WRONG = {
    "nothing": ("", "is not SAML metadata"),
    "not-xml": ("idp", "is not SAML metadata"),
    "doctype": ("<!DOCTYPE x><x/>", "DOCTYPE"),
    "no-provider": (entity(role="SPSSODescriptor"), "not exactly one identity provider"),
    "no-key": (entity(), "no certificate"),
    "no-certificate": (
        entity(
            f'<md:KeyDescriptor><ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate>'
            "</ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        ),
        "that is none",
    ),
}


@pytest.mark.parametrize(("document", "why"), WRONG.values(), ids=WRONG)
def test_metadata_that_cannot_be_used_is_refused_at_load(file: Path, issuer: Issuer, document: str, why: str) -> None:
    assert acceptor(file, entity(key(issuer)))
    with pytest.raises(ConfigurationError, match=why):
        acceptor(file, document)


def test_a_weak_key_in_metadata_is_refused_at_load(file: Path, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="2048"):
        acceptor(file, entity(key(make_issuer(folder, "weak", bits=1024))))


def test_a_missing_file_is_refused_at_load(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        SamlSettings(AUDIENCE, metadata="none.xml").build(Runtime("x", tmp_path))


def test_a_huge_document_is_refused_at_load(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="may have"):
        acceptor(file, b" " * (4 * 1024 * 1024 + 1))


def test_the_clock_of_a_test_is_the_clock_of_today() -> None:
    """Certificates are made for today; were `NOW` another day, refusals would be for their age."""
    assert abs(datetime.now(NOW.tzinfo) - NOW) < timedelta(hours=1)
