"""What a stranger can make an acceptor spend with one association request."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from tests.mechanisms.saml.costly import LIMIT, costly
from tests.mechanisms.saml.issuer import Issuer, assertion, validate, validator
from useridentity.errors import Refused

AIM = 0.05  # seconds of CPU
HANG = 10 * AIM


@pytest.mark.threat("S11")
def test_no_input_costs_much(issuer: Issuer) -> None:
    """Bounded at ten times the aim; the benchmark prints what it is."""
    acceptor = validator(issuer, form="either")
    assert validate(acceptor, issuer.sign(assertion()))
    spent = {}
    for case, octets in costly(issuer).items():
        assert len(octets) <= LIMIT
        begun = time.process_time()
        with suppress(Refused):
            validate(acceptor, octets, answer=True)
        spent[case] = time.process_time() - begun
    assert not {case: seconds for case, seconds in spent.items() if seconds > HANG}


def test_what_is_signed_is_accepted_however_much_it_is(issuer: Issuer) -> None:
    """The twins of the costly documents that nobody signed."""
    acceptor = validator(issuer, form="either")
    for case, octets in costly(issuer).items():
        if case.startswith("signed: "):
            assert validate(acceptor, octets).identity.user_id == "alice"
