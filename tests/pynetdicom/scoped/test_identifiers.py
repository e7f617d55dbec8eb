"""Identifiers as bytes: whatever a peer sends, it is judged, and nothing but a verdict comes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context

from tests.pynetdicom.scoped.asking import PATIENT_ROOT, STUDY_ROOT, WORKLIST, archive, association, identifier
from tests.pynetdicom.scoped.index import Index, Study
from useridentity.pynetdicom.scoped import Refusal, Scoping
from useridentity.pynetdicom.scoped.models import Unsound, query_level

SCOPE = {"PatientID": "P1", "StudyInstanceUID": ["1.2.1", "1.2.2"]}
REQUESTS: list[tuple[type[Any], str]] = [
    (C_FIND, PATIENT_ROOT["FIND"]),
    (C_FIND, STUDY_ROOT["FIND"]),
    (C_FIND, WORKLIST),
    (C_GET, PATIENT_ROOT["GET"]),
    (C_MOVE, STUDY_ROOT["MOVE"]),
]
KEYS = {"PatientID": "P1", "StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.1", "SOPInstanceUID": "1.2.1.1.1"}
SEEDS = [encode(identifier(level, **KEYS), True, True) or b"" for level in ("PATIENT", "STUDY", "SERIES", "IMAGE", "")]


@contextmanager
def scoping() -> Iterator[Scoping]:
    """What the scope means for an association that is open."""
    studies = [Study({"PatientID": f"P{n}"}, {"StudyInstanceUID": f"1.2.{n}"}) for n in (1, 2)]
    with archive(Index(studies).handlers, SCOPE) as acceptor, association(acceptor):
        (assoc,) = acceptor.ae.active_associations
        yield assoc.scoping  # type: ignore[attr-defined]


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """An identifier with some octets changed, left out or added."""
    octets = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(octets)))
        octets[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(octets)


@pytest.mark.threat("Q3")
def test_a_mutated_identifier_is_served_or_refused_and_nothing_raised() -> None:
    with scoping() as judge:

        @settings(max_examples=300, deadline=None, derandomize=True)
        @given(octets=mutants(), asked=st.sampled_from(REQUESTS))
        def judged(octets: bytes, asked: tuple[type[C_FIND], str]) -> None:
            refused = verdict(judge, asked, octets)
            assert refused is None or refused.status in (0x0124, 0xA900)

        judged()


def verdict(judge: Scoping, asked: tuple[type[C_FIND], str], octets: bytes) -> Refusal | None:
    """What becomes of a request with this identifier."""
    request, context = asked[0](), build_context(asked[1], ImplicitVRLittleEndian)
    request.MessageID, request.AffectedSOPClassUID, request.Identifier = 1, asked[1], BytesIO(octets)
    context.context_id = 1
    return judge.refuses(request, context)


@pytest.mark.parametrize("asked", REQUESTS, ids=lambda asked: asked[0].__name__)
def test_what_is_not_mutated_is_served(asked: tuple[type[C_FIND], str]) -> None:
    with scoping() as judge:
        assert verdict(judge, asked, SEEDS[4] if asked[1] == WORKLIST else SEEDS[1]) is None


@pytest.mark.parametrize("level", ["PATIENT", "STUDY"])
@pytest.mark.threat("Q3")
def test_a_count_that_is_matched_is_found_whatever_vr_it_is_sent_with(level: str) -> None:
    wanted = identifier(level, PatientID="P1", StudyInstanceUID=None)
    for value in (b"", b"2 "):
        wanted.add_new("NumberOfPatientRelatedStudies", "OB", value)
        if not value:
            assert query_level(wanted, ("PATIENT", "STUDY")) == level
            continue
        with pytest.raises(Unsound, match="is matched"):
            query_level(wanted, ("PATIENT", "STUDY"))
