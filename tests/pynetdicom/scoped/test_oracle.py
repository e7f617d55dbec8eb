"""The oracle: a scoped archive answers as one does whose index holds nothing but the user's studies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from tests.pynetdicom.scoped.asking import PATIENT_ROOT, STUDY_ROOT, archive, association, find, identifier, retrieve
from tests.pynetdicom.scoped.index import LEVELS, Index, Series, Study

PATIENT_IDS = ["P1", "P2", "p1", "患者1"]
WITH_WILDCARD = "P*"
ISSUERS = ["", "HOSP_A", "HOSP_B"]
NAMES = ["", "Doe^Jane", "Doe^John", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Wang^XiaoDong=王^小东="]
PHYSICIANS = ["", "House^Gregory", "Wilson^James"]
ACCESSIONS = ["", "A1", "A2", "A3"]
DATES = ["", "20260101", "20260301", "20261122"]
MODALITIES = ["CT", "MR", "SR"]

WRITABLE: dict[str, list[str]] = {
    "PatientID": [*PATIENT_IDS, WITH_WILDCARD],
    "IssuerOfPatientID": [*ISSUERS, "*"],
    "PatientName": [*NAMES, "=山田^太郎", "*"],
    "AccessionNumber": [*ACCESSIONS, "?1"],
    "ReferringPhysicianName": PHYSICIANS,
    "PhysiciansOfRecord": PHYSICIANS,
    "ModalitiesInStudy": MODALITIES,
    "OtherPatientIDs": ["OLD1", "OLD2"],
    "StudyInstanceUID": ["1.2.0", "1.2.1", "1.2.2", "1.2.9"],
}


@st.composite
def indexes(draw: st.DrawFn) -> Index:
    """A few patients, some with the same ID from different issuers, and their studies; some have none."""
    identity = st.tuples(st.sampled_from([*PATIENT_IDS, WITH_WILDCARD]), st.sampled_from(ISSUERS))
    studies: list[Study] = []
    without: list[dict[str, Any]] = []
    for patient_id, issuer in draw(st.lists(identity, min_size=1, max_size=5, unique=True)):
        patient = {
            "PatientID": patient_id,
            "IssuerOfPatientID": issuer,
            "PatientName": draw(st.sampled_from(NAMES)),
            "PatientSex": draw(st.sampled_from(["", "F", "M"])),
            "OtherPatientIDs": draw(st.sampled_from([[], ["OLD1"], ["OLD1", "OLD2"]])),
        }
        added = [draw(_studies(patient, len(studies) + n)) for n in range(draw(st.integers(0 if studies else 1, 3)))]
        studies += added
        without += [] if added else [patient]
    return Index(studies, patients=without)


@st.composite
def _studies(draw: st.DrawFn, patient: dict[str, Any], number: int) -> Study:
    uid = f"1.2.{number}"
    shapes = draw(
        st.lists(
            st.tuples(st.sampled_from(MODALITIES), st.integers(1, 2)),
            max_size=2,
            min_size=draw(st.sampled_from([0, 1, 1])),
        )
    )
    series = [
        Series({"SeriesInstanceUID": f"{uid}.{n}", "Modality": modality}, size)
        for n, (modality, size) in enumerate(shapes)
    ]
    attributes = {
        "StudyInstanceUID": uid,
        "StudyDate": draw(st.sampled_from(DATES)),
        "AccessionNumber": draw(st.sampled_from(ACCESSIONS)),
        "PatientAge": draw(st.sampled_from(["", "040Y"])),
        "ReferringPhysicianName": draw(st.sampled_from(PHYSICIANS)),
        "PhysiciansOfRecord": draw(st.lists(st.sampled_from(PHYSICIANS[1:]), max_size=2, unique=True)),
    }
    return Study(patient, attributes, series)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Index, dict[str, list[str]]]:
    """An index, and the claims of somebody's scope.

    Mostly they have what a study has; some are empty, or have wildcards, which a policy could not write itself.
    """
    index = draw(indexes())
    claims: dict[str, list[str]] = {}
    for path in draw(st.lists(st.sampled_from(sorted(WRITABLE)), min_size=1, max_size=2, unique=True)):
        chosen = [
            {**study.patient, **study.own}[path] for study in draw(st.lists(st.sampled_from(index.studies), max_size=3))
        ]
        said = [each for value in chosen for each in (value if isinstance(value, list) else [value])]
        claims[path] = said + draw(st.lists(st.sampled_from(WRITABLE[path]), max_size=1))
    return index, claims


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, Dataset]:
    """A C-FIND of any level in any of PS3.4's ways of matching, and its information model."""
    model = draw(st.sampled_from([PATIENT_ROOT, STUDY_ROOT]))
    level = draw(st.sampled_from(LEVELS if model is PATIENT_ROOT else LEVELS[1:]))
    keys = dict.fromkeys(draw(st.lists(st.sampled_from(sorted(OPTIONAL)), max_size=8)))
    keys |= {
        keyword: draw(OPTIONAL[keyword]) for keyword in draw(st.lists(st.sampled_from(sorted(OPTIONAL)), max_size=2))
    }
    keys |= {keyword: draw(values) for keyword, values in UNIQUE[level].items()}
    if model is PATIENT_ROOT and level != "PATIENT":
        keys["PatientID"] = draw(st.sampled_from(PATIENT_IDS[:2]))
    return model["FIND"], identifier(level, **keys)


UIDS = [f"1.2.{n}" for n in range(4)]
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "PatientID": st.sampled_from([None, *PATIENT_IDS, "P?", "*1"]),
    "IssuerOfPatientID": st.sampled_from([None, *ISSUERS]),
    "PatientName": st.sampled_from([None, "doe*", "*^Jane", "=山田*", *NAMES]),
    "PatientSex": st.sampled_from([None, "F"]),
    "OtherPatientIDs": st.sampled_from([None, "OLD2"]),
    "StudyDate": st.sampled_from([None, "20260101", "20260101-20260401", "-20260201", "20260201-"]),
    "AccessionNumber": st.sampled_from([None, "A?", "A1"]),
    "PhysiciansOfRecord": st.sampled_from([None, "House*"]),
    "ModalitiesInStudy": st.sampled_from([None, "CT", "MR"]),
    "PatientAge": st.none(),
    "NumberOfStudyRelatedInstances": st.none(),
    "NumberOfPatientRelatedStudies": st.none(),
    "NumberOfPatientRelatedSeries": st.none(),
    "NumberOfPatientRelatedInstances": st.none(),
}
OF_STUDIES = ("StudyDate", "AccessionNumber", "PhysiciansOfRecord", "ModalitiesInStudy")
SERIES = [f"{uid}.{n}" for uid in UIDS for n in range(2)]
UNIQUE: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "PATIENT": {"PatientID": OPTIONAL["PatientID"]},
    "STUDY": {"StudyInstanceUID": st.sampled_from([None, None, "1.2.1", ["1.2.0", "1.2.2", "1.2.4"]])},
    "SERIES": {"StudyInstanceUID": st.sampled_from(UIDS), "SeriesInstanceUID": st.sampled_from([None, None, *SERIES])},
    "IMAGE": {
        "StudyInstanceUID": st.sampled_from(UIDS),
        "SeriesInstanceUID": st.sampled_from(SERIES),
        "SOPInstanceUID": st.sampled_from([None, None, "1.2.1.0.1", ["1.2.0.0.1", "1.2.0.0.2"]]),
    },
}


def belongs(claims: dict[str, list[str]]) -> Callable[[Study], bool]:
    """Whose study it is, told from the attributes without any code of the package."""

    def is_one_of(value: Any, allowed: Sequence[str], *, name: bool) -> bool:
        for each in value if isinstance(value, list) else [value]:
            for one in allowed:
                if not each or not one or set(one) & set("*?\\"):
                    continue
                pairs = zip_longest(one.split("="), each.split("="), fillvalue="") if name else [(one, each)]
                if all(not wanted or wanted == found for wanted, found in pairs):
                    return True
        return False

    def decide(study: Study) -> bool:
        said = {**study.patient, **study.own}
        return all(
            is_one_of(said.get(path), allowed, name="Name" in path or "Physicians" in path)
            for path, allowed in claims.items()
        )

    return decide


RETRIEVALS = st.one_of(
    st.builds(
        lambda uids: identifier("STUDY", StudyInstanceUID=uids), st.lists(st.sampled_from(UIDS), min_size=1, max_size=2)
    ),
    st.builds(lambda patient_id: identifier("PATIENT", PatientID=patient_id), st.sampled_from(PATIENT_IDS)),
    st.builds(
        lambda series: identifier("SERIES", StudyInstanceUID=series.rpartition(".")[0], SeriesInstanceUID=series),
        st.sampled_from(SERIES),
    ),
)


def in_order(rows: list[Dataset]) -> list[str]:
    """What the rows say, in an order of its own: PS3.4 has none."""
    return sorted(row.to_json() for row in rows)


PHASES = set(Phase) - {Phase.explain}  # which takes longer than finding a counterexample


@pytest.mark.threat("Q1")
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(cases(), st.lists(queries(), min_size=8, max_size=16))
def test_a_scoped_archive_answers_as_one_that_holds_only_the_users_studies(
    case: tuple[Index, dict[str, list[str]]], asked: list[tuple[str, Dataset]]
) -> None:
    index, claims = case
    scope = {path: f"{{claims.{path}}}" for path in claims}
    mine = index.only(belongs(claims))
    event(f"{bool(mine.studies)} of {bool(index.studies)}, all: {len(mine.studies) == len(index.studies)}")
    with (
        archive(index.handlers, scope, claims=claims) as scoped,
        archive(mine.handlers) as unscoped,
        association(scoped) as here,
        association(unscoped) as there,
    ):
        for model, wanted in asked:
            (status, rows), (expected, others) = find(here, wanted, model), find(there, wanted, model)
            if wanted.QueryRetrieveLevel == "PATIENT" and any(wanted.get(keyword) for keyword in OF_STUDIES):
                assert (status, rows) == (0xA900, []), "which tells nothing of any study"
                continue
            assert (status, in_order(rows)) == (expected, in_order(others)), (wanted, claims, index.studies)
            event(f"{wanted.QueryRetrieveLevel}: rows {len(rows) > 0}")


@pytest.mark.threat("Q1")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES, derandomize=True)
@given(cases(), st.lists(RETRIEVALS, min_size=4, max_size=8))
def test_a_retrieval_brings_what_the_users_archive_has_or_nothing(
    case: tuple[Index, dict[str, list[str]]], asked: list[Dataset]
) -> None:
    index, claims = case
    scope = {path: f"{{claims.{path}}}" for path in claims}
    is_mine = belongs(claims)
    came: list[Dataset] = []
    with archive(index.handlers, scope, claims=claims) as scoped, association(scoped, came) as assoc:
        for wanted in asked:
            came.clear()
            root = PATIENT_ROOT if wanted.QueryRetrieveLevel == "PATIENT" else STUDY_ROOT
            status, failed = retrieve(assoc.send_c_get(wanted, root["GET"]))
            uids = wanted.get("StudyInstanceUID")
            uids = [uids] if isinstance(uids, str) else list(uids or [])
            named = [
                each
                for each in index.studies
                if each.uid in uids or each.patient["PatientID"] == wanted.get("PatientID")
            ]
            whole = named and all(map(is_mine, named)) and {each.uid for each in named} >= set(uids)
            expected = [each.SOPInstanceUID for each in index.instances(wanted)] if whole else []
            assert (status.Status, failed) == (0x0000 if whole else 0x0124, []), (wanted, claims, index.studies)
            assert [each.SOPInstanceUID for each in came] == expected
            event(f"{wanted.QueryRetrieveLevel}: whole {bool(whole)}")
