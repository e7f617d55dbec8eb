"""The predicate of a scope: what is written, what it is bound to, which studies it admits."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VM, dictionary_VR

from useridentity.errors import ConfigurationError
from useridentity.identity import Assurance, Identity
from useridentity.scope import MAX_VALUE, BoundScope, Scope
from useridentity.scope.attributes import ATTRIBUTES

AE_TITLE = "ScheduledProcedureStepSequence.ScheduledStationAETitle"


def who(**claims: object) -> Identity:
    return Identity("idp:alice", "alice", "idp", Assurance.AUTHENTICATED, claims=claims)


def bound(table: object, **claims: object) -> BoundScope:
    return Scope.of(table).bind(who(**claims))


@pytest.mark.parametrize("path", ATTRIBUTES)
def test_each_attribute_is_as_the_data_dictionary_has_it(path: str) -> None:
    keyword = path.rpartition(".")[2]
    assert dictionary_VR(keyword) == ATTRIBUTES[path].vr.value
    assert (dictionary_VM(keyword) != "1") == ATTRIBUTES[path].multiple


def test_attributes_are_anded_and_their_values_ored() -> None:
    scope = bound({"PatientID": ["P1", "P2"], "IssuerOfPatientID": "HOSP_A"})
    assert scope.admits({"PatientID": "P1", "IssuerOfPatientID": "HOSP_A"})
    assert scope.admits({"PatientID": "P2", "IssuerOfPatientID": "HOSP_A"})
    assert not scope.admits({"PatientID": "P3", "IssuerOfPatientID": "HOSP_A"})
    assert not scope.admits({"PatientID": "P1", "IssuerOfPatientID": "HOSP_B"})
    assert not scope.admits({"PatientID": "P1"})


@pytest.mark.parametrize(
    ("keyword", "written", "value"),
    [
        ("PatientID", "P1", " P1 "),
        ("PatientID", "P1", ["P1"]),
        ("PatientID", " P1", "P1"),
        ("StudyInstanceUID", "1.2.3", "1.2.3\0"),
        ("PatientSex", "F", "F "),
        ("ModalitiesInStudy", "CT", ["SR", "CT"]),
        ("PhysiciansOfRecord", "House^G", ["Wilson^J", "House^G"]),
        ("PatientName", "Yamada^Tarou", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("PatientName", "=山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("PatientName", "==やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("PatientName", "Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("PatientName", "Doe^Jane", "Doe^Jane^^^="),
        ("PatientName", "Doe ^ Jane^^", "Doe^Jane"),
        ("StudyDescription", unicodedata.normalize("NFD", "Schädel"), "Schädel"),
    ],
)
def test_values_that_are_the_same_by_ps3_5(keyword: str, written: str, value: str | list[str]) -> None:
    assert bound({keyword: written}).admits({keyword: value})


@pytest.mark.parametrize(
    ("keyword", "written", "value"),
    [
        ("PatientID", "P1", "p1"),
        ("PatientID", "P1", "P 1"),
        ("PatientID", "P1", "P10"),
        ("PatientID", "P1", ["P1", "P1"]),
        ("PatientID", "P1", ["P1", "P2"]),
        ("PatientID", "P1", "P1\\P2"),
        ("PatientName", "Doe^Jane", "doe^jane"),
        ("PatientName", "Doe^Jane", "Doe^Jane^Q"),
        ("PatientName", "Doe^Jane", "=Doe^Jane"),
        ("PatientName", "=山田^太郎", "山田^太郎"),
        ("PatientName", "Yamada^Tarou=山田^太郎", "Yamada^Tarou"),
        ("PatientName", "Yamada^Tarou=山田^太郎", "Yamada^Tarou=山口^太郎"),
        ("PatientName", "Doe^Jane", "Doe^Jane=x=y=z"),
        ("PatientName", "Doe^Jane", "Doe^Jane=*"),
        ("PatientName", "Doe", "D\ufffde"),
    ],
)
def test_values_that_are_not(keyword: str, written: str, value: str | list[str]) -> None:
    scope = bound({keyword: written})
    assert scope.admits({keyword: written})
    assert not scope.admits({keyword: value})


@pytest.mark.parametrize(
    "value", [None, "", " ", "\0", [], ["", ""], "*", "?1", "P*", "P?", "\\", "P1\\", "P\x1b1", "="]
)
@pytest.mark.threat("Q5")
def test_a_value_that_is_missing_empty_or_has_a_wildcard_never_matches(value: str | list[str] | None) -> None:
    """Neither in the study nor in the claim, even where both have it."""
    claim = value if isinstance(value, list) else [value]
    assert bound({"PatientID": "{claims.cohort}"}, cohort=["P1"]).admits({"PatientID": "P1"})
    assert not bound({"PatientID": ["P1", "{claims.cohort}"]}, cohort=claim).admits({"PatientID": value})
    assert not bound({"PatientName": ["P1", "{claims.cohort}"]}, cohort=claim).admits({"PatientName": value})


def test_a_value_longer_than_any_that_is_compared_never_matches() -> None:
    """Composing it would take the square of its length."""
    for length, admitted in ((MAX_VALUE, True), (MAX_VALUE + 1, False)):
        scope = bound({"PatientID": "{claims.cohort}"}, cohort="P" * length)
        assert scope.admits({"PatientID": "P" * length}) is admitted


@pytest.mark.parametrize(
    "claims", [{}, {"cohort": None}, {"cohort": []}, {"cohort": ""}, {"cohort": [""]}, {"cohort": 1}]
)
@pytest.mark.threat("Q5")
def test_an_empty_claim_gives_nothing(claims: dict[str, object]) -> None:
    scope = {"PatientID": "{claims.cohort}"}
    assert bound(scope, cohort="P1").admits({"PatientID": "P1"})
    assert not bound(scope, **claims).admits({"PatientID": "P1"})
    assert not bound(scope, **claims).admits({"PatientID": ""})
    assert not bound(scope, **claims).admits({})
    assert not bound(scope, **claims).reaches_studies


@pytest.mark.parametrize(
    ("template", "claims"),
    [
        ("{claims.cohort}", {"cohort": ["P0", "P1"]}),
        ("{claims.cohort}", {"cohort": ("P1",)}),
        ("{claims.study.cohort}", {"study": {"cohort": ["P1"]}}),
        ("{claims.studies[].cohort}", {"studies": [{"cohort": "P0"}, {"cohort": "P1"}]}),
        ('{claims."https://example.org/cohort"}', {"https://example.org/cohort": "P1"}),
    ],
)
def test_a_claim_stands_for_all_its_strings(template: str, claims: dict[str, object]) -> None:
    scope = Scope.of({"PatientID": [template, "P9"]}).bind(
        Identity("idp:alice", "alice", "idp", Assurance.AUTHENTICATED, claims=claims)
    )
    assert scope.admits({"PatientID": "P1"})
    assert scope.admits({"PatientID": "P9"})
    assert not scope.admits({"PatientID": "P2"})


@pytest.mark.threat("Q5")
def test_a_scope_of_no_attribute_gives_nothing() -> None:
    """No policy can write one; `Scope` itself can be made so."""
    terms = {"PatientID": ("P1",)}
    assert Scope(terms).bind(who()).admits({"PatientID": "P1"})
    assert not Scope({}).bind(who()).admits({"PatientID": "P1"})


def test_the_values_of_one_claim_are_not_split() -> None:
    assert not bound({"PatientID": "{claims.cohort}"}, cohort="P1 P2").admits({"PatientID": "P1"})
    assert not bound({"PatientID": "{claims.cohort}"}, cohort="P1\\P2").admits({"PatientID": "P1"})


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"PatientId": "P1"}, 'PatientId: is no attribute of patients, studies or worklist items; did you mean "Pat'),
        ({"InstitutionName": "H"}, "InstitutionName: is no attribute"),
        ({"SeriesInstanceUID": "1.2"}, "SeriesInstanceUID: is no attribute"),
        ({"PatientID": "P*"}, "PatientID: 'P*' has a wildcard"),
        ({"PatientID": "P1\\P2"}, "PatientID: 'P1\\\\P2' has a wildcard, backslash"),
        ({"PatientID": ""}, "PatientID: '' is empty"),
        ({"PatientID": "P" * (MAX_VALUE + 1)}, "PatientID: has 257 characters and would never match; at most 256"),
        ({"PatientName": " ^ = "}, "PatientName: ' ^ = ' is empty"),
        ({"PatientID": []}, "PatientID: is an empty list"),
        ({"PatientID": 7}, "PatientID: 7 should be a string"),
        ({"PatientID": True}, "PatientID: True should be a string"),
        ({"PatientID": {}}, "PatientID: {} should be a string"),
        ({"PatientID": "{claim.x}"}, "PatientID: '{claim.x}' should be a value, or a claim alone"),
        ({"PatientID": "H_{claims.x}"}, "PatientID: 'H_{claims.x}' should be a value, or a claim alone"),
        ({"PatientID": "{claims.a..b}"}, "PatientID: 'a..b' is no claim path"),
        ({"StudyDate": "20260101-20261231"}, "StudyDate: '20260101-20261231' should be one date"),
        ({"StudyInstanceUID": "1.2.x"}, "StudyInstanceUID: '1.2.x' should be a UID"),
        ({AE_TITLE: "SEVENTEEN_LETTERS"}, f"{AE_TITLE}: 'SEVENTEEN_LETTERS' should be an AE title"),
        ({}, "should be a table of attributes"),
        ("PatientID", "should be a table of attributes"),
        (None, "should be a table of attributes"),
    ],
)  # fmt: skip
@pytest.mark.threat("Q5")
def test_what_cannot_be_a_scope_is_said(table: object, problem: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Scope.of(table)
    assert len(raised.value.problems) == 1
    assert raised.value.problems[0].startswith(problem)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Scope.of({"PatientId": "P1", "PatientID": ["P*", "", "P1"], "StudyDate": "today"})
    assert [problem.partition(":")[0] for problem in raised.value.problems] == [
        "PatientId", "PatientID", "PatientID", "StudyDate",
    ]  # fmt: skip


def test_a_path_may_be_written_as_toml_reads_a_dotted_key() -> None:
    nested = Scope.of({"ScheduledProcedureStepSequence": {"ScheduledStationAETitle": ["CT_1"]}})
    assert nested == Scope.of({AE_TITLE: "CT_1"})


def test_an_attribute_that_only_worklist_items_have_admits_no_study() -> None:
    scope = bound({AE_TITLE: "CT_1", "PatientID": "P1"})
    assert scope.admits({AE_TITLE: ("CT_1",), "PatientID": "P1"})
    assert not scope.admits({"PatientID": "P1"})
    assert not scope.reaches_studies
    assert scope.is_of_worklists
    assert bound({"PatientID": "P1"}).reaches_studies
    assert not bound({"PatientID": "{claims.x}"}).is_of_worklists


def test_a_part_of_a_study_contradicts_a_scope_by_what_it_says_and_not_by_what_it_leaves_out() -> None:
    scope = bound({"PatientID": "P1", "PatientName": "Doe^Jane"})
    assert not scope.contradicts({"PatientID": "P1"})
    assert not scope.contradicts({"PatientID": "", "PatientName": ()})
    assert not scope.contradicts({"AccessionNumber": "1"})
    assert scope.contradicts({"PatientID": "P2"})
    assert scope.contradicts({"PatientID": "P1", "PatientName": "Roe^Jane"})
    assert scope.contradicts({"PatientID": "*"})


VALUES = st.text(alphabet="ABab12 ^=*?\\é\u0301\0", max_size=6)


@given(VALUES, VALUES, st.sampled_from(["PatientID", "PatientName", "OtherPatientIDs"]))
@pytest.mark.threat("Q5")
def test_no_value_matches_what_it_is_not(claimed: str, value: str, keyword: str) -> None:
    """Whatever the claim and the study hold: a match means the same text, but for padding and how it is composed."""
    if bound({keyword: "{claims.x}"}, x=claimed).admits({keyword: value}):
        plain = [unicodedata.normalize("NFC", each.strip(" \0")) for each in (claimed, value)]
        assert all(plain)
        assert not set("*?\\") & set("".join(plain))
        if keyword == "PatientName":
            groups = [[part.strip() for part in each.replace("^", " ").split("=")] for each in plain]
            assert all(not a or a.split() == b.split() for a, b in zip(*groups, strict=False))
        else:
            assert plain[0] == plain[1]
