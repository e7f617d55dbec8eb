"""Presentation contexts: copied faster than by `deepcopy`, and narrowed to what an identity may use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pydicom.uid import UID
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from useridentity.facts import Proposal
from useridentity.permission import Permission, Roles

USER_REJECTION = 1
"""Result of a presentation context that the acceptor could accept, and this user may not use (PS3.8 Table 9-18)."""


def copied(contexts: Iterable[PresentationContext]) -> list[PresentationContext]:
    """Contexts of an association's own: 0.2 ms for 120 instead of 7. UIDs are immutable and shared, lists are not."""
    return [_copied(context) for context in contexts]


def _copied(context: PresentationContext) -> PresentationContext:
    copy = PresentationContext.__new__(PresentationContext)
    copy.__dict__ = {key: list(value) if isinstance(value, list) else value for key, value in context.__dict__.items()}
    return copy


@dataclass(frozen=True)
class Contexts:
    """What became of the presentation contexts that were proposed.

    Fields:
        results: every one of them, with its result (PS3.8 Table 9-18) and the roles on it.
        role_items: the answers to the role selections (PS3.7 D.3.3.4).
    """

    results: list[PresentationContext]
    role_items: list[SCP_SCU_RoleSelectionNegotiation]

    @property
    def accepted(self) -> list[PresentationContext]:
        return [context for context in self.results if context.result == 0]

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """What the acceptor could accept, for the policy: with the roles that the requestor would get."""
        return tuple(Proposal(str(cx.abstract_syntax), *self._roles(cx)) for cx in self.accepted)

    def narrowed(self, permission: Permission) -> Contexts:
        """What of it `permission` leaves: roles are taken away, and with the last one the context (user-rejection)."""
        for context in self.accepted:
            permitted, granted = permission.roles(str(context.abstract_syntax)), self._roles(context)
            if not (granted.scu and permitted.scu) and not (granted.scp and permitted.scp):
                context.result = USER_REJECTION
            context._as_scp = bool(context.as_scp and permitted.scu)
            context._as_scu = bool(context.as_scu and permitted.scp)
        kept = {context.abstract_syntax for context in self.accepted}
        items = [item for item in self.role_items if item.sop_class_uid in kept]
        for item in items:
            permitted = permission.roles(str(item.sop_class_uid))
            item.scu_role = bool(item.scu_role and permitted.scu)
            item.scp_role = bool(item.scp_role and permitted.scp)
        return Contexts(self.results, items)

    def _roles(self, context: PresentationContext) -> Roles:
        """Of the requestor, as it will understand the answer: who selects none is SCU.

        With `_config.UNRESTRICTED_STORAGE_SERVICE` pynetdicom takes both for granted.
        """
        return Roles(bool(context.as_scp), bool(context.as_scu and context.abstract_syntax in self._selected))

    @cached_property
    def _selected(self) -> frozenset[UID | None]:
        return frozenset(item.sop_class_uid for item in self.role_items)
