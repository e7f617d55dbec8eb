"""Milliseconds to judge a passcode by a directory over a connection that is kept, beside python-ldap's own bind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import ldap

from tests.benchmarks.figure import Figure, compare, seconds_each
from tests.lib.certificates import make_certificates
from tests.lib.slapd import PEOPLE, Directory, slapd
from useridentity.mechanisms.ldap_settings import LdapSettings
from useridentity.mechanisms.passcode_ldap import LdapStore

COUNT = 500
ALICE, PASSCODE = f"uid=alice,{PEOPLE}", b"right"


def measure() -> list[Figure]:
    """One bind over LDAPS with a warm pool; ours reads the user's entry as well, and so does the peer."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = make_certificates(Path(folder))
        with (
            slapd(Path(folder) / "slapd", certificates.ca, certificates.server) as directory,
            closing(_store(directory)) as store,
            _connection(directory) as connection,
        ):
            return [
                compare(
                    "LDAP bind and read, warm pool, beside python-ldap",
                    lambda: _milliseconds(lambda: store.verify("alice", PASSCODE)),
                    lambda: _milliseconds(lambda: _bind_and_read(connection)),
                    "ms",
                    higher_is_better=False,
                )
            ]


def _store(directory: Directory) -> LdapStore:
    return LdapStore(directory.ldaps, LdapSettings(ca=directory.ca, bind_dn=f"uid={{user}},{PEOPLE}"))


@contextmanager
def _connection(directory: Directory) -> Iterator[Any]:
    connection = ldap.initialize(directory.ldaps)
    connection.set_option(ldap.OPT_X_TLS_CACERTFILE, str(directory.ca))
    connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    try:
        yield connection
    finally:
        connection.unbind_s()


def _bind_and_read(connection: Any) -> None:
    connection.simple_bind_s(ALICE, PASSCODE)
    connection.search_ext_s(ALICE, ldap.SCOPE_BASE, attrlist=["uid", "cn"])


def _milliseconds(call: Callable[[], object]) -> float:
    call()  # the first one connects
    return 1000 * seconds_each(call, COUNT)
