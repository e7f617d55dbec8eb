"""What would not be verified today, beside its twin that would be."""

from __future__ import annotations

from pathlib import Path

from tests.lib.pki import DAY, NOW, Ca, Leaf
from useridentity.tls.trust import Trust

ENDS = NOW + 30 * DAY


def trust(folder: Path, *authorities: Ca, lists: tuple[bytes, ...] = ()) -> Trust:
    (folder / "ca.pem").write_bytes(b"".join(each.pem for each in authorities))
    (folder / "ca.crl").write_bytes(b"".join(lists))
    return Trust.read(folder / "ca.pem", folder / "ca.crl" if lists else None)


def test_whose_authority_was_withdrawn_is_not_verified(tmp_path: Path) -> None:
    root, vendor = Ca.root(), Ca.root("Vendor Root")
    leaf = root.issue()
    assert trust(tmp_path, root, vendor).objects(leaf.der, NOW) == ""
    assert "is not in client_ca" in trust(tmp_path, vendor).objects(leaf.der, NOW)


def test_an_authority_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    root, twin = Ca.root(), Ca.root()
    leaf = root.issue()
    assert trust(tmp_path, twin, root).objects(leaf.der, NOW) == ""
    assert "is not in client_ca" in trust(tmp_path, twin).objects(leaf.der, NOW)


def test_a_certificate_and_its_authority_hold_between_their_dates(tmp_path: Path) -> None:
    root = Ca.root(ends=ENDS)
    short, long = root.issue(ends=NOW + DAY), root.issue(ends=ENDS + DAY)
    found = trust(tmp_path, root)
    assert found.objects(short.der, NOW + DAY) == ""
    assert found.objects(short.der, NOW + 2 * DAY).startswith("does not hold now")
    assert found.objects(short.der, NOW - 400 * DAY).startswith("does not hold now")
    assert found.objects(long.der, ENDS) == ""
    assert "that of its issuer does not hold now" in found.objects(long.der, ENDS + DAY)


def test_revocation_is_by_issuer_and_number(tmp_path: Path) -> None:
    root, vendor = Ca.root(), Ca.root("Vendor Root")
    leaf, other = root.issue(), root.issue()
    found = trust(tmp_path, root, vendor, lists=(root.revoke(leaf), vendor.revoke(other)))
    assert found.objects(leaf.der, NOW) == "has been revoked"
    assert found.objects(other.der, NOW) == ""


def test_where_a_list_has_ended_its_authority_and_no_other_is_refused(tmp_path: Path) -> None:
    root, vendor = Ca.root(), Ca.root("Vendor Root")
    found = trust(tmp_path, root, vendor, lists=(root.revoke(ends=NOW + DAY), vendor.revoke(ends=NOW + 2 * DAY)))
    ours, theirs = root.issue(), vendor.issue()
    for now, expected in ((NOW, (False, False)), (NOW + DAY, (True, False)), (NOW + 2 * DAY, (True, True))):
        assert tuple("has ended" in found.objects(each.der, now) for each in (ours, theirs)) == expected


def test_whom_a_revoked_intermediate_has_issued_for_is_refused(tmp_path: Path) -> None:
    root = Ca.root()
    intermediate = root.intermediate()
    leaf, own = intermediate.issue(), intermediate.revoke()
    assert trust(tmp_path, root, intermediate, lists=(root.revoke(), own)).objects(leaf.der, NOW) == ""
    revoked = root.revoke(Leaf(intermediate.certificate, intermediate.key))
    objection = trust(tmp_path, root, intermediate, lists=(revoked, own)).objects(leaf.der, NOW)
    assert objection == "is not good: that of its issuer has been revoked"


def test_an_intermediate_that_is_not_among_the_authorities_cannot_be_judged(tmp_path: Path) -> None:
    root = Ca.root()
    intermediate = root.intermediate()
    leaf = intermediate.issue()
    assert trust(tmp_path, root, intermediate).objects(leaf.der, NOW) == ""
    assert "is not in client_ca" in trust(tmp_path, root).objects(leaf.der, NOW)
    assert "that of its issuer cannot be verified anew" in trust(tmp_path, intermediate).objects(leaf.der, NOW)


def test_authorities_that_signed_each_other_and_no_root_end_the_search(tmp_path: Path) -> None:
    one, other = Ca.root("One"), Ca.root("Other")
    crossed = [other.cross_sign(one), one.cross_sign(other)]
    leaf = one.issue()
    assert trust(tmp_path, *crossed, other).objects(leaf.der, NOW) == ""
    assert "cannot be verified anew" in trust(tmp_path, *crossed).objects(leaf.der, NOW)


def test_what_cannot_be_read_is_no_certificate(tmp_path: Path) -> None:
    root = Ca.root()
    found, leaf = trust(tmp_path, root), root.issue()
    assert found.objects(leaf.der, NOW) == ""
    assert found.objects(leaf.der[:-40], NOW).startswith("cannot be read")
    odd = Ca(root.altered(root.certificate, b"\x0c\x0dHospital Root", b"\x14\x0dH\xf6spital Root"), root.key)
    below = root.altered(leaf.certificate, b"\x0c\x0dHospital Root", b"\x14\x0dH\xf6spital Root")
    assert trust(tmp_path, odd).objects(Leaf(below, leaf.key).der, NOW).startswith("cannot be read")
