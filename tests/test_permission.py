"""What a presentation context carries."""

from __future__ import annotations

import pytest
from pydicom.uid import UID

from useridentity.permission import COMPONENTS, carries

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
