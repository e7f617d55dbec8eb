"""What the tests of the directory's store share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.lib.slapd import RADIOLOGY
from useridentity.decision import Reason
from useridentity.errors import Refused, Unavailable
from useridentity.mechanisms.ldap_settings import LdapGroups, LdapSettings
from useridentity.mechanisms.passcode_ldap import LdapStore

GROUPS = LdapGroups("memberOf", {RADIOLOGY.replace("cn=radiology", "CN=Radiology"): "radiology"})
WAYS = ["bind", "search"]


def refusal(store: LdapStore, username: str, passcode: bytes) -> str:
    with pytest.raises(Refused) as caught:
        store.verify(username, passcode)
    assert caught.value.reason is Reason.CREDENTIAL_INVALID
    return caught.value.detail


def unavailability(store: LdapStore, username: str = "alice", passcode: bytes = b"right") -> str:
    with pytest.raises(Unavailable) as caught:
        store.verify(username, passcode)
    return caught.value.detail


Stores = Callable[..., LdapStore]
Settings = Callable[..., LdapSettings]
