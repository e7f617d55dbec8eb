"""A policy file with a scope, over an archive of 2,000 studies, for users of every identity type.

The expected answers are an unscoped archive's whose index holds only the user's studies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pynetdicom
import pytest
from pydicom import Dataset
from pynetdicom.association import Association

from tests.lib.certificates import Certificates
from tests.parts import require
from tests.pynetdicom.scoped.asking import MODELS, archive, association, find
from tests.pynetdicom.scoped.hospital import COHORT, QUERIES, SCOPE, hospital, mine
from tests.pynetdicom.scoped.test_oracle import in_order
from tests.pynetdicom.support import PASSCODE
from useridentity import Jwt, Kerberos, Policy, Saml, Username, UsernamePasscode
from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.tls import client_context, server_context

Asking = dict[str, Any]  # how `association` is to be opened

GRANT = """\
version = 1

[validator.users]
{validator}

[[authenticate]]
accept = ["users"]

[[authorize]]
name = "the cohort"
who = {{ assurance = ["{assurance}"] }}
permit = ["find", "worklist"]
scope = {{ PatientID = {cohort}, IssuerOfPatientID = {issuers} }}
"""


LARGE = ("universal", "some of 10,000 instances")
"""Queries that are asked by DCMTK only, for the time they take."""


def write(folder: Path, validator: str, *, assurance: str = "authenticated", cohort: str = "") -> Policy:
    """A policy file, read; the cohort is listed in it unless it is a claim."""
    text = GRANT.format(
        validator=validator,
        assurance=assurance,
        cohort=cohort or json.dumps(COHORT),
        issuers=json.dumps(SCOPE["IssuerOfPatientID"], ensure_ascii=False),
    )
    (folder / "policy.toml").write_text(text, "utf-8")
    return Policy.load(folder / "policy.toml")


@pytest.fixture(scope="session")
def expected() -> dict[str, tuple[int, list[str]]]:
    """What an archive answers that has only the user's studies."""
    with archive(mine().handlers) as acceptor, association(acceptor) as assoc:
        return {
            name: told(find(assoc, wanted, model)) for name, (model, wanted) in QUERIES.items() if name not in LARGE
        }


def told(answer: tuple[int, list[Dataset]]) -> tuple[int, list[str]]:
    return answer[0], in_order(answer[1])


def username(folder: Path) -> tuple[Policy, Asking]:
    return write(folder, 'type = "username"', assurance="asserted"), {"identity": Username("alice")}


def passcode(folder: Path) -> tuple[Policy, Asking]:
    set_passcode(folder / "passcodes.toml", "alice", PASSCODE)
    validator = 'type = "passcode"\nstore = "file:passcodes.toml"\nplaintext = "allow"'
    return write(folder, validator), {"identity": UsernamePasscode("alice", PASSCODE, plaintext="allow")}


def jwt(folder: Path) -> tuple[Policy, Asking]:
    require("jwt")
    from useridentity.testing import TokenIssuer

    issuer = TokenIssuer()
    issuer.write_jwks(folder / "jwks.json")
    validator = (
        f'type = "jwt"\nissuer = "{issuer.issuer}"\naudience = "{issuer.audience}"\njwks = "jwks.json"\n'
        'plaintext = "allow"'
    )
    token = issuer.token(study={"cohort": COHORT})
    policy = write(folder, validator, cohort='"{claims.study.cohort}"')
    return policy, {"identity": Jwt(token, peers=["127.0.0.1"], plaintext="allow")}


def saml(folder: Path) -> tuple[Policy, Asking]:
    require("lxml")
    from useridentity.testing import AssertionIssuer

    issuer = AssertionIssuer()
    issuer.write_metadata(folder / "idp.xml")
    validator = (
        f'type = "saml"\naudience = "{issuer.audience}"\nmetadata = "idp.xml"\nplaintext = "allow"\n'
        'claims = { cohort = "urn:cohort" }'
    )
    assertion = issuer.assertion(attributes={"urn:cohort": COHORT})
    policy = write(folder, validator, cohort='"{claims.cohort}"')
    return policy, {"identity": Saml(assertion, peers=["127.0.0.1"], plaintext="allow")}


@pytest.fixture(params=[username, passcode, saml, jwt], ids=lambda make: make.__name__)
def let_in(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Policy, Asking]:
    made: tuple[Policy, Asking] = request.param(tmp_path)
    return made


def check(policy: Policy, asking: Asking, expected: dict[str, tuple[int, list[str]]], **settings: Any) -> None:
    with (
        archive(hospital().handlers, policy=policy, **settings) as acceptor,
        association(acceptor, propose=MODELS, **asking) as assoc,
    ):
        compare(assoc, expected)


def compare(assoc: Association, expected: dict[str, tuple[int, list[str]]]) -> None:
    for name, answer in expected.items():
        model, wanted = QUERIES[name]
        assert told(find(assoc, wanted, model)) == answer, name


@pytest.mark.threat("Q1")
def test_users_see_the_studies_of_their_cohort_and_no_others(let_in: tuple[Policy, Asking], expected: Any) -> None:
    check(*let_in, expected)
    assert 0 < sum(len(rows) for _, rows in expected.values()) < 400


@pytest.fixture
def realm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    require("gssapi")
    from tests.mechanisms.kerberos.hospital import hospital as founded

    with founded(tmp_path_factory.mktemp("kerberos")) as made:
        made.settle(monkeypatch, tmp_path)
        yield made


def test_a_user_with_a_ticket_does(realm: Any, tmp_path: Path, expected: Any) -> None:
    from tests.mechanisms.kerberos.hospital import SERVICE

    policy = write(tmp_path, f'type = "kerberos"\nservice = "{SERVICE}"\nkeytab = "{realm.keytab}"')
    check(policy, {"identity": Kerberos(SERVICE, cache=realm.alice)}, expected)


def test_a_node_that_shows_its_certificate_does_with_stock_pynetdicom_too(
    tmp_path: Path, certificates: Certificates, expected: Any
) -> None:
    policy = write(tmp_path, f'type = "certificate"\nissuer = "{certificates.ca}"')
    tls = server_context(*certificates.server, client_ca=certificates.ca)
    context = client_context(certificates.ca, *certificates.client)
    check(policy, {"identity": None, "tls_args": (context, "localhost")}, expected, tls=tls)
    with archive(hospital().handlers, policy=policy, tls=tls) as acceptor:
        scu = pynetdicom.AE("SCU")
        scu.requested_contexts = [pynetdicom.build_context(uid) for uid in MODELS]
        assoc = scu.associate("127.0.0.1", acceptor.port, tls_args=(context, "localhost"))
        compare(assoc, expected)
        assoc.release()
