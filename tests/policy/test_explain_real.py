"""What is supposed of a policy file, and what a server decides with the validators that the file names."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from useridentity.checks import Driver
from useridentity.cli.policy import supposed
from useridentity.credential import Credential
from useridentity.decision import Accepted, Decision
from useridentity.errors import ConfigurationError
from useridentity.facts import Tls
from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.policy import Policy
from useridentity.policy.explain import IDENTITY_TYPES, Supposed, explain
from useridentity.testing import CertificateAuthority, TokenIssuer, bound_to, der_of


@dataclass(frozen=True)
class House:
    """A folder with all that the policies name, and what their peers hold."""

    folder: Path
    issuer: TokenIssuer
    forger: TokenIssuer
    certificates: dict[str, bytes]

    def policy(self, text: str) -> Path:
        path = self.folder / "identity.toml"
        path.write_text(text, "utf-8")
        return path

    def credential(self, case: Supposed, *, bound: bool) -> Credential | None:
        """What the peer of `case` sends."""
        good, number = case.credential == "good", IDENTITY_TYPES[case.identity]
        if number is None:
            return None
        if case.identity == "jwt":
            claims: dict[str, Any] = {"roles": list(case.groups)}
            if bound:
                claims["cnf"] = bound_to(self.certificates["good"])
            token = (self.issuer if good else self.forger).token("alice", **claims)
            return Credential(number, token.encode())
        if case.identity == "passcode":
            name = "alice" if case.groups else "bob"
            return Credential(number, name.encode(), b"right" if good else b"wrong")
        return Credential(number, b"alice" if good else b"\xff")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("house")
    issuer = TokenIssuer(algorithm="ES256")
    issuer.write_jwks(folder / "jwks.json")
    authority, other = CertificateAuthority("ours"), CertificateAuthority("ours")
    authority.write(folder / "ca.pem")
    (folder / "other").mkdir()
    shown = {"good": authority.node(folder, "CT_1"), "bad": other.node(folder / "other", "CT_1")}
    set_passcode(folder / "passcodes.toml", "alice", b"right", groups=["radiology"])
    set_passcode(folder / "passcodes.toml", "bob", b"right")
    return House(
        folder,
        issuer,
        TokenIssuer(algorithm="ES256"),
        {name: der_of(pair.cert) for name, pair in shown.items()},
    )


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def table(head: str, **values: Any) -> str:
    return "\n".join([head, *(f"{key} = {toml(value)}" for key, value in values.items() if value), ""])


words = st.sampled_from(["refuse", "allow"])
bindings = st.sampled_from(["none", "certificate"])
whens = st.fixed_dictionaries(
    {},
    optional={
        "calling_ae_title": st.sampled_from([["CT_*"], ["WS_1", "CT_1"]]),
        "network": st.sampled_from([["10.0.0.0/8"], ["10.20.0.0/16", "fd00::/8"]]),
        "tls": st.sampled_from(["none", "server", "mutual"]),
    },
)
accepts = st.lists(
    st.sampled_from(["idp", "staff", "node", "names", "idp+node", "staff+node"]), min_size=1, max_size=3, unique=True
)
extras: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {}, {"assign": {"user": "old", "groups": ["radiology"]}}, {"unproved": {"mode": "report", "until": "X"}}]
)
whos = st.fixed_dictionaries(
    {},
    optional={
        "validator": st.sampled_from([["idp", "staff"], ["idp+node"], ["node"]]),
        "groups": st.just(["radiology"]),
        "assurance": st.sampled_from([["authenticated", "asserted"], ["unproved", "assigned"]]),
        "kind": st.sampled_from([["person"], ["node"]]),
    },
)
permits = st.sampled_from([["store"], ["find", "echo"], ["get"]])
cases = st.builds(
    Supposed,
    st.sampled_from(["CT_1", "WS_1"]),
    st.just("ARCHIVE"),
    st.sampled_from(["10.20.0.7", "10.9.9.9", "fd00::7", "::ffff:10.20.0.7"]),
    st.sampled_from(Tls),
    st.sampled_from(["none", "jwt", "passcode", "username", "jwt", "none"]),
    st.sampled_from(["good", "good", "good", "bad"]),
    groups=st.sampled_from([(), ("radiology",)]),
    contexts=st.sampled_from([(), ("CTImageStorage",), ("Verification", "CTImageStorage:scp")]),
)


def written(data: st.DataObject) -> tuple[str, str]:
    """A policy of everything, and the binding of its tokens."""
    binding = data.draw(bindings)
    parts = [
        "version = 1\n",
        table(
            "[validator.idp]",
            type="jwt", issuer="https://idp.test", audience="dicom:ARCHIVE", jwks="jwks.json", algorithms=["ES256"],
            binding=binding, plaintext="refuse" if binding == "certificate" else data.draw(words),
            groups={"claim": "roles", "map": {"radiology": "radiology"}},
        ),
        table("[validator.staff]", type="passcode", store="file:passcodes.toml", plaintext=data.draw(words)),
        table("[validator.node]", type="certificate", issuer="ca.pem"),
        table("[validator.names]", type="username"),
    ]  # fmt: skip
    for _ in range(data.draw(st.integers(1, 3))):
        rule = {"when": data.draw(whens), "accept": data.draw(accepts), "weakest": "asserted", **data.draw(extras)}
        parts.append(table("[[authenticate]]", **rule).replace('"X"', "2999-01-01"))
    for _ in range(data.draw(st.integers(0, 3))):
        parts.append(table("[[authorize]]", who=data.draw(whos), permit=data.draw(permits)))
    return "\n".join(parts), binding


def told(decision: Decision) -> tuple[object, ...]:
    """What a decision says of the policy; names of users and details are the validators' own."""
    if isinstance(decision, Accepted):
        identity, node, waived = decision.identity, decision.node, decision.waived
        return (
            decision.rule, decision.validator, decision.grant, decision.permission,
            identity.assurance, identity.kind, identity.groups, node and node.kind, waived and waived.reason,
        )  # fmt: skip
    return decision.reason, decision.rule


@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_what_is_supposed_of_a_file_is_what_its_validators_decide(house: House, data: st.DataObject) -> None:
    """For any policy and any peer whose credential is as supposed."""
    text, binding = written(data)
    path = house.policy(text)
    try:
        policy = supposed.load(path)
    except ConfigurationError:
        assume(False)
    case = data.draw(cases)
    if case.identity in ("none", "username"):  # whom nobody gives groups
        case = replace(case, groups=())
    found = explain(policy, case, datetime.now(UTC))
    certificate = house.certificates[case.credential] if case.tls is Tls.MUTUAL else b""
    facts = replace(found.facts, peer_certificate=certificate)
    with closing(Driver(Policy.load(path))) as driver:
        decided = driver.decide(facts, house.credential(case, bound=binding == "certificate"))
    assert told(found.decision) == told(decided), text
