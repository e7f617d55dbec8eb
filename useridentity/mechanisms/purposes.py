"""Purposes of use in one form, whichever credential they came with."""

from __future__ import annotations

from collections.abc import Iterable


def purposes_of(codes: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Each code alone and as `system|code`; `codes` are pairs of coding system, which may be empty, and code.

    SAML names systems by OID (IHE ITI-40 3.40.4.1.2), FHIR by `urn:oid:` and the OID (IHE IUA 3.71.4.2.2.1.1).
    """
    found = [(system.removeprefix("urn:oid:"), code) for system, code in codes if code]
    return frozenset({code for _, code in found} | {f"{system}|{code}" for system, code in found if system})
