"""What is sent, to whom, and what confirms it; then both sides together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.mechanisms.builders import context, facts
from tests.mechanisms.jwt.issuer import Draft, validator
from useridentity.credential import MAX_FIELD, Confirmation, CredentialProvider, IdentityType
from useridentity.errors import ConfigurationError, CredentialUnavailable, NotConfirmed
from useridentity.facts import Peer
from useridentity.mechanisms.jwt import Jwt, JwtFile

TOKEN = b"eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
PEERS = ["pacs.example.org"]


def peer(name: str = "pacs.example.org", *, tls_verified: bool = True, address: str = "192.0.2.1") -> Peer:
    return Peer(address, 2762, "ARCHIVE", tls_verified, name)


def sent(provider: CredentialProvider, to: Peer | None = None) -> bytes:
    with provider.offer(to or peer()) as offer:
        assert offer.credential.identity_type == IdentityType.JWT
        assert offer.credential.secondary_field == b""
        return offer.credential.primary_field


@pytest.mark.parametrize("token", [TOKEN, TOKEN.decode(), lambda: TOKEN, TOKEN.decode])
def test_a_token_is_sent_as_it_is(token: Any) -> None:
    assert sent(Jwt(token, peers=PEERS)) == TOKEN


def test_a_callable_is_asked_for_each_association() -> None:
    tokens = iter([b"a.b.c", b"d.e.f"])
    provider = Jwt(lambda: next(tokens), peers=PEERS)
    assert [sent(provider), sent(provider)] == [b"a.b.c", b"d.e.f"]
    with pytest.raises(CredentialUnavailable, match="raised StopIteration"):
        provider.offer(peer())


def test_a_file_is_read_for_each_association_without_the_white_space_around(tmp_path: Path) -> None:
    path = tmp_path / "token"
    provider = JwtFile(path, peers=PEERS)
    path.write_bytes(TOKEN + b"\r\n")
    assert sent(provider) == TOKEN
    path.write_bytes(b" \n" + b"d.e.f")
    assert sent(provider) == b"d.e.f"
    path.unlink()
    with pytest.raises(CredentialUnavailable, match=f"{path}: No such file"):
        provider.offer(peer())


NO_TOKENS = [
    (b"", "no JWT"),
    (b"opaque", "no JWT"),
    (b"Bearer " + TOKEN, "no JWT"),
    (TOKEN + b"\n", "no JWT"),
    (TOKEN + b".", "no JWT"),
    ("töken.a.b", "no JWT"),
    (TOKEN + b"x" * MAX_FIELD, "at most 65535"),
]


@pytest.mark.parametrize(("token", "problem"), NO_TOKENS)
def test_what_is_no_token_is_not_sent_and_not_repeated(tmp_path: Path, token: bytes | str, problem: str) -> None:
    for provider in (Jwt(token, peers=PEERS), Jwt(lambda: token, peers=PEERS)):
        with pytest.raises(CredentialUnavailable, match=problem) as error:
            provider.offer(peer())
        assert TOKEN[:12].decode() not in str(error.value)


def test_a_file_that_is_too_long_or_empty_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "token"
    for content, problem in ((b"\n", "no JWT"), (b"a.b." + b"c" * MAX_FIELD, "at most 65535")):
        path.write_bytes(content)
        with pytest.raises(CredentialUnavailable, match=problem):
            JwtFile(path, peers=PEERS).offer(peer())


def test_a_callable_that_gives_something_else_is_told() -> None:
    with pytest.raises(CredentialUnavailable, match="NoneType"):
        Jwt(lambda: None, peers=PEERS).offer(peer())  # type: ignore[arg-type,return-value]


def test_an_encrypted_token_may_be_sent() -> None:
    """PS3.7 Table D.3-14 speaks of a JWT, which may be a JWE; what it is worth is the acceptor's to say."""
    assert sent(Jwt(b"a.b.c.d.e", peers=PEERS)) == b"a.b.c.d.e"


@pytest.mark.parametrize("pattern", ["pacs.example.org", "PACS.example.org", "*.example.org", "*", "pacs.*"])
def test_a_token_is_shown_to_the_peers_listed(pattern: str) -> None:
    assert sent(Jwt(TOKEN, peers=["other", pattern])) == TOKEN


@pytest.mark.parametrize(
    "pattern", ["example.org", "acs.example.org", "pacs.example.org.evil", "pacs?example.org", "p.*g"]
)
@pytest.mark.threat("J9")
def test_a_token_is_shown_to_no_other_peer(pattern: str) -> None:
    with pytest.raises(CredentialUnavailable, match="not among its peers"):
        Jwt(TOKEN, peers=[pattern]).offer(peer())


def test_a_peer_goes_by_the_name_that_was_verified_and_not_by_its_address() -> None:
    provider = Jwt(TOKEN, peers=["192.0.2.1"])
    sent(provider, peer("192.0.2.1"))
    with pytest.raises(CredentialUnavailable, match="not among its peers"):
        provider.offer(peer("evil.example.org"))


@pytest.mark.threat("J9")
def test_a_token_stays_here_without_tls_that_is_verified() -> None:
    provider = Jwt(TOKEN, peers=["*"])
    sent(provider)
    with pytest.raises(CredentialUnavailable, match="stays here"):
        provider.offer(peer(tls_verified=False, address="127.0.0.1"))


def test_plaintext_may_be_allowed_and_then_the_address_is_the_name() -> None:
    provider = Jwt(TOKEN, peers=["127.0.0.1"], plaintext="allow")
    sent(provider, peer(tls_verified=False, address="127.0.0.1"))
    with pytest.raises(CredentialUnavailable, match="not among its peers"):
        provider.offer(peer("127.0.0.1", tls_verified=False))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"peers": []}, "peers"),
        ({"peers": "pacs.example.org"}, "peers"),
        ({"peers": [b"pacs"]}, "peers"),
        ({"peers": [""]}, "peers"),
        ({"plaintext": True}, "plaintext"),
        ({"token": None}, "token is a NoneType"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(arguments: dict[str, Any], problem: str) -> None:
    good: dict[str, Any] = {"token": TOKEN, "peers": PEERS}
    Jwt(**good)
    with pytest.raises(ConfigurationError, match=problem):
        Jwt(**(good | arguments))
    if "token" not in arguments:
        with pytest.raises(ConfigurationError, match=problem):
            JwtFile("token", **({"peers": PEERS} | arguments))


@pytest.mark.threat("J13")
def test_the_token_has_no_repr_and_is_gone_after_the_offer() -> None:
    provider = Jwt(TOKEN, peers=PEERS)
    offer = provider.offer(peer())
    assert TOKEN.decode()[:10] not in repr(provider) + repr(offer) + repr(offer.credential)
    with offer:
        pass
    with pytest.raises(CredentialUnavailable, match="ended"):
        _ = offer.credential


@pytest.mark.threat("J10")
def test_an_empty_answer_confirms_and_every_other_does_not() -> None:
    """PS3.7 Table D.3-15 gives type 5 no content."""
    with Jwt(TOKEN, peers=PEERS).offer(peer()) as offer:
        assert offer.confirm(b"") == Confirmation(acceptor="", mutual=False)
        with pytest.raises(NotConfirmed, match="no server response"):
            offer.confirm(None)
        with pytest.raises(NotConfirmed, match="sent the token back"):
            offer.confirm(TOKEN)
        with pytest.raises(NotConfirmed, match="2 bytes"):
            offer.confirm(b"ok")


def test_both_sides_agree(tmp_path: Path) -> None:
    token = Draft().token()
    with Jwt(token, peers=PEERS).offer(peer()) as offer:
        verified = validator(tmp_path).validate(offer.credential, facts(identity_type=5), context())
        assert verified.identity.user_id == "alice"
        offer.confirm(verified.server_response)
