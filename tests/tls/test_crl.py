"""Certificate revocation lists: over real TLS, and what is said of them beforehand."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.lib.certificates import Pair
from tests.lib.handshake import handshake
from tests.lib.pki import DAY, NOW, Ca, Leaf
from useridentity.errors import ConfigurationError
from useridentity.tls import client_context, server_context
from useridentity.tls.crl import RevocationLists
from useridentity.tls.trust import Trust


@dataclass
class Site:
    """An authority, a server and a node of it, and where its revocation list is."""

    folder: Path
    root: Ca
    node: Leaf
    server: Pair

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def crl(self, *lists: bytes) -> Path:
        path = self.folder / "ca.crl"
        path.write_bytes(b"".join(lists))
        return path

    def connect(self, crl: Path, node: Leaf | None = None, chain: tuple[Ca, ...] = ()) -> str:
        """The name that the server takes the node's certificate for."""
        pair = (node or self.node).write(self.folder, "node", chain)
        server = server_context(*self.server, client_ca=self.ca, crl=crl)
        return handshake(server, client_context(self.ca, *pair)).client_name


@pytest.fixture
def site(tmp_path: Path) -> Site:
    root = Ca.root()
    (tmp_path / "ca.pem").write_bytes(root.pem)
    return Site(tmp_path, root, root.issue(), root.issue(server=True).write(tmp_path, "server"))


def test_a_revoked_client_certificate_is_refused(site: Site) -> None:
    other = site.root.issue([("CN", "CT_2")])
    assert site.connect(site.crl(site.root.revoke(other))) == "CT_1"
    with pytest.raises(OSError):  # noqa: PT011  an alert or a reset, whichever is first
        site.connect(site.crl(site.root.revoke(site.node, other)))


def test_a_revoked_server_certificate_is_refused(site: Site) -> None:
    leaf = site.root.issue(server=True)
    server = server_context(*leaf.write(site.folder, "leaf"))
    handshake(server, client_context(site.ca, crl=site.crl(site.root.revoke())))
    with pytest.raises(OSError, match="certificate revoked"):
        handshake(server, client_context(site.ca, crl=site.crl(site.root.revoke(leaf))))


def test_under_a_list_that_has_ended_every_certificate_is_refused(site: Site) -> None:
    assert site.connect(site.crl(site.root.revoke())) == "CT_1"
    with pytest.raises(OSError):  # noqa: PT011
        site.connect(site.crl(site.root.revoke(start=NOW - 3 * DAY, ends=NOW - DAY)))


def test_an_intermediate_needs_a_list_of_its_own_and_can_be_revoked(site: Site) -> None:
    intermediate = site.root.intermediate()
    leaf, own = intermediate.issue(), intermediate.revoke()
    assert site.connect(site.crl(site.root.revoke(), own), leaf, (intermediate,)) == "CT_1"
    revoked = site.root.revoke(Leaf(intermediate.certificate, intermediate.key))
    for lists in ([site.root.revoke()], [revoked, own]):
        with pytest.raises(OSError):  # noqa: PT011
            site.connect(site.crl(*lists), leaf, (intermediate,))


def problems(site: Site, content: bytes) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        server_context(*site.server, client_ca=site.ca, crl=site.crl(content))
    return caught.value.problems


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lambda root: b"", "holds no PEM revocation list"),
        (lambda root: _der(root.revoke()), "openssl crl -inform DER"),
        (lambda root: root.revoke()[:100] + root.revoke()[-27:], "not a usable revocation list"),
        (lambda root: root.revoke() + root.revoke()[:100], "leave only whole lists"),
        (lambda root: _of_no_version(_der(root.revoke())), "not a usable revocation list"),
        (lambda root: Ca.root("Vendor Root").revoke(), "no list of 'CN=Hospital Root'"),
        (lambda root: Ca.root("Vendor Root").revoke(name="Hospital Root"), "is not signed by it"),
    ],
    ids=["empty", "binary", "damaged", "one cut short behind it", "of no version", "another authority's", "forged"],
)
def test_a_list_that_would_refuse_everybody_is_said_at_load(
    site: Site, content: Callable[[Ca], bytes], expected: str
) -> None:
    assert site.connect(site.crl(site.root.revoke())) == "CT_1"
    (problem,) = problems(site, content(site.root))
    assert problem.startswith(f"crl {site.folder / 'ca.crl'}: ")
    assert expected in problem


def _der(pem: bytes) -> bytes:
    return x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)


def _of_no_version(der: bytes) -> bytes:
    assert b"\x02\x01\x01\x30" in der
    altered = base64.encodebytes(der.replace(b"\x02\x01\x01\x30", b"\x02\x01\x4d\x30", 1))
    return b"-----BEGIN X509 CRL-----\n" + altered + b"-----END X509 CRL-----\n"


def test_a_list_without_an_end_is_an_error(site: Site) -> None:
    server_context(*site.server, client_ca=site.ca, crl=site.crl(site.root.revoke()))
    (problem,) = problems(site, site.root.revoke_for_ever())
    assert "no nextUpdate" in problem


def test_a_missing_list_and_one_without_authorities_are_errors(site: Site) -> None:
    crl = site.crl(site.root.revoke())
    server_context(*site.server, client_ca=site.ca, crl=crl)
    with pytest.raises(ConfigurationError, match="crl needs client_ca"):
        server_context(*site.server, crl=crl)
    crl.unlink()
    with pytest.raises(ConfigurationError, match="No such file"):
        server_context(*site.server, client_ca=site.ca, crl=crl)


def test_the_end_of_the_first_list_to_end_is_warned_of_in_its_last_quarter(site: Site) -> None:
    vendor = Ca.root("Vendor Root")
    site.ca.write_bytes(site.root.pem + vendor.pem)
    short, long = site.root.revoke(start=NOW, ends=NOW + 4 * DAY), vendor.revoke(start=NOW, ends=NOW + 400 * DAY)
    lists = RevocationLists.read(site.crl(long, short), site.ca)
    assert lists.ends_at == NOW + 4 * DAY
    assert lists.warning(NOW + 2.9 * DAY) == ""
    assert "from then on" in lists.warning(NOW + 3 * DAY)
    assert "until it is replaced" in lists.warning(NOW + 4 * DAY)


def test_a_list_of_the_future_is_an_error(site: Site) -> None:
    """OpenSSL refuses everybody for it."""
    server_context(*site.server, client_ca=site.ca, crl=site.crl(site.root.revoke()))
    (problem,) = problems(site, site.root.revoke(start=datetime.now(UTC) + DAY))
    assert "is the clock right?" in problem


@pytest.mark.threat("N6")
def test_a_forged_list_is_an_error_also_behind_a_good_one(site: Site) -> None:
    """OpenSSL chooses by date, and only then looks at the signature: everybody was refused."""
    forged = Ca.root("Vendor Root").revoke(start=NOW - DAY / 2, name="Hospital Root")
    server_context(*site.server, client_ca=site.ca, crl=site.crl(site.root.revoke()))
    (problem,) = problems(site, site.root.revoke() + forged)
    assert "is not signed by it" in problem


@pytest.mark.threat("N6")
def test_an_authority_among_the_lists_is_not_trusted(site: Site) -> None:
    """Lists are signed, so they are fetched over plain HTTP; OpenSSL trusts what certificates it finds in the file."""
    stranger = Ca.root("Stranger")
    assert site.connect(site.crl(site.root.revoke(), site.root.pem, stranger.revoke())) == "CT_1"
    with pytest.raises(OSError):  # noqa: PT011
        site.connect(site.crl(site.root.revoke(), stranger.revoke()), stranger.issue())
    for added in (stranger.pem, stranger.issue().certificate.public_bytes(Encoding.PEM)):
        (problem,) = problems(site, site.root.revoke() + stranger.revoke() + added)
        assert "holds certificates" in problem
    with pytest.raises(ConfigurationError, match="holds certificates"):
        client_context(site.ca, crl=site.crl(site.root.revoke(), stranger.revoke(), stranger.pem))


@pytest.mark.parametrize(
    ("old", "odd"),
    [
        (b"\x0c\x0dHospital Root", b"\x14\x0dH\xf6spital Root"),  # an encoding of the last century
        (b"\x2a\x86\x48\xce\x3d\x02\x01", b"\x2a\x86\x48\xce\x3d\x02\x7f"),  # id-ecPublicKey, and none
    ],
    ids=["name", "key"],
)
def test_an_authority_that_cannot_be_read_is_an_error(site: Site, old: bytes, odd: bytes) -> None:
    """OpenSSL takes no notice."""
    site.connect(site.crl(site.root.revoke()))
    site.ca.write_bytes(Ca(site.root.altered(site.root.certificate, old, odd), site.root.key).pem)
    server_context(*site.server, client_ca=site.ca)
    (problem,) = problems(site, site.root.revoke())
    assert "cannot be read" in problem


def _partition(*, users: bool = False, authorities: bool = False, indirect: bool = False) -> x509.ExtensionType:
    return x509.IssuingDistributionPoint(None, None, users, authorities, None, indirect, False)


@pytest.mark.parametrize(
    "extension",
    [
        x509.DeltaCRLIndicator(1),
        _partition(users=True),
        _partition(authorities=True),
        _partition(indirect=True),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.1"), b"\x05\x00"),
    ],
    ids=["delta", "users", "authorities", "indirect", "unknown"],
)
@pytest.mark.threat("N6")
def test_a_list_of_some_certificates_only_is_an_error_also_behind_a_complete_one(
    site: Site, extension: x509.ExtensionType
) -> None:
    """OpenSSL took a delta list for the newest of all, and accepted whom the complete one revokes."""
    complete = site.root.revoke(site.node, start=NOW - 2 * DAY)
    server_context(*site.server, client_ca=site.ca, crl=site.crl(complete, site.root.revoke()))
    newer = site.root.revoke(extensions=[extension])
    for content in (newer, complete + newer):
        (problem,) = problems(site, content)
        assert "is no complete list of all certificates" in problem
        assert type(extension).__name__ in problem


def test_a_list_of_who_knows_which_certificates_is_an_error(site: Site) -> None:
    """Where it is to be found has an X.400 address, which is not read."""
    server_context(*site.server, client_ca=site.ca, crl=site.crl(site.root.revoke()))
    place = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.28"), bytes.fromhex("3006a004a002a300"))
    (problem,) = problems(site, site.root.revoke(extensions=[place]))
    assert "is no complete list of all certificates" in problem


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_an_authoritys_old_and_new_list_the_newest_that_holds_counts(site: Site, newest_first: bool) -> None:
    """As OpenSSL does it, and as we do for what began before."""
    other = site.root.issue([("CN", "CT_2")])
    old, ended, new = (NOW - 3 * DAY, NOW + DAY), (NOW - DAY, NOW - DAY / 2), (NOW - 2 * DAY, NOW + 30 * DAY)
    dated = [
        site.root.revoke(other, start=new[0], ends=new[1]),
        site.root.revoke(site.node, start=old[0], ends=old[1]),
        site.root.revoke(site.node, start=ended[0], ends=ended[1]),
    ]
    crl = site.crl(*(dated if newest_first else reversed(dated)))
    assert site.connect(crl) == "CT_1"
    with pytest.raises(OSError):  # noqa: PT011
        site.connect(crl, other)
    trust = Trust.read(site.ca, crl)
    assert trust.objects(site.node.der, NOW) == ""
    assert trust.objects(other.der, NOW) == "has been revoked"
    lists = RevocationLists.read(crl, site.ca)
    assert lists.ends_at == NOW + 30 * DAY
    assert lists.warning(NOW + DAY) == ""
