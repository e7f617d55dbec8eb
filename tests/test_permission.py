"""What a presentation context carries, and what a permission permits on it."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import sop_class as stock

from useridentity.errors import ConfigurationError
from useridentity.permission import (
    CAPABILITIES,
    COMPONENTS,
    EVERYTHING,
    Destination,
    Permission,
    Request,
    Roles,
    capabilities_of,
    capability_words,
    carries,
    title_matches,
)
from useridentity.policy.rules import Grant
from useridentity.scope import Scope
from useridentity.sop_classes import OTHER_CLASSES, STORAGE_CLASSES

VERIFICATION = "1.2.840.10008.1.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
GRAYSCALE_PRINT = "1.2.840.10008.5.1.1.9"
COLOR_PRINT = "1.2.840.10008.5.1.1.18"
FILM_SESSION = "1.2.840.10008.5.1.1.1"
COLOR_IMAGE_BOX = "1.2.840.10008.5.1.1.4.1"
GRAYSCALE_IMAGE_BOX = "1.2.840.10008.5.1.1.4"
UPS_PUSH, UPS_WATCH = "1.2.840.10008.5.1.4.34.6.1", "1.2.840.10008.5.1.4.34.6.2"


@pytest.mark.parametrize(
    ("context", "sop_class"),
    [
        (VERIFICATION, VERIFICATION),
        (CT_IMAGE_STORAGE, CT_IMAGE_STORAGE),
        ("1.2.826.0.1.3680043.9.1", "1.2.826.0.1.3680043.9.1"),
        (GRAYSCALE_PRINT, FILM_SESSION),
        (GRAYSCALE_PRINT, GRAYSCALE_IMAGE_BOX),
        (COLOR_PRINT, COLOR_IMAGE_BOX),
        (UPS_WATCH, UPS_PUSH),
    ],
)
def test_a_context_carries_its_sop_class_and_its_components(context: str, sop_class: str) -> None:
    assert carries(context, sop_class)


@pytest.mark.parametrize(
    ("context", "sop_class"),
    [
        (VERIFICATION, CT_IMAGE_STORAGE),
        (CT_IMAGE_STORAGE, "1.2.840.10008.5.1.4.1.1.4"),
        (FILM_SESSION, GRAYSCALE_PRINT),
        (GRAYSCALE_PRINT, COLOR_IMAGE_BOX),
        (GRAYSCALE_PRINT, CT_IMAGE_STORAGE),
        (CT_IMAGE_STORAGE, UPS_PUSH),
        (UPS_PUSH, CT_IMAGE_STORAGE),
        (UPS_PUSH, UPS_WATCH),
        (VERIFICATION, ""),
        (VERIFICATION, "1.2.840.10008.1.1.1"),
        (VERIFICATION, "None"),
    ],
)
def test_a_context_carries_nothing_else(context: str, sop_class: str) -> None:
    assert not carries(context, sop_class)


def test_every_uid_of_the_table_is_registered() -> None:
    for context, components in COMPONENTS.items():
        for uid in {context, *components}:
            assert UID(uid).name != uid, uid


# The table


NO_STORAGE = {"MediaStorageDirectoryStorage", "StorageCommitmentPushModel", "StorageCommitmentPullModel"}


def registered() -> dict[str, str]:
    """Every SOP class of pydicom's dictionary, and the storage that only pynetdicom knows, by keyword.

    Where both know one the dictionary spells it; pynetdicom has misspelt five.
    """
    classes = {entry[4]: uid for uid, entry in UID_dictionary.items() if entry[1] in ("SOP Class", "Meta SOP Class")}
    del classes[""]
    return {word: uid for word, uid in stock._STORAGE_CLASSES.items() if uid not in classes.values()} | classes


def test_storage_is_what_the_dictionaries_register_as_storage_and_nothing_else() -> None:
    expected = {word: uid for word, uid in registered().items() if "Storage" in word and word not in NO_STORAGE}
    assert dict(STORAGE_CLASSES) == expected


def test_every_other_sop_class_is_known_by_keyword() -> None:
    assert registered() == {**STORAGE_CLASSES, **OTHER_CLASSES}
    assert not STORAGE_CLASSES.keys() & OTHER_CLASSES.keys()


@pytest.mark.parametrize("number", range(2, 7))
@pytest.mark.threat("D1")
def test_what_is_registered_among_storage_is_not_stored(number: int) -> None:
    uid = f"1.2.840.10008.5.1.4.1.1.201.{number}"
    assert Permission.of(["store"]).roles("1.2.840.10008.5.1.4.1.1.201.1") == (True, False)
    assert Permission.of(["store", "get"]).roles(uid) == (False, False)


def test_the_words_are_those_of_the_design() -> None:
    assert set(capability_words()) == {
        "echo", "store", "commit", "worklist", "mpps", "find", "get", "move", "print", "ups",
    }  # fmt: skip


def test_every_uid_of_the_table_is_a_sop_class() -> None:
    known = {*STORAGE_CLASSES.values(), *OTHER_CLASSES.values()}
    assert all(
        row.abstract_syntaxes and row.abstract_syntaxes <= known for rows in CAPABILITIES.values() for row in rows
    )


def test_get_lets_storage_in_with_the_requestor_as_scp_only() -> None:
    assert Permission.of(["get"]).roles(CT_IMAGE_STORAGE) == Roles(scu=False, scp=True)
    assert Permission.of(["get", "store"]).roles(CT_IMAGE_STORAGE) == Roles(scu=True, scp=True)
    assert Permission.of(["get"]).denies(Request("C-STORE", CT_IMAGE_STORAGE, CT_IMAGE_STORAGE))
    assert not Permission.of(["store"]).denies(Request("C-STORE", CT_IMAGE_STORAGE, CT_IMAGE_STORAGE))


# Words


def test_a_keyword_and_its_uid_stand_for_the_same() -> None:
    assert capabilities_of("CTImageStorage") == capabilities_of(CT_IMAGE_STORAGE)
    permission = Permission.of(["CTImageStorage"])
    assert not permission.denies(Request("C-STORE", CT_IMAGE_STORAGE, CT_IMAGE_STORAGE))
    assert permission.roles("1.2.840.10008.5.1.4.1.1.4") == (False, False)


def test_a_retrieve_model_alone_lets_its_sub_operations_in() -> None:
    permission = Permission.of(["StudyRootQueryRetrieveInformationModelGet"])
    assert permission.roles(CT_IMAGE_STORAGE) == (False, True)
    assert permission.roles(OTHER_CLASSES["PatientRootQueryRetrieveInformationModelGet"]) == (False, False)
    assert Permission.of(["HangingProtocolInformationModelGet"]).roles(CT_IMAGE_STORAGE) == (False, True)


def test_a_model_beside_the_table_is_for_its_own_service_only() -> None:
    uid = OTHER_CLASSES["InventoryFind"]
    assert not Permission.of(["InventoryFind"]).denies(Request("C-FIND", uid, uid))
    assert Permission.of(["InventoryFind"]).denies(Request("N-CREATE", uid, uid))


def test_a_private_sop_class_may_be_used_in_both_roles() -> None:
    private = "1.2.826.0.1.3680043.9.1"
    permission = Permission.of([private])
    assert permission.roles(private) == (True, True)
    assert not permission.denies(Request("N-ACTION", private, private))
    assert not permission.denies(Request("N-EVENT-REPORT", private, private, requestor_is_scu=False))
    assert permission.denies(Request("C-STORE", private, private, requestor_is_scu=False))


@pytest.mark.parametrize("word", ["1.2.826.0.1.3680043.09.1", "01.2.3", "1.2.00"])
def test_a_uid_with_a_component_that_begins_with_a_zero_is_none(word: str) -> None:
    """PS3.5 9.1."""
    assert capabilities_of("1.2.0.3")
    with pytest.raises(ConfigurationError, match="is no capability, SOP class keyword or UID"):
        capabilities_of(word)


@pytest.mark.parametrize("word", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50"])
def test_a_transfer_syntax_is_no_sop_class(word: str) -> None:
    assert capabilities_of("1.2.840.10008.1.20.1") == capabilities_of("StorageCommitmentPushModel")
    with pytest.raises(ConfigurationError, match=f'"{word}" is a transfer syntax'):
        capabilities_of(word)


def test_every_unknown_word_is_reported_with_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Permission.of(["stor", "echo", "CTImageStorge", "1..2", "1." * 33 + "1", ""])
    assert len(caught.value.problems) == 5
    assert 'did you mean "store"?' in caught.value.problems[0]
    assert 'did you mean "CTImageStorage"?' in caught.value.problems[1]


def test_a_word_instead_of_a_list_of_words_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="letter by letter"):
        Permission.of("echo")


# Questions


def test_nothing_is_permitted_that_no_word_names() -> None:
    nothing = Permission.of([])
    assert nothing.roles(VERIFICATION) == (False, False)
    assert nothing.denies(Request("C-ECHO", VERIFICATION, VERIFICATION))
    assert not Permission.of(["echo"]).denies(Request("C-ECHO", VERIFICATION, VERIFICATION))


def test_everything_still_belongs_to_its_context() -> None:
    assert EVERYTHING.roles("1.2.3") == (True, True)
    assert not EVERYTHING.denies(Request("C-STORE", CT_IMAGE_STORAGE, CT_IMAGE_STORAGE))
    assert EVERYTHING.denies(Request("C-STORE", CT_IMAGE_STORAGE, VERIFICATION))
    assert EVERYTHING.reaches("ANYWHERE")


def test_a_handler_may_ask_by_word() -> None:
    permission = Permission.of(["echo", "store", "get"])
    assert permission.allows("store")
    assert permission.allows("CTImageStorage")
    assert not permission.allows("move")
    assert not Permission.of(["CTImageStorage"]).allows("store")
    assert EVERYTHING.allows("move")
    with pytest.raises(ConfigurationError):
        EVERYTHING.allows("stroe")


MOVE = OTHER_CLASSES["StudyRootQueryRetrieveInformationModelMove"]


@pytest.mark.parametrize(
    ("destinations", "title", "address", "reached"),
    [
        (["WS_*"], "WS_1", None, True),
        (["WS_*"], "WS_", "10.0.0.5", True),
        (["WS_*"], "XWS_1", None, False),
        (["WS_*"], "ws_1", None, False),
        (["WS_?"], "WS_1", None, False),
        (["*"], "ANY", None, True),
        ([], "WS_1", None, False),
        ([Destination("WS_1", ip_network("10.0.0.5"))], "WS_1", None, True),
        ([Destination("WS_1", ip_network("10.0.0.5"))], "WS_1", "10.0.0.5", True),
        ([Destination("WS_1", ip_network("10.0.0.5"))], "WS_1", "10.0.0.6", False),
        ([Destination("WS_1", ip_network("10.0.0.5"))], "WS_1", "fd00::5", False),
        ([Destination("WS_1", ip_network("10.0.0.5")), "WS_*"], "WS_1", "10.0.0.6", True),
    ],
)
def test_a_move_goes_to_permitted_destinations_only(
    destinations: list[Destination | str], title: str, address: str | None, reached: bool
) -> None:
    permission = Permission.of(["move"], destinations)
    where = ip_address(address) if address else None
    request = Request("C-MOVE", MOVE, MOVE, destination=title, destination_address=where)
    assert (permission.denies(request) == "") is reached
    assert permission.reaches(title, where) is reached


def test_only_the_star_is_a_pattern() -> None:
    assert title_matches("A*C", "ABC")
    assert title_matches("A.C", "A.C")
    assert not title_matches("A.C", "ABC")


@settings(derandomize=True, deadline=None)
@given(st.text("AB*", max_size=6), st.text("AB", max_size=8))
def test_a_pattern_matches_as_its_regular_expression_does(pattern: str, title: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert title_matches(pattern, title) is (re.fullmatch(expression, title) is not None)


# Properties


UNIVERSE = [
    Request(kind, sop_class, abstract_syntax, is_scu, destination)
    for abstract_syntax in [*OTHER_CLASSES.values(), CT_IMAGE_STORAGE, "1.2.3.4"]
    for sop_class in {abstract_syntax, *COMPONENTS.get(abstract_syntax, ())}
    for kind in ("C-ECHO", "C-STORE", "C-FIND", "C-GET", "C-MOVE", "N-GET", "N-ACTION", "N-EVENT-REPORT")
    for is_scu in (True, False)
    for destination in (("WS_1", "PACS") if kind == "C-MOVE" else ("",))
]
WORDS = [*CAPABILITIES, "CTImageStorage", "InventoryFind", "1.2.3.4"]


def permitted(permission: Permission) -> set[int]:
    return {index for index, request in enumerate(UNIVERSE) if not permission.denies(request)}


def test_a_narrower_permit_permits_nothing_more() -> None:
    """Every word and every destination that is left out takes away, or leaves as it is."""
    pick = Random("permits")
    for _ in range(40):
        words = pick.sample(WORDS, pick.randrange(1, len(WORDS)))
        destinations = ["WS_*", "PACS"][: pick.randrange(3)]
        whole = Permission.of(words, destinations)
        for narrower in (
            Permission.of(words[1:], destinations),
            Permission.of(words, destinations[1:]),
        ):
            assert permitted(narrower) <= permitted(whole)
            for uid in {request.abstract_syntax for request in UNIVERSE}:
                assert all(a <= b for a, b in zip(narrower.roles(uid), whole.roles(uid), strict=True))
        assert permitted(Permission.of(words[::-1], destinations)) == permitted(whole), "order says nothing"


def test_a_permission_is_the_union_of_its_words() -> None:
    for words in (["echo", "store"], ["find", "get", "mpps"], WORDS):
        together = permitted(Permission.of(words, ["*"]))
        assert together == set().union(*(permitted(Permission.of([word], ["*"])) for word in words))


def test_a_scope_that_is_none_is_refused_when_the_grant_is_made() -> None:
    table = {"PatientID": "P1"}
    assert Grant(["find"], scope=Scope.of(table)).permission.scope is not None
    with pytest.raises(ConfigurationError, match=r"scope: a dict limits nothing; Scope\.of makes a scope of a table"):
        Grant(["find"], scope=table)  # type: ignore[arg-type]
