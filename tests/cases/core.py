"""The core as a driver: decisions and permissions, and what an adapter has to make of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from tests.cases.table import REJECTED, Answer, Ask, Case, Observed, Offer, Roles
from useridentity import Accepted, Credential, Facts, Policy, Tls
from useridentity.checks import Driver as Decider
from useridentity.facts import Proposal, peer_address
from useridentity.permission import Permission, Request, carries
from useridentity.testing.tokens import TokenIssuer

DEFAULT = Roles(True, False)  # PS3.7 D.3.3.4
WITHOUT_STATUS = ("C-ECHO", "N-EVENT-REPORT")


def credential_of(case: Case, issuer: TokenIssuer) -> Credential | None:
    """What the requestor of a case sends as its user identity."""
    if case.identity.claims is not None:
        claims = dict(case.identity.claims)
        return Credential(5, issuer.token(claims.pop("sub"), **claims).encode(), positive_response_requested=False)
    name = case.identity.username
    return None if name is None else Credential(1, name.encode(), positive_response_requested=False)


class CoreDriver:
    """Runs cases on policies; `certificate` is the node's, DER."""

    def __init__(self, policies: Mapping[str, Policy], issuer: TokenIssuer, certificate: bytes) -> None:
        self._deciders = {name: Decider(policy) for name, policy in policies.items()}
        self._issuer = issuer
        self._certificate = certificate

    def close(self) -> None:
        for decider in self._deciders.values():
            decider.close()

    def run(self, case: Case) -> Observed:
        credential = credential_of(case, self._issuer)
        decision = self._deciders[case.policy].decide(self._facts(case, credential), credential)
        if not isinstance(decision, Accepted):
            return Observed(REJECTED if decision.answer == (1, 2, 1) else str(decision))
        granted = [_granted(decision.permission, offer) for offer in case.offers]
        answer = _answer(decision.permission, case, granted) if case.ask else ""
        return Observed(tuple(map(str, granted)), answer)

    def _facts(self, case: Case, credential: Credential | None) -> Facts:
        return Facts(
            calling_ae_title=case.identity.calling,
            called_ae_title="ARCHIVE",
            address=peer_address(case.identity.address),
            port=11112,
            tls=Tls.MUTUAL if case.identity.node else Tls.NONE,
            identity_type=credential.identity_type if credential else None,
            now=datetime.now(UTC),
            peer_certificate=self._certificate if case.identity.node else b"",
            contexts=tuple(Proposal(offer.abstract_syntax, *(offer.roles or DEFAULT)) for offer in case.offers),
        )


def _granted(permission: Permission, offer: Offer) -> Roles:
    asked, allowed = offer.roles or DEFAULT, permission.roles(offer.abstract_syntax)
    return Roles(asked.scu and allowed.scu, asked.scp and allowed.scp)


def _answer(permission: Permission, case: Case, granted: list[Roles]) -> Answer:
    ask: Ask | None = case.ask
    assert ask is not None
    if ask.index >= len(case.offers) or granted[ask.index] == (False, False):
        return "aborted"
    offer, is_scu = case.offers[ask.index], ask.kind != "N-EVENT-REPORT"
    may_play = granted[ask.index].scu if is_scu else granted[ask.index].scp or offer.roles is None
    if not may_play or not carries(offer.abstract_syntax, ask.sop_class):
        return "aborted"
    request = Request(ask.kind, ask.sop_class, offer.abstract_syntax, is_scu, ask.destination)
    if not permission.denies(request):
        return "served"
    return "aborted" if ask.kind in WITHOUT_STATUS else "refused"
