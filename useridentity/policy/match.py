"""Whom a rule is for: `When` judges connections, `Who` identities.

Each has one implementation, `difference`, which says why the rule is not for somebody and is empty where it
is. What matches is what has no difference, so that an explanation can never say anything else than a decision.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from useridentity.claim_path import ClaimPath
from useridentity.facts import Facts, Tls
from useridentity.identity import Assurance, Identity, Kind
from useridentity.permission import title_matches
from useridentity.printable import printable
from useridentity.settings import Network, TitlePattern

MAX_REASON = 256
"""Characters of a break-glass reason that are kept: a sentence or two, too few to flood a log."""


@dataclass(frozen=True, slots=True)
class When:
    """The connections a rule is for; what is left empty matches all.

    Fields:
        calling_ae_title, called_ae_title: any of these; `*` stands for any characters, and is the only pattern.
        network: the peer's address is in any of these; IPv4 peers of an IPv6 socket count as IPv4.
        tls: NONE matches plain TCP only, SERVER any TLS, MUTUAL a verified client certificate only.
    """

    calling_ae_title: tuple[TitlePattern, ...] = ()
    called_ae_title: tuple[TitlePattern, ...] = ()
    network: tuple[Network, ...] = ()
    tls: Tls | None = None

    def matches(self, facts: Facts) -> bool:
        return not self.difference(facts)

    def difference(self, facts: Facts) -> str:
        """Why the rule is not for this connection; empty where it is."""
        return (
            _title_difference("calling", self.calling_ae_title, facts.calling_ae_title)
            or _title_difference("called", self.called_ae_title, facts.called_ae_title)
            or self._network_difference(facts)
            or self._tls_difference(facts.tls)
        )

    def _network_difference(self, facts: Facts) -> str:
        if not self.network or any(facts.address in network for network in self.network):
            return ""
        return f"the address {facts.address} is not in {_listed(map(str, self.network))}"

    def _tls_difference(self, tls: Tls) -> str:
        if self.tls is None or self.tls is tls or (self.tls is Tls.SERVER and tls is Tls.MUTUAL):
            return ""
        return f"the rule asks for tls = {self.tls.value}, the connection has {tls.value}"


def _title_difference(which: str, patterns: Collection[str], title: str) -> str:
    if not patterns or any(title_matches(pattern, title) for pattern in patterns):
        return ""
    return f"the {which} AE title {title!r} is not {_listed(patterns)}"


@dataclass(frozen=True, slots=True)
class Who:
    """The identities a rule is for: every field that is given must match, by one of its values.

    Fields:
        validator: what accepted them, as `accept` names it: "node", or "idp+node" for both.
        groups: local groups.
        claims: by path, such as `npi`, `realm_access.roles` or `subject_role[].code`, the literal values; of a
            claim that is a list one value suffices.
        assurance: left out, AUTHENTICATED only; whatever proves less has to be named.
        kind: person, node or service.
        purpose: codes of purpose of use, alone or as `system|code`.
    """

    validator: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    assurance: tuple[Assurance, ...] = ()
    kind: tuple[Kind, ...] = ()
    purpose: tuple[str, ...] = ()

    @property
    def assurances(self) -> tuple[Assurance, ...]:
        """What `assurance` means: nothing but AUTHENTICATED where it was left out."""
        return self.assurance or (Assurance.AUTHENTICATED,)

    def matches(self, identity: Identity, validator: str) -> bool:
        return not self.difference(identity, validator)

    def difference(self, identity: Identity, validator: str) -> str:
        """Why the rule is not for this identity, accepted by `validator`; empty where it is."""
        return (
            _difference("validator", self.validator, (validator,))
            or _difference("assurance", _values(self.assurances), (identity.assurance.value,))
            or _difference("kind", _values(self.kind), (identity.kind.value,))
            or _difference("groups", self.groups, identity.groups)
            or _difference("purpose", self.purpose, identity.purposes)
            or self._claims_difference(identity)
        )

    def _claims_difference(self, identity: Identity) -> str:
        for path, values in self.claims.items():
            if difference := _difference(f"claim {path}", values, ClaimPath.read(path).strings(identity.claims)):
                return difference
        return ""


def _values(members: Iterable[Assurance | Kind]) -> tuple[str, ...]:
    return tuple(member.value for member in members)


def _difference(what: str, wanted: Collection[str], found: Collection[str]) -> str:
    if not wanted or any(value in wanted for value in found):
        return ""
    return f"{what} is {_listed(sorted(found)) if found else 'empty'}, not {_listed(wanted)}"


def _listed(values: Iterable[str]) -> str:
    return " or ".join(value if value.isprintable() else repr(value) for value in values)


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """An emergency: the rule is only for those who say why, or who are listed for it.

    Fields:
        claim: path of the claim that holds the reason, which has a letter or a digit.
        group: a local group whose members need no reason.
    """

    claim: str = ""
    group: str = ""

    def difference(self, identity: Identity) -> str:
        """Why this is no emergency; empty where it is."""
        if self.reason(identity):
            return ""
        needed = [f"a reason in claim {self.claim}"] if self.claim else []
        return f"break_glass needs {' or '.join([*needed, *([f'group {self.group}'] if self.group else [])])}"

    def reason(self, identity: Identity) -> str:
        """Why it is one, escaped and of bounded length; empty where it is none."""
        given = ClaimPath.read(self.claim).strings(identity.claims) if self.claim else ()
        said = "; ".join(sorted(text for text in given if any(map(str.isalnum, text))))
        if not said and self.group and self.group in identity.groups:
            said = f"member of {self.group}"
        escaped = printable(said)
        return escaped if len(escaped) <= MAX_REASON else escaped[: MAX_REASON - 1] + "…"
