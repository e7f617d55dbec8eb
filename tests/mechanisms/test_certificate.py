"""The TLS client certificate as an identity: each refusal beside its accepted twin, then over real TLS."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pynetdicom import evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.lib.documents import toml_of
from tests.lib.pki import DAY, NOW, Ca, Leaf, Names
from tests.mechanisms.builders import context, credential, facts
from tests.pynetdicom.support import serving
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused
from useridentity.facts import Facts, Tls
from useridentity.identity import Assurance, Identity, Kind
from useridentity.mechanisms.certificate import CertificateSettings, CertificateValidator
from useridentity.policy import Policy, Rule, When
from useridentity.pynetdicom import AE, identity_of, outcome_of
from useridentity.settings import Runtime, decode
from useridentity.tls import client_context, server_context

RADIOLOGY = {"subject": {"O": "Radiology"}, "ae_title": "CN"}


@pytest.fixture(scope="module")
def root() -> Ca:
    return Ca.root()


@pytest.fixture(scope="module")
def node(root: Ca) -> Leaf:
    return root.issue()


def validator(folder: Path, *issuers: Ca, **settings: Any) -> CertificateValidator:
    """As a policy file in `folder` builds it, with these authorities in its `issuer` file."""
    (folder / "ca.pem").write_bytes(b"".join(ca.pem for ca in issuers))
    return CertificateSettings(Path("ca.pem"), **settings).build(Runtime("node", folder))


def shown(leaf: Leaf, calling: str = "CT_1", **others: Any) -> Facts:
    """What is known of a requestor that showed this certificate."""
    known = replace(facts(Tls.MUTUAL, None), peer_certificate=leaf.der, calling_ae_title=calling)
    return replace(known, **others)


def identity(judge: CertificateValidator, known: Facts) -> Identity:
    return judge.validate(None, known, context()).identity


def refusal(judge: CertificateValidator, known: Facts) -> Refused:
    with pytest.raises(Refused) as caught:
        judge.validate(None, known, context())
    return caught.value


# Who it is


def test_a_node_is_named_by_its_certificate_and_qualified_by_its_validator(root: Ca, tmp_path: Path) -> None:
    leaf = root.issue([("O", "Radiology"), ("OU", "CT"), ("OU", "Ward 3"), ("CN", "CT_1")], dns=["ct1.example.org"])
    judge = validator(tmp_path, root, **RADIOLOGY, groups={"CT": "modalities", "MR": "others"})
    verified = judge.validate(None, shown(leaf), context())
    found = verified.identity
    assert (found.subject, found.user_id, found.issuer) == ("node:CT_1", "CT_1", "node")
    assert (found.kind, found.assurance, found.identity_type) == (Kind.NODE, Assurance.AUTHENTICATED, None)
    assert found.groups == {"modalities"}
    assert found.expires_at == verified.expires_at == leaf.certificate.not_valid_after_utc
    assert found.claims["OU"] == ["CT", "Ward 3"]
    assert found.claims["DNS"] == ["ct1.example.org"]
    assert found.claims["serial"] == f"{leaf.certificate.serial_number:x}"
    assert found.presented == "CN=CT_1,OU=Ward 3,OU=CT,O=Radiology"


def test_a_node_may_be_named_by_its_alternative_name(root: Ca, tmp_path: Path) -> None:
    judge = validator(tmp_path, root, user_id="DNS")
    assert identity(judge, shown(root.issue(dns=["ct1.example.org"]))).subject == "node:ct1.example.org"
    for names in ([], ["ct1.example.org", "ct2.example.org"]):
        assert "exactly one is needed" in refusal(judge, shown(root.issue(dns=names))).detail


def test_an_old_and_a_new_key_of_one_authority_are_taken_side_by_side(tmp_path: Path) -> None:
    old, new = Ca.root(), Ca.root()
    judge = validator(tmp_path, old, new)
    assert identity(judge, shown(old.issue())).user_id == identity(judge, shown(new.issue())).user_id == "CT_1"


# Who it is not


def test_without_a_certificate_an_identity_is_required(root: Ca, node: Leaf, tmp_path: Path) -> None:
    judge = validator(tmp_path, root)
    identity(judge, shown(node))
    for known in (facts(Tls.SERVER, None), facts(Tls.NONE, None), shown(node, tls=Tls.SERVER)):
        assert refusal(judge, known).reason is Reason.IDENTITY_REQUIRED


def test_it_does_not_speak_for_a_user_identity_that_was_sent(root: Ca, node: Leaf, tmp_path: Path) -> None:
    judge = validator(tmp_path, root)
    identity(judge, shown(node))
    with pytest.raises(Refused) as caught:
        judge.validate(credential(1, b"alice"), shown(node), context())
    assert caught.value.reason is Reason.IDENTITY_TYPE_NOT_ACCEPTED


def test_a_certificate_of_another_authority_of_the_same_name_is_refused(root: Ca, node: Leaf, tmp_path: Path) -> None:
    """TLS may trust several authorities; this validator speaks for one, by its key and not by its name."""
    judge = validator(tmp_path, root, **RADIOLOGY)
    identity(judge, shown(node))
    twin, other = Ca.root(), Ca.root("Vendor Root")
    assert "not by this validator's issuer" in refusal(judge, shown(twin.issue())).detail
    assert "'CN=Vendor Root'" in refusal(judge, shown(other.issue())).detail


def test_the_intermediate_that_issued_is_pinned_and_its_root_is_not_enough(root: Ca, tmp_path: Path) -> None:
    intermediate = root.intermediate()
    leaf = intermediate.issue()
    identity(validator(tmp_path, intermediate), shown(leaf))
    detail = refusal(validator(tmp_path, root), shown(leaf)).detail
    assert "was issued by 'CN=Hospital Nodes'" in detail


@pytest.mark.parametrize(
    "subject",
    [
        [("O", "Cardiology"), ("CN", "CT_1")],
        [("CN", "CT_1")],
        [("O", "radiology"), ("CN", "CT_1")],
        [("OU", "Radiology"), ("CN", "CT_1")],
        [("O", "X,O=Radiology"), ("CN", "CT_1")],
        [("O", "X/O=Radiology"), ("CN", "CT_1")],
        [("O", "Radiology*"), ("CN", "CT_1")],
    ],
    ids=["another", "none", "case", "another attribute", "within a value", "within a value, slashes", "pattern"],
)
def test_a_certificate_without_the_subject_asked_for_is_refused(root: Ca, subject: Names, tmp_path: Path) -> None:
    judge = validator(tmp_path, root, **RADIOLOGY)
    identity(judge, shown(root.issue([("O", "Radiology"), ("CN", "CT_1")])))
    refused = refusal(judge, shown(root.issue(subject)))
    assert refused.reason is Reason.CREDENTIAL_INVALID
    assert "the policy asks for 'Radiology'" in refused.detail


@pytest.mark.parametrize(("ae_title", "dns"), [("CN", []), ("DNS", ["CT_1"])])
def test_a_calling_ae_title_that_is_not_the_certificates_own_is_refused(
    root: Ca, ae_title: str, dns: list[str], tmp_path: Path
) -> None:
    leaf = root.issue(dns=dns)
    judge = validator(tmp_path, root, ae_title=ae_title)
    identity(judge, shown(leaf, "CT_1"))
    for calling in ("CT_2", "ct_1", "CT_*", ""):
        assert f"{ae_title} 'CT_1', the calling AE title is" in refusal(judge, shown(leaf, calling)).detail
    identity(validator(tmp_path, root), shown(leaf, "CT_2"))


def test_a_certificate_that_has_ended_since_is_refused(root: Ca, tmp_path: Path) -> None:
    """As over a TLS session that is resumed: nothing is verified anew there."""
    judge = validator(tmp_path, root)
    leaf = root.issue(ends=NOW + DAY)
    identity(judge, shown(leaf, now=NOW))
    for now in (NOW + 2 * DAY, NOW - 500 * DAY):
        assert refusal(judge, shown(leaf, now=now)).reason is Reason.CREDENTIAL_EXPIRED


def test_nothing_holds_under_an_authority_that_has_ended(tmp_path: Path) -> None:
    root = Ca.root(ends=NOW + DAY)
    judge = validator(tmp_path, root)
    leaf = root.issue()
    identity(judge, shown(leaf, now=NOW))
    assert "its issuer's certificate ends" in refusal(judge, shown(leaf, now=NOW + 2 * DAY)).detail


def test_a_certificate_without_a_name_to_go_by_is_refused(root: Ca, tmp_path: Path) -> None:
    judge = validator(tmp_path, root)
    identity(judge, shown(root.issue([("CN", "CT_1")])))
    for subject in ([("O", "Radiology")], [("CN", "CT_1"), ("CN", "CT_2")]):
        assert "exactly one is needed" in refusal(judge, shown(root.issue(subject))).detail


@pytest.mark.parametrize("odd", [b"CT\n1", b"CT\x001", b"CT\x1b1"])
def test_a_node_is_named_in_print_only(root: Ca, tmp_path: Path, odd: bytes) -> None:
    """It is a line of logs and records, and a subject of rules."""
    leaf, judge = root.issue(), validator(tmp_path, root)
    identity(judge, shown(leaf))
    altered = Leaf(root.altered(leaf.certificate, b"CT_1", odd), leaf.key)
    assert "in print" in refusal(judge, shown(altered)).detail


@pytest.mark.parametrize("odd", [b"\x14\x04C\xe4_1", b"\x03\x04\x00C_1"], ids=["teletex", "bits"])
def test_a_name_that_cannot_be_read_is_refused(root: Ca, tmp_path: Path, odd: bytes) -> None:
    leaf, judge = root.issue(), validator(tmp_path, root)
    identity(judge, shown(leaf))
    altered = Leaf(root.altered(leaf.certificate, b"\x0c\x04CT_1", odd), leaf.key)
    assert "cannot be read" in refusal(judge, shown(altered)).detail


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_octets_that_are_no_certificate_are_refused_and_nothing_else(root: Ca, node: Leaf, tmp_path: Path) -> None:
    judge = validator(tmp_path, root, **RADIOLOGY)
    identity(judge, shown(node))
    whole = node.der
    damaged = [whole[:size] for size in range(1, len(whole), 7)]
    damaged += [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(0, len(whole), 3)]
    for octets in damaged:
        refused = refusal(judge, replace(shown(node), peer_certificate=octets))
        assert refused.reason in (Reason.CREDENTIAL_INVALID, Reason.CREDENTIAL_EXPIRED)


# What a policy may say


def problems(folder: Path, **table: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        CertificateSettings(Path("ca.pem"), **table).build(Runtime("node", folder))
    return caught.value.problems


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"subject": {"Organization": "x"}}, 'subject: "Organization" is no name of a certificate'),
        ({"ae_title": "cn"}, 'ae_title: "cn" is no name of a certificate (known: C, CN, '),
        ({"user_id": "SAN"}, 'user_id: "SAN" is no name of a certificate'),
    ],
)
def test_a_name_that_no_certificate_has_is_said_at_load(
    root: Ca, table: Mapping[str, Any], expected: str, tmp_path: Path
) -> None:
    validator(tmp_path, root, **RADIOLOGY)
    (problem,) = problems(tmp_path, **table)
    assert problem.startswith(expected)


def test_an_issuer_that_cannot_issue_is_said_at_load(root: Ca, node: Leaf, tmp_path: Path) -> None:
    validator(tmp_path, root)
    leaf = node.certificate.public_bytes(Encoding.PEM)
    contents = {
        "CA:FALSE": leaf,
        "holds several authorities": root.pem + Ca.root("Vendor Root").pem,
        "not a usable PEM certificate": b"nonsense",
    }
    for expected, content in contents.items():
        (tmp_path / "ca.pem").write_bytes(content)
        (problem,) = problems(tmp_path)
        assert problem.startswith(f"issuer: {tmp_path / 'ca.pem'}: ")
        assert expected in problem
    (tmp_path / "ca.pem").unlink()
    assert "No such file" in problems(tmp_path)[0]


def test_a_policy_file_decodes_into_the_settings(tmp_path: Path) -> None:
    table = {"issuer": "ca.pem", "subject": {"O": "Radiology"}, "ae_title": "CN", "groups": {"CT": "modalities"}}
    reported: list[str] = []
    settings = decode(CertificateSettings, table, (), lambda _key, what: reported.append(what), tmp_path)
    assert reported == []
    assert settings == CertificateSettings(tmp_path / "ca.pem", {"O": "Radiology"}, "CN", groups={"CT": "modalities"})


def test_the_example_of_the_documentation_decodes(tmp_path: Path) -> None:
    table = toml_of("certificates")[0]["validator"]["node"]
    assert table.pop("type") == "certificate"
    reported: list[str] = []
    assert decode(CertificateSettings, table, (), lambda _key, what: reported.append(what), tmp_path)
    assert reported == []


def test_without_cryptography_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['cryptography'] = None; import useridentity.mechanisms.certificate"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert "pip install 'useridentity[certificate]'" in done.stderr


# Over real TLS


def associate(port: int, tls: Any, calling: str, *, identity: Any = None) -> str:
    """What an association of this requestor comes to."""
    ae = AE(calling)
    ae.add_requested_context(Verification)
    assoc = ae.associate("127.0.0.1", port, tls_args=(tls, "127.0.0.1"), identity=identity)
    outcome = str(outcome_of(assoc))
    if assoc.is_established:
        assoc.send_c_echo()
        assoc.release()
    return outcome


def test_a_node_associates_by_its_certificate_and_no_other_does(root: Ca, tmp_path: Path) -> None:
    ca = tmp_path / "roots.pem"
    vendor = Ca.root("Vendor Root")
    ca.write_bytes(root.pem + vendor.pem)
    server = root.issue([("CN", "ARCHIVE")], server=True).write(tmp_path, "server")
    own = root.issue().write(tmp_path, "own")
    foreign = vendor.issue().write(tmp_path, "foreign")
    tls = server_context(*server, client_ca=ca, client_certificate="optional")
    policy = Policy([Rule([validator(tmp_path, root, **RADIOLOGY)], When())])
    seen: list[Identity | None] = []

    def on_echo(event: evt.Event) -> int:
        seen.append(identity_of(event))
        return 0x0000

    with serving(policy, tls=tls, handlers=[(evt.EVT_C_ECHO, on_echo)]) as acceptor:
        assert associate(acceptor.port, client_context(ca, *own), "CT_1").startswith("accepted")
        assert [found and found.subject for found in seen] == ["node:CT_1"]
        for context_, calling in (
            (client_context(ca, *own), "CT_2"),
            (client_context(ca, *foreign), "CT_1"),
            (client_context(ca), "CT_1"),
        ):
            assert "(1,2,1)" in associate(acceptor.port, context_, calling).replace(" ", "")
    assert len(seen) == 1
