"""What may be done on an association: one table of what each presentation context carries."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_FILM_SESSION = "1.2.840.10008.5.1.1.1"
_FILM_BOX = "1.2.840.10008.5.1.1.2"
_GRAYSCALE_IMAGE_BOX = "1.2.840.10008.5.1.1.4"
_COLOR_IMAGE_BOX = "1.2.840.10008.5.1.1.4.1"
_REFERENCED_IMAGE_BOX = "1.2.840.10008.5.1.1.4.2"
_PRINTER = "1.2.840.10008.5.1.1.16"
_PULL_PRINT_REQUEST = "1.2.840.10008.5.1.1.31"

_UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"
_UPS_OTHERS = [f"1.2.840.10008.5.1.4.34.6.{n}" for n in range(2, 6)]  # Watch, Pull, Event, Query

COMPONENTS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        # Print Management meta SOP classes, the retired ones included (PS3.4 Table H.3.2.2.1-1 and
        # H.3.2.2.2-1; PS3.4-2001 H.3.2.2.3 ff.).
        "1.2.840.10008.5.1.1.9": frozenset({_FILM_SESSION, _FILM_BOX, _GRAYSCALE_IMAGE_BOX, _PRINTER}),
        "1.2.840.10008.5.1.1.18": frozenset({_FILM_SESSION, _FILM_BOX, _COLOR_IMAGE_BOX, _PRINTER}),
        "1.2.840.10008.5.1.1.9.1": frozenset({_FILM_SESSION, _FILM_BOX, _REFERENCED_IMAGE_BOX, _PRINTER}),
        "1.2.840.10008.5.1.1.18.1": frozenset({_FILM_SESSION, _FILM_BOX, _REFERENCED_IMAGE_BOX, _PRINTER}),
        "1.2.840.10008.5.1.1.32": frozenset({_PULL_PRINT_REQUEST, _PRINTER}),
        # Unified Procedure Step: an instance is always one of UPS Push, whatever the context (PS3.4 CC.3.1).
        **dict.fromkeys(_UPS_OTHERS, frozenset({_UPS_PUSH})),
    }
)
"""Abstract syntaxes whose presentation context carries messages of other SOP classes."""


def carries(abstract_syntax: str, sop_class: str) -> bool:
    """Whether a message about `sop_class` may be sent on a context of `abstract_syntax` (PS3.7 D.3.3)."""
    return sop_class == abstract_syntax or sop_class in COMPONENTS.get(abstract_syntax, frozenset())
