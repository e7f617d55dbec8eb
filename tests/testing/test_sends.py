"""The provider that sends anything."""

from __future__ import annotations

from tests.mechanisms.builders import peer
from useridentity.credential import Confirmation, Credential
from useridentity.testing import Sends


def test_it_sends_what_it_is_given_and_takes_any_answer() -> None:
    credential = Credential(9, b"anything")
    with Sends(credential).offer(peer(tls_verified=False)) as offer:
        assert offer.credential == credential
        for answer in (None, b"", b"anything"):
            assert offer.confirm(answer) == Confirmation()


def test_the_credential_is_in_no_repr() -> None:
    assert "secret" not in repr(Sends(Credential(2, b"alice", b"secret")))
