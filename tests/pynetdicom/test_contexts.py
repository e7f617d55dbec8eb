"""Presentation contexts narrowed to a permission: every combination of roles, read as a requestor reads the answer."""

from __future__ import annotations

from itertools import product

import pytest
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import (
    SCP_SCU_ROLES,
    PresentationContext,
    build_context,
    negotiate_as_acceptor,
    negotiate_as_requestor,
    negotiate_unrestricted,
)
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from useridentity.permission import EVERYTHING, NOTHING, Permission
from useridentity.pynetdicom.contexts import USER_REJECTION, Contexts

Selection = tuple[bool | None, bool | None]

SELECTED: list[Selection] = [(None, None), (True, True), (True, False), (False, True), (False, False)]
PERMISSIONS = {
    "neither": NOTHING,
    "SCU": Permission.of(["store"]),
    "SCP": Permission.of(["get"]),
    "both": Permission.of(["store", "get"]),
    "everything": EVERYTHING,
}


def proposed(selection: Selection) -> list[PresentationContext]:
    """One context of the requestor's, as it keeps it."""
    context = build_context(CTImageStorage)
    context.context_id = 1
    context.scu_role, context.scp_role = selection
    return [context]


def negotiated(selection: Selection, supported: Selection) -> Contexts:
    """What the acceptor makes of the proposal, whoever asks."""
    ours = build_context(CTImageStorage)
    ours.scu_role, ours.scp_role = supported
    roles = {} if selection == (None, None) else {CTImageStorage: selection}
    return Contexts(*negotiate_as_acceptor(proposed(selection), [ours], roles))


def read(answer: Contexts, selection: Selection) -> PresentationContext:
    """The context as stock pynetdicom understands the answer."""
    roles = {item.sop_class_uid: (item.scu_role, item.scp_role) for item in answer.role_items}
    (context,) = negotiate_as_requestor(proposed(selection), answer.results, roles)  # type: ignore[arg-type]
    return context


@pytest.mark.parametrize("permission", PERMISSIONS.values(), ids=PERMISSIONS)
def test_both_sides_have_the_roles_that_are_negotiated_and_permitted_and_no_others(permission: Permission) -> None:
    allowed = permission.roles(CTImageStorage)
    narrowed_ones = 0
    for selection, supported in product(SELECTED, SCP_SCU_ROLES[True, True]):
        whole = negotiated(selection, supported).results[0]
        expected = (
            bool(whole.result == 0 and whole.as_scp and allowed.scu),
            bool(whole.result == 0 and whole.as_scu and allowed.scp),
        )
        answer = negotiated(selection, supported).narrowed(permission)
        (context,) = answer.results
        assert (context.result == 0) is any(expected)
        if any(expected):
            assert (context.as_scp, context.as_scu) == expected
            theirs = read(answer, selection)
            assert (theirs.as_scu, theirs.as_scp) == expected, (selection, supported)
        elif whole.result == 0:
            assert context.result == USER_REJECTION
            assert answer.role_items == []
        narrowed_ones += expected != (bool(whole.as_scp), bool(whole.as_scu))
    assert permission is EVERYTHING or narrowed_ones or allowed == (True, True)


def test_what_the_policy_is_told_is_what_the_acceptor_could_accept() -> None:
    (offered,) = negotiated((True, True), (True, True)).proposals
    assert (offered.abstract_syntax, offered.scu, offered.scp) == (CTImageStorage, True, True)
    (default,) = negotiated((False, True), (None, None)).proposals
    assert (default.scu, default.scp) == (True, False), "an acceptor that selects no roles leaves the default"
    other = build_context(Verification)
    results, items = negotiate_as_acceptor(proposed((None, None)), [other])
    assert Contexts(results, items).proposals == ()


@pytest.mark.parametrize("selection", SELECTED)
@pytest.mark.parametrize("permission", PERMISSIONS.values(), ids=PERMISSIONS)
def test_an_unrestricted_storage_service_is_narrowed_too(permission: Permission, selection: Selection) -> None:
    """pynetdicom accepts whatever looks like storage then, and takes both roles for granted where none is selected."""
    roles = {} if selection == (None, None) else {CTImageStorage: selection}
    allowed = permission.roles(CTImageStorage)
    scu, scp = selection if roles else (True, False)
    expected = (bool(scu and allowed.scu), bool(scp and allowed.scp))
    answer = Contexts(*negotiate_unrestricted(proposed(selection), [], roles)).narrowed(permission)
    (context,) = answer.results
    if (scu, scp) != (False, False):  # which pynetdicom accepts
        assert (context.result == 0) is any(expected)
    if any(expected):
        theirs = read(answer, selection)
        assert (theirs.as_scu, theirs.as_scp) == expected


def test_two_contexts_of_one_sop_class_share_its_roles() -> None:
    """A role selection is for a SOP class, not for a context (PS3.7 D.3.3.4)."""
    first, second = proposed((True, True))[0], proposed((True, True))[0]
    second.context_id = 3
    ours = build_context(CTImageStorage)
    ours.scu_role = ours.scp_role = True
    answer = Contexts(*negotiate_as_acceptor([first, second], [ours], {CTImageStorage: (True, True)}))
    narrowed = answer.narrowed(PERMISSIONS["SCP"])
    assert [(each.result, each.as_scp, each.as_scu) for each in narrowed.results] == [(0, False, True)] * 2
    (item,) = narrowed.role_items
    assert isinstance(item, SCP_SCU_RoleSelectionNegotiation)
    assert (item.scu_role, item.scp_role) == (False, True)
