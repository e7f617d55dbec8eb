"""Microseconds that a policy of a thousand rules and as many grants needs for a decision, validators aside."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from statistics import median

from tests.benchmarks.figure import EFFORT, Figure, spread
from useridentity import (
    Accepted,
    Assurance,
    Facts,
    FunctionValidator,
    Grant,
    Identity,
    Policy,
    Proposal,
    Rule,
    Tls,
    Verified,
    When,
    Who,
)
from useridentity.policy import Checks

RULES = 1000
COUNT = 5000
AIM = 100.0
"""Issue 5: microseconds for a decision with a thousand rules, warm."""

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
DEVICES = [f"CT_{number}" for number in range(RULES)]


def measure() -> list[Figure]:
    """The last rule and the last grant decide for one device, and others for each of a thousand in turn."""
    policy = _policy()
    last = [_association(RULES - 1)]
    return [
        _figure("decision, 1,000 rules and grants, one device", policy, last),
        _figure("decision, 1,000 rules and grants, 1,000 devices", policy, list(map(_association, range(RULES)))),
    ]


def _policy() -> Policy:
    validator = FunctionValidator("idp", 5, lambda *_: _verified(""), cpu_short=True)
    rules = [
        Rule(
            [validator], When((f"{title}*",), ("ARCHIVE",), (ip_network(f"10.{n // 250}.{n % 250}.0/24"),), Tls.MUTUAL)
        )
        for n, title in enumerate(DEVICES)
    ]
    grants = [Grant(["echo", "store"], Who(("idp",), (title,), {"site": (title,)}), title) for title in DEVICES]
    return Policy(rules, grants)


def _verified(group: str) -> Verified:
    identity = Identity(
        "idp#x", "x", "idp", Assurance.AUTHENTICATED, 5, groups=frozenset({group}), claims={"site": [group]}
    )
    return Verified(identity)


def _association(number: int) -> tuple[Facts, Verified]:
    title, address = DEVICES[number], ip_address(f"10.{number // 250}.{number % 250}.7")
    facts = Facts(title, "ARCHIVE", address, 104, Tls.MUTUAL, 5, NOW, contexts=(Proposal(CT_STORAGE),))
    return facts, _verified(title)


def _figure(name: str, policy: Policy, associations: list[tuple[Facts, Verified]]) -> Figure:
    rounds = [_microseconds(policy, associations) for _ in range(EFFORT.get().rounds + 1)][1:]
    return Figure(name, median(rounds), None, "us", AIM, higher_is_better=False, spread=spread(rounds))


def _microseconds(policy: Policy, associations: list[tuple[Facts, Verified]]) -> float:
    """The mean of one decision."""
    count = max(len(associations), EFFORT.get().times(COUNT))
    began = time.perf_counter()
    for number in range(count):
        facts, verified = associations[number % len(associations)]
        plan = policy.plan(facts)
        assert isinstance(plan, Checks)
        assert isinstance(policy.conclude(plan, {"idp": verified}), Accepted)
    return 1e6 * (time.perf_counter() - began) / count
