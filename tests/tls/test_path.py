"""Paths to an authority (RFC 5280 6), as OpenSSL judges them in handshakes: each refusal beside its accepted twin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509

from tests.lib.certificates import Pair
from tests.lib.handshake import handshake
from tests.lib.pki import DAY, NOW, Ca, Leaf
from useridentity.tls import client_context, server_context


@dataclass
class Site:
    """A server of one authority, which nodes of any may call."""

    folder: Path
    root: Ca
    server: Pair

    def connect(self, leaf: Leaf, *chain: Ca, trusted: tuple[Ca, ...] = ()) -> str:
        """The name that the server takes a node for that sends `chain`; `trusted` is `client_ca`."""
        (self.folder / "client_ca.pem").write_bytes(b"".join(each.pem for each in trusted or (self.root,)))
        (self.folder / "ca.pem").write_bytes(self.root.pem)
        server = server_context(*self.server, client_ca=self.folder / "client_ca.pem")
        node = leaf.write(self.folder, "node", chain)
        return handshake(server, client_context(self.folder / "ca.pem", *node)).client_name

    def refuses(self, leaf: Leaf, *chain: Ca, trusted: tuple[Ca, ...] = ()) -> None:
        with pytest.raises(OSError):  # noqa: PT011  an alert or a reset, whichever is first
            self.connect(leaf, *chain, trusted=trusted)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    root = Ca.root()
    return Site(tmp_path, root, root.issue(server=True).write(tmp_path, "server"))


def test_of_a_path_the_root_must_be_trusted_and_the_rest_may_come_from_the_node(site: Site) -> None:
    intermediate = site.root.intermediate()
    leaf = intermediate.issue()
    assert site.connect(leaf, intermediate) == "CT_1"
    assert site.connect(leaf, trusted=(site.root, intermediate)) == "CT_1"
    site.refuses(leaf)
    site.refuses(leaf, intermediate, trusted=(intermediate,))


def test_a_certificate_for_servers_is_none_for_nodes(site: Site) -> None:
    assert site.connect(site.root.issue()) == "CT_1"
    site.refuses(site.root.issue(server=True))


@pytest.mark.parametrize("ends", [NOW - DAY, NOW + 500 * DAY], ids=["over", "not begun"])
def test_a_certificate_holds_between_its_dates(site: Site, ends: datetime) -> None:
    assert site.connect(site.root.issue(ends=NOW + DAY)) == "CT_1"
    site.refuses(site.root.issue(ends=ends))


def test_a_node_issues_no_certificates(site: Site) -> None:
    node, intermediate = site.root.issue([("CN", "MR_1")]), site.root.intermediate("MR_1")
    assert site.connect(intermediate.issue(), intermediate) == "CT_1"
    issuing = Ca(node.certificate, node.key)  # type: ignore[arg-type]
    site.refuses(issuing.issue(), issuing)


def test_an_authority_issues_no_further_down_than_it_may(site: Site) -> None:
    free, last = site.root.intermediate(), site.root.intermediate("Last", path_length=0)
    assert site.connect((below := free.intermediate("Below")).issue(), below, free) == "CT_1"
    assert site.connect(last.issue(), last) == "CT_1"
    site.refuses((below := last.intermediate("Below")).issue(), below, last)


def test_an_authority_issues_for_those_names_only_that_it_may(site: Site) -> None:
    permitted = x509.NameConstraints([x509.DNSName("ct.example.org")], None)
    held = site.root.intermediate("Held", constraints=permitted)
    assert site.connect(held.issue(dns=["one.ct.example.org"]), held) == "CT_1"
    site.refuses(held.issue(dns=["archive.example.org"]), held)
