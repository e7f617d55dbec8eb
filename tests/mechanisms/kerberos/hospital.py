"""Two realms that trust each other, a service, and people; all of it real."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lib.kdc import Realm, realms, run, shifted, trust
from tests.mechanisms.builders import context, facts, peer
from useridentity.credential import Credential, IdentityType
from useridentity.mechanisms.kerberos import Kerberos, KerberosSettings, KerberosValidator
from useridentity.validator import Verified

HOSPITAL, PARTNER = "HOSPITAL.TEST", "PARTNERS.TEST"  # names of the same length
SERVICE = "dicom@pacs.hospital.test"
OTHER_SERVICE = "dicom@ris.hospital.test"
PASSWORD = "of alice and of bob"

REPLAY_CACHE_SETTINGS = ("KRB5RCACHENAME", "KRB5RCACHETYPE", "KRB5_KTNAME", "KRB5_CLIENT_KTNAME")

PRINT_TOKEN = """\
import sys
from tests.mechanisms.builders import peer
from useridentity.mechanisms.kerberos import Kerberos
with Kerberos(sys.argv[1], cache=sys.argv[2]).offer(peer()) as offer:
    print(offer.credential.primary_field.hex())
"""


@dataclass(frozen=True)
class Hospital:
    """What a hospital with Kerberos has.

    Fields:
        realm: HOSPITAL.TEST.
        partner: PARTNERS.TEST, whose users the hospital trusts to be who their KDC says.
        keytab: of `SERVICE` alone.
        alice: the credential cache of a user of the hospital.
        bob: that of a user of the partner.
    """

    realm: Realm
    partner: Realm
    keytab: Path
    alice: Path
    bob: Path

    def settle(self, environment: pytest.MonkeyPatch, folder: Path) -> None:
        """Make this process one of the hospital's, with a replay cache in `folder` and nobody logged in."""
        environment.setenv("KRB5_CONFIG", str(self.realm.krb5_conf))
        environment.setenv("KRB5RCACHEDIR", str(folder))
        environment.setenv("KRB5CCNAME", f"FILE:{folder}/nobody.cache")
        for name in REPLAY_CACHE_SETTINGS:
            environment.delenv(name, raising=False)

    def settings(self, **changes: Any) -> KerberosSettings:
        """Of an acceptor that is `SERVICE`."""
        chosen: dict[str, Any] = {"service": SERVICE, "keytab": self.keytab, **changes}
        return KerberosSettings(**chosen)

    def validator(self, **changes: Any) -> KerberosValidator:
        """An acceptor that is `SERVICE`."""
        return KerberosValidator(self.settings(**changes))

    def ticket(self, service: str = SERVICE, **options: Any) -> Credential:
        """A fresh credential of alice's, or of whom `options` of `Kerberos` say."""
        with Kerberos(service, **{"cache": self.alice} | options).offer(peer()) as offer:
            return offer.credential


def presented(primary_field: bytes, *, positive_response_requested: bool = True) -> Credential:
    """A 58H of type 3 as it arrives."""
    return Credential(IdentityType.KERBEROS, primary_field, b"", positive_response_requested)


def judge(validator: KerberosValidator, credential: Credential) -> Verified:
    """What the validator says of a credential that came just now."""
    return validator.validate(credential, facts(identity_type=3), context())


def ticket_at(hospital: Hospital, clock: str, cache: Path) -> bytes:
    """The primary field that a requestor with a moved clock sends; `cache` is its credential cache."""
    environment = hospital.realm.environment | shifted(clock)
    return bytes.fromhex(run([sys.executable, "-c", PRINT_TOKEN, SERVICE, str(cache)], environment))


@contextmanager
def hospital(folder: Path) -> Iterator[Hospital]:
    """Found the hospital in an empty folder; it closes with the block."""
    with realms(folder, HOSPITAL, PARTNER) as (realm, partner):
        for service in (SERVICE, OTHER_SERVICE):
            realm.add_principal(service.replace("@", "/"))
        # Pre-authentication by SPAKE is what earns the indicator "strong" (kdc.conf).
        realm.add_principal("alice", "+requires_preauth", password=PASSWORD)
        partner.add_principal("bob", password=PASSWORD)
        trust(partner, realm)
        yield Hospital(
            realm=realm,
            partner=partner,
            keytab=realm.keytab(SERVICE.replace("@", "/")),
            alice=realm.login("alice", PASSWORD),
            bob=partner.login("bob", PASSWORD),
        )
