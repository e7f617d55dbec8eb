"""Certificates for tests, issued by authorities that live as long as the test run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import trustme

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Pair(NamedTuple):
    """A certificate (chain) and its unencrypted private key, PEM files."""

    cert: Path
    key: Path


class Authority:
    """An ephemeral certificate authority; `ca` is its own certificate, a PEM file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, name: str, *identities: str, **details: Any) -> Pair:
        """`name`.pem and `name`.key for these DNS names and addresses; `details` go to `trustme.CA.issue_cert`."""
        issued = self._authority.issue_cert(*identities, **details)
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        issued.private_key_pem.write_to_path(str(pair.key))
        for position, certificate in enumerate(issued.cert_chain_pems):
            certificate.write_to_path(str(pair.cert), append=position > 0)
        return pair


@dataclass(frozen=True)
class Certificates:
    """What two DICOM peers need, and what a stranger has.

    Fields:
        authority: issues more where a test needs other names.
        ca: the authority's certificate.
        server: for 127.0.0.1, ::1 and localhost.
        client: a node whose CN is its AE title, "CT_1", and whose O is "Radiology".
        foreign_ca, foreign_client: another authority's; the client's names are the same.
    """

    authority: Authority
    ca: Path
    server: Pair
    client: Pair
    foreign_ca: Path
    foreign_client: Pair


def make_certificates(folder: Path) -> Certificates:
    """Issue them all into new folders under `folder`."""
    authority, foreign = Authority(folder / "hospital"), Authority(folder / "foreign")
    node = {"common_name": "CT_1", "organization_name": "Radiology"}
    return Certificates(
        authority=authority,
        ca=authority.ca,
        server=authority.issue("server", *LOOPBACK),
        client=authority.issue("client", "ct1.example.org", **node),
        foreign_ca=foreign.ca,
        foreign_client=foreign.issue("client", "ct1.example.org", **node),
    )
