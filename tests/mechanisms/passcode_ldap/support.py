"""What the tests of the directory's store share."""

from __future__ import annotations

from collections.abc import Callable

from tests.lib.slapd import RADIOLOGY
from useridentity.mechanisms.ldap_settings import LdapGroups, LdapSettings
from useridentity.mechanisms.passcode_ldap import LdapStore

GROUPS = LdapGroups("memberOf", {RADIOLOGY.replace("cn=radiology", "CN=Radiology"): "radiology"})
WAYS = ["bind", "search"]

Stores = Callable[..., LdapStore]
Settings = Callable[..., LdapSettings]
