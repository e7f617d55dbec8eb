"""The requestor's side: what is sent, to whom, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.mechanisms.saml.issuer import Issuer, assertion, response
from useridentity.credential import MAX_FIELD, CredentialProvider, IdentityType
from useridentity.errors import ConfigurationError, CredentialUnavailable
from useridentity.facts import Peer
from useridentity.mechanisms.bearer import MAX_SPACE
from useridentity.mechanisms.saml import Saml

OCTETS = assertion(identifier="_x", signed_by="").encode()
PACS = ["pacs.example.org"]


def peer(name: str = "pacs.example.org", *, tls_verified: bool = True) -> Peer:
    return Peer("192.0.2.1", 2762, "ARCHIVE", tls_verified=tls_verified, server_name=name)


def sent(provider: Saml, to: Peer | None = None) -> bytes:
    with provider.offer(to or peer()) as offer:
        assert offer.credential.identity_type == IdentityType.SAML
        assert offer.credential.secondary_field == b""
        return offer.credential.primary_field


def test_an_assertion_is_sent_from_bytes_file_or_callable(tmp_path: Path) -> None:
    file = tmp_path / "assertion.xml"
    file.write_bytes(OCTETS)
    for source in (OCTETS, file, lambda: OCTETS):
        provider = Saml(source, peers=PACS)
        assert isinstance(provider, CredentialProvider)
        assert sent(provider) == OCTETS


def test_file_and_callable_are_asked_for_each_association(tmp_path: Path) -> None:
    file, second = tmp_path / "assertion.xml", OCTETS.replace(b"_x", b"_y")
    file.write_bytes(OCTETS)
    fresh = iter([OCTETS, second])
    from_file, from_callable = Saml(file, peers=PACS), Saml(lambda: next(fresh), peers=PACS)
    assert sent(from_file) == sent(from_callable) == OCTETS
    file.write_bytes(second)
    assert sent(from_file) == sent(from_callable) == second


def test_a_file_is_read_within_a_limit(tmp_path: Path) -> None:
    """A device that has no end would take all memory."""
    file = tmp_path / "assertion.xml"
    file.write_bytes(b" " * MAX_SPACE + OCTETS)
    assert sent(Saml(file, peers=PACS)) == OCTETS
    for endless in (Path("/dev/zero"), file):
        file.write_bytes(b" " * (MAX_FIELD + MAX_SPACE + 1))
        with pytest.raises(CredentialUnavailable, match=f"the assertion file {endless}: has more than 66559 bytes"):
            Saml(endless, peers=PACS).offer(peer())


def test_a_response_can_be_sent_whole() -> None:
    octets = response(assertion(signed_by="")).encode()
    assert sent(Saml(octets, peers=PACS)) == octets


def test_white_space_around_it_is_not_sent() -> None:
    assert sent(Saml(b"\n" + OCTETS + b"\r\n", peers=PACS)) == OCTETS


@pytest.mark.threat("S9")
def test_it_stays_here_without_tls_unless_that_is_allowed() -> None:
    plain = Peer("pacs.example.org", 104, "ARCHIVE", tls_verified=False)
    assert sent(Saml(OCTETS, peers=PACS), peer()) == OCTETS
    with pytest.raises(CredentialUnavailable, match="TLS"):
        sent(Saml(OCTETS, peers=PACS), plain)
    assert sent(Saml(OCTETS, peers=PACS, plaintext="allow"), plain) == OCTETS


@pytest.mark.threat("S9")
def test_it_is_shown_to_its_peers_only() -> None:
    assert sent(Saml(OCTETS, peers=["*.example.org"]), peer("b.example.org")) == OCTETS
    for name in ("example.org", "pacs.example.org.evil.example"):
        with pytest.raises(CredentialUnavailable, match="peers"):
            sent(Saml(OCTETS, peers=["*.example.org"]), peer(name))


def failing() -> bytes:
    raise RuntimeError("SECRET")


UNAVAILABLE = {
    "no-file": (Path("/nonexistent/assertion.xml"), "No such file"),
    "callable-that-raises": (failing, "raised RuntimeError"),
    "callable-that-returns-a-string": (OCTETS.decode, "returned str"),
    "too-long": (OCTETS.replace(b"alice", b"a" * 65536), "65535"),
    "not-xml": (b"SECRET<", "not XML"),
    "no-assertion": (b"<x/>", "there are 0"),
    "two": (b"<x>" + OCTETS + OCTETS + b"</x>", "there are 2"),
    "without-an-id": (OCTETS.replace(b"ID=", b"Id="), "with an ID"),
}


@pytest.mark.parametrize(("source", "why"), UNAVAILABLE.values(), ids=UNAVAILABLE)
def test_what_cannot_be_sent_is_said_before_connecting(source: Any, why: str) -> None:
    with pytest.raises(CredentialUnavailable, match=why) as caught:
        sent(Saml(source, peers=PACS))
    assert "SECRET" not in str(caught.value)


WRONG = {
    "a-string": ({"assertion": "<saml:Assertion/>"}, "give bytes"),
    "no-peers": ({"peers": []}, "peers"),
    "peers-as-a-string": ({"peers": "pacs"}, "peers"),
    "plaintext-as-a-truth": ({"plaintext": True}, "plaintext"),
    "acceptor-that-is-no-file": ({"acceptor": [Path("/nonexistent.pem")]}, "No such file"),
}


@pytest.mark.parametrize(("change", "why"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_said_at_once(change: dict[str, Any], why: str) -> None:
    arguments: dict[str, Any] = {"assertion": OCTETS, "peers": PACS, **change}
    with pytest.raises(ConfigurationError, match=why):
        Saml(arguments.pop("assertion"), **arguments)


def test_the_assertion_shows_in_no_repr(issuer: Issuer) -> None:
    provider = Saml(issuer.sign(assertion(name_id="SECRET")), peers=PACS)
    with provider.offer(peer()) as offer:
        assert "SECRET" not in repr(provider) + repr(offer) + repr(offer.credential)


def test_nothing_is_left_of_it_once_the_offer_has_ended() -> None:
    with Saml(OCTETS, peers=PACS).offer(peer()) as offer:
        assert offer.credential
    with pytest.raises(CredentialUnavailable, match="ended"):
        _ = offer.credential
