"""Type 3: Kerberos tickets, from a KDC that is started for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from useridentity.cli.demo.part import Attempt, Part
from useridentity.cli.demo.peers import associate
from useridentity.credential import Credential, CredentialProvider, Offer
from useridentity.facts import Peer
from useridentity.testing import Sends, realms

REALM = "CLINIC.TEST"
SERVICE = "dicom@pacs.test"
OTHER_SERVICE = "dicom@ris.test"
PASSWORD = "of alice"  # noqa: S105  in a realm that lasts seconds


@contextmanager
def kerberos(folder: Path) -> Iterator[Part]:
    """User-Identity-Type 3."""
    from useridentity.mechanisms.kerberos import Kerberos

    with realms(folder, REALM) as (realm,), realm.in_use():
        for service in (SERVICE, OTHER_SERVICE):
            realm.add_principal(service.replace("@", "/"))
        realm.add_principal("alice", password=PASSWORD)
        realm.keytab(SERVICE.replace("@", "/"), file="dicom.keytab")
        cache = realm.login("alice", PASSWORD)
        wire = _Overheard(Kerberos(SERVICE, cache=cache))
        attempts = (
            Attempt("Kerberos ticket", associate(wire)),
            Attempt("Kerberos, replayed", wire.replay),
            Attempt("Kerberos, for another service", associate(Kerberos(OTHER_SERVICE, cache=cache))),
        )
        settings = f"""\
type = "kerberos"
service = "{SERVICE}"
keytab = "{REALM}/dicom.keytab"
principals = [{{ match = "*@{REALM}", user_id = "*" }}]"""
        yield Part(attempts, "realm", settings)


class _Overheard:
    """A provider, and what somebody on the wire can make of the last credential it sent."""

    def __init__(self, provider: CredentialProvider) -> None:
        self._provider = provider
        self._heard: Credential | None = None

    @contextmanager
    def offer(self, peer: Peer) -> Iterator[Offer]:
        with self._provider.offer(peer) as offer:
            self._heard = offer.credential
            yield offer

    def replay(self, port: int) -> str:
        if self._heard is None:
            raise RuntimeError("nothing was sent yet")
        return associate(Sends(self._heard))(port)
