"""The core decides every case of the table as the table says."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cases.core import CoreDriver
from tests.cases.policies import load_policies
from tests.cases.table import Case, Driver, Observed, load
from tests.lib.certificates import Certificates
from useridentity.testing.tokens import TokenIssuer

POLICIES, CASES = load()


@pytest.fixture(scope="module")
def driver(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    issuer = TokenIssuer()
    policies = load_policies(POLICIES, tmp_path_factory.mktemp("policies"), issuer, certificates.ca)
    first = certificates.client.cert.read_text().partition("-----END CERTIFICATE-----")
    driver = CoreDriver(policies, issuer, ssl.PEM_cert_to_DER_cert("".join(first[:2])))
    yield driver
    driver.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_core_decides_as_the_table_says(driver: Driver, case: Case) -> None:
    assert driver.run(case) == Observed(case.grants, case.answer)


def test_the_table_is_large_and_has_every_outcome() -> None:
    assert len(CASES) >= 150
    assert len({case.name.partition(": ")[2] + case.policy for case in CASES}) == len(CASES), "a case is there twice"
    answers = Counter(case.answer for case in CASES)
    assert all(answers[answer] >= 10 for answer in ("served", "refused", "aborted", "")), answers
