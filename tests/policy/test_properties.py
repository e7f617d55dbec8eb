"""What holds for every policy, whatever is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from useridentity import (
    Accepted,
    Assurance,
    ConfigurationError,
    Decision,
    Facts,
    FunctionValidator,
    Grant,
    Identity,
    Kind,
    Policy,
    Proposal,
    Rule,
    Tls,
    Verified,
    When,
    Who,
)
from useridentity.config import load_policy
from useridentity.permission import CAPABILITIES, Request
from useridentity.policy import Checks
from useridentity.policy.coverage import _Borders, _connections, unreached_grants, unreached_rules
from useridentity.policy.index import WhenIndex, WhoIndex

REPEATABLE = settings(deadline=None, derandomize=True)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
LABELS = ("idp", "node", "staff")


def _anyhow(labels: Iterable[str]) -> dict[str, frozenset[Assurance]]:
    return dict.fromkeys(labels, frozenset(Assurance))


# Few values, so that rules meet.
titles = st.text("AB*", min_size=1, max_size=3)
networks = st.sampled_from(
    [ip_network(n) for n in ("10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.0.0.0/30", "fd00::/8")]
)
addresses = st.sampled_from(
    [ip_address(a) for a in ("10.0.0.1", "10.0.0.9", "10.128.0.1", "11.0.0.1", "fd00::1", "fe80::1")]
)


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=2, unique=True).map(tuple)


whens = st.builds(When, several(titles), several(titles), several(networks), st.none() | st.sampled_from(Tls))
connections = st.builds(
    Facts,
    st.text("AB", max_size=3),
    st.text("AB", max_size=3),
    addresses,
    st.just(104),
    st.sampled_from(Tls),
    st.sampled_from([2, 5]),
    st.just(NOW),
    contexts=several(st.builds(Proposal, st.sampled_from(["1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"]))),
)

words = st.sampled_from(["a", "b", "c"])
whos = st.builds(
    Who,
    several(st.sampled_from(LABELS)),
    several(words),
    st.dictionaries(
        st.sampled_from(["x", "y.z", "v[].w"]), st.lists(words, min_size=1, max_size=2).map(tuple), max_size=2
    ),
    several(st.sampled_from(Assurance)),
    several(st.sampled_from(Kind)),
    several(words),
)
claims = st.fixed_dictionaries(
    {},
    optional={
        "x": words | st.lists(words, max_size=2),
        "y": st.fixed_dictionaries({"z": words}),
        "v": st.lists(st.fixed_dictionaries({"w": words}), max_size=2),
    },
)
identities = st.builds(
    Identity,
    st.just("s"),
    st.just("u"),
    st.just("i"),
    st.sampled_from(Assurance),
    kind=st.sampled_from(Kind),
    groups=st.frozensets(words, max_size=2),
    claims=claims,
    purposes=st.frozensets(words, max_size=2),
)
permits = st.lists(st.sampled_from(sorted(set(CAPABILITIES) - {"move"})), min_size=1, max_size=3, unique=True)
grants = st.builds(Grant, permits, whos)

VALIDATORS = {
    name: FunctionValidator(name, identity_type, lambda *_: None, cpu_short=True)  # type: ignore[arg-type]
    for name, identity_type in (("idp", 5), ("node", None), ("staff", 2))
}
IDP, NODE, STAFF = VALIDATORS.values()


def made(rules: list[When], granted: list[Grant]) -> Policy:
    """A policy of these, if it is one: what is never reached is left out before it is an error."""
    unreached = {position for position, _ in unreached_rules(rules)}
    kept = [when for position, when in enumerate(rules) if position not in unreached]
    named = [Rule([(IDP, NODE), IDP, STAFF], when, f"r{n}") for n, when in enumerate(kept)]
    labels = ("idp+node", "idp", "staff")
    known = [grant for grant in granted if set(grant.who.validator) <= set(labels)]
    out = {position for position, _ in unreached_grants(known, _anyhow(labels))}
    return Policy(named, [grant for position, grant in enumerate(known) if position not in out])


def decided(policy: Policy, facts: Facts, identity: Identity) -> Decision:
    """What becomes of an association whose validators all verify, as `identity`."""
    plan = policy.plan(facts)
    if not isinstance(plan, Checks):
        return plan
    user = replace(identity, identity_type=facts.identity_type)
    return policy.conclude(plan, {"idp": Verified(user), "staff": Verified(user), "node": Verified(identity)})


def unnamed(decision: Decision) -> Decision:
    """A decision without the names that rules have by their place."""
    return replace(decision, rule="", grant="") if isinstance(decision, Accepted) else replace(decision, rule="")


@REPEATABLE
@given(st.lists(whens, max_size=6), connections)
def test_the_index_finds_what_trying_each_rule_finds(rules: list[When], facts: Facts) -> None:
    index = WhenIndex(rules)
    matching = [position for position, when in enumerate(rules) if when.matches(facts)]
    assert matching == [each for each in index.candidates(facts) if rules[each].matches(facts)]
    assert set(matching) <= set(index.candidates(facts)) <= set(index.but_for_tls(facts))


@REPEATABLE
@given(st.lists(whos, max_size=6), identities, st.sampled_from(LABELS))
def test_the_index_finds_what_trying_each_grant_finds(rules: list[Who], identity: Identity, label: str) -> None:
    index = WhoIndex(rules)
    matching = [position for position, who in enumerate(rules) if who.matches(identity, label)]
    assert matching == [each for each in index.candidates(identity, label) if rules[each].matches(identity, label)]


@REPEATABLE
@given(st.lists(whens, max_size=5), connections)
def test_no_connection_gets_to_a_rule_that_is_said_to_be_unreached(rules: list[When], facts: Facts) -> None:
    unreached = {position for position, _ in unreached_rules(rules)}
    first = next((position for position, when in enumerate(rules) if when.matches(facts)), None)
    assert first not in unreached


@REPEATABLE
@given(st.lists(grants, max_size=5), identities, st.sampled_from(LABELS))
def test_no_identity_gets_to_a_grant_that_is_said_to_be_unreached(
    rules: list[Grant], identity: Identity, label: str
) -> None:
    unreached = {position for position, _ in unreached_grants(rules, _anyhow(LABELS))}
    first = next((position for position, grant in enumerate(rules) if grant.matches(identity, label)), None)
    assert first not in unreached


@REPEATABLE
@given(st.lists(whens, max_size=5))
def test_some_connection_gets_to_every_rule_that_is_not(rules: list[When]) -> None:
    """The examples of `coverage` are connections too: each rule that is reached has one of its own."""
    borders = _Borders(network for when in rules for network in when.network)
    unreached = {position for position, _ in unreached_rules(rules)}
    for position in set(range(len(rules))) - unreached:
        examples = _connections(rules[position], borders)
        assert any(not any(when.matches(facts) for when in rules[:position]) for facts in examples)


@REPEATABLE
@given(st.lists(whens, min_size=1, max_size=4), st.lists(grants, max_size=4), whens, grants, connections, identities)
def test_a_rule_after_the_deciding_one_changes_nothing(
    rules: list[When], granted: list[Grant], rule: When, grant: Grant, facts: Facts, identity: Identity
) -> None:
    before = made(rules, granted)
    decision = decided(before, facts, identity)
    if any(when.matches(facts) for when in rules):
        assert unnamed(decided(made([*rules, rule], granted), facts, identity)) == unnamed(decision)
    if isinstance(decision, Accepted) and decision.grant:
        assert unnamed(decided(made(rules, [*granted, grant]), facts, identity)) == unnamed(decision)


_EVERY = [
    Request(kind, uid, uid, row.is_scu)
    for rows in CAPABILITIES.values()
    for row in rows
    for uid in sorted(row.abstract_syntaxes)[:3]
    for kind in sorted(row.requests)
]


@REPEATABLE
@given(
    st.lists(whens, min_size=1, max_size=3),
    st.lists(grants, min_size=1, max_size=4),
    st.data(),
    connections,
    identities,
)
def test_narrowing_a_permit_widens_nothing(
    rules: list[When], granted: list[Grant], data: st.DataObject, facts: Facts, identity: Identity
) -> None:
    """Of whatever grant a word is taken out: nobody who was rejected is accepted, and no request becomes permitted."""
    position = data.draw(st.integers(0, len(granted) - 1))
    assume(len(granted[position].permit) > 1)
    narrowed = list(granted)
    narrowed[position] = replace(granted[position], permit=granted[position].permit[1:])
    before, after = decided(made(rules, granted), facts, identity), decided(made(rules, narrowed), facts, identity)
    if not isinstance(before, Accepted):
        assert after == before
    elif isinstance(after, Accepted):
        for request in _EVERY:
            assert not before.permission.denies(request) or after.permission.denies(request)


# In a file


def written(table: Mapping[str, Any], order: list[str]) -> str:
    """A TOML table of these, its keys in this order."""
    return "".join(f"{name} = {_inline(table[name], order)}\n" for name in sorted(table, key=order.index))


def _inline(value: Any, order: list[str]) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{name} = {_inline(value[name], order)}" for name in sorted(value, key=order.index))
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(_inline(each, order) for each in value)}]"
    return f'"{value}"'


RULE = {
    "name": "people",
    "when": {"calling_ae_title": ["A*"], "called_ae_title": ["B"], "network": ["10.0.0.0/8"], "tls": "server"},
    "accept": ["names"],
}
GRANT = {
    "name": "reading",
    "who": {
        "validator": ["names"],
        "groups": ["a"],
        "claims": {"x": ["1"], "z": ["2"]},
        "assurance": ["asserted"],
        "kind": ["person"],
        "purpose": ["b"],
    },
    "permit": ["echo", "move"],
    "destinations": ["WS_*"],
}
KEYS = sorted({*RULE, *RULE["when"], *GRANT, *GRANT["who"], "x", "z"})
TABLES: list[Callable[[list[str]], str]] = [
    lambda order: "[limits]\n" + 'associate_deadline = "3s"\n',
    lambda order: '[validator.names]\ntype = "username"\n',
    lambda order: "[[authenticate]]\n" + written(RULE, order),
    lambda order: "[[authorize]]\n" + written(GRANT, order),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policy") / "identity.toml"


@REPEATABLE
@given(st.permutations(KEYS), st.permutations(TABLES))
def test_a_decision_never_depends_on_the_order_of_keys(file: Path, order: list[str], tables: list[Any]) -> None:
    file.write_text("version = 1\n" + "".join(table(order) for table in tables))
    policy = load_policy(file)
    file.write_text("version = 1\n" + "".join(table(KEYS) for table in TABLES))
    usual = load_policy(file)
    assert [_content(each) for each in policy.rules] == [_content(each) for each in usual.rules]
    assert [_content(each) for each in policy.grants] == [_content(each) for each in usual.grants]
    assert policy.limits == usual.limits


def _content(rule: Any) -> dict[str, Any]:
    return {field.name: getattr(rule, field.name) for field in fields(rule)}


def test_an_order_of_keys_that_is_no_order_is_an_error(file: Path) -> None:
    """A key given twice, which TOML forbids."""
    file.write_text('version = 1\n[[authenticate]]\nname = "a"\nname = "b"\n')
    with pytest.raises(ConfigurationError, match="not TOML"):
        load_policy(file)
