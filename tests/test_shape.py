"""Limits of policies made in code; the shape of rules and grants is `test_policy_problems`' matter."""

from __future__ import annotations

from ipaddress import ip_network
from math import inf, nan

import pytest

from useridentity import ConfigurationError, FunctionValidator, Limits, PenaltyLimits, Policy, Rule

STAFF = FunctionValidator("staff", 2, lambda *_: None)  # type: ignore[arg-type,return-value]
LAN = (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(max_pending=0), "limits.max_pending: 0 should be a whole number above zero"),
        (Limits(max_pending=1.5), "limits.max_pending: 1.5 should be a whole number above zero"),  # type: ignore[arg-type]
        (Limits(max_pending=True), "limits.max_pending: True should be a whole number above zero"),
        (Limits(associate_deadline=-1), "limits.associate_deadline: -1 should be a number above zero"),
        (Limits(validator_deadline=nan), "limits.validator_deadline: nan should be a number above zero"),
        (Limits(max_association=inf), "limits.max_association: inf should be a number above zero"),
        (Limits(tls_handshake="5s"), "limits.tls_handshake: '5s' should be a number above zero"),  # type: ignore[arg-type]
        (Limits(penalty=None), "limits.penalty: None should be a PenaltyLimits"),  # type: ignore[arg-type]
        (
            Limits(penalty=PenaltyLimits(account_forgive=0)),
            "limits.penalty.account_forgive: 0 should be a number above zero",
        ),
        (
            Limits(penalty=PenaltyLimits(exempt=("10.0.0.0/8",))),  # type: ignore[arg-type]
            "limits.penalty.exempt: '10.0.0.0/8' should be IPv4Network or IPv6Network",
        ),
    ],
)
def test_limits_in_code_are_what_they_could_be_in_a_file(limits: Limits, expected: str) -> None:
    Policy([Rule([STAFF])], limits=Limits(max_pending=1, associate_deadline=1, penalty=PenaltyLimits(exempt=LAN)))
    with pytest.raises(ConfigurationError) as caught:
        Policy([Rule([STAFF])], limits=limits)
    assert caught.value.problems == (expected,)
