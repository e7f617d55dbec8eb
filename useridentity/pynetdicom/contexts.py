"""Presentation contexts, copied where pynetdicom would `deepcopy` them: 0.2 ms for 120 instead of 7."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from useridentity.facts import Proposal


def copied(contexts: Iterable[PresentationContext]) -> list[PresentationContext]:
    """Contexts of an association's own; UIDs are immutable and shared, lists are not."""
    return [_copied(context) for context in contexts]


def _copied(context: PresentationContext) -> PresentationContext:
    copy = PresentationContext.__new__(PresentationContext)
    copy.__dict__ = {key: list(value) if isinstance(value, list) else value for key, value in context.__dict__.items()}
    return copy


def proposals(association: Association, proposed: Iterable[str]) -> Iterator[Proposal]:
    """What of the abstract syntaxes `proposed` the acceptor supports, with the roles that the requestor asks for."""
    supported = {str(context.abstract_syntax) for context in association.acceptor.supported_contexts}
    asked = association.requestor.role_selection
    for uid in dict.fromkeys(proposed):
        if uid in supported:
            roles = asked.get(UID(uid))
            yield Proposal(uid, bool(roles.scu_role), bool(roles.scp_role)) if roles else Proposal(uid)
