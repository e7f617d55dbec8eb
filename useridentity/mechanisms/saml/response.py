"""The 59H of a SAML identity: a samlp:Response with status Success (PS3.7 Table D.3-15), made and judged."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from onelogin.saml2.utils import OneLogin_Saml2_Utils  # type: ignore[import-untyped]
from onelogin.saml2.utils import OneLogin_Saml2_ValidationError as ValidationError

from useridentity.errors import NotConfirmed, Refused
from useridentity.mechanisms.saml.signature import Signer, verified
from useridentity.mechanisms.saml.structure import check, parse, signature_of
from useridentity.mechanisms.saml.xml import (
    DS,
    RESPONSE,
    SAML,
    SAMLP,
    SUCCESS,
    Element,
    child,
    etree,
    instant,
    text_of,
    written,
)

CLOCK_SKEW = timedelta(minutes=1)
"""How old or early an answer may be. It was made for this association, a network and two clocks away."""


def make(issuer: str, assertion_id: str, now: datetime, signer: Signer | None) -> bytes:
    """The Response to an assertion that was accepted; signed where there is a `signer`."""
    response = etree.Element(f"{{{SAMLP}}}Response", nsmap={"samlp": SAMLP, "saml": SAML})
    response.set("ID", f"_{secrets.token_hex(16)}")
    response.set("Version", "2.0")
    response.set("IssueInstant", written(now))
    response.set("InResponseTo", assertion_id)
    etree.SubElement(response, f"{{{SAML}}}Issuer").text = issuer
    if signer is not None:
        etree.SubElement(response, f"{{{DS}}}Signature", nsmap={"ds": DS}, Id="placeholder")
    status = etree.SubElement(response, f"{{{SAMLP}}}Status")
    etree.SubElement(status, f"{{{SAMLP}}}StatusCode", Value=SUCCESS)
    if signer is not None:
        return signer.sign(response)
    octets: bytes = etree.tostring(response, encoding="utf-8")
    return octets


@dataclass(frozen=True, slots=True)
class Answer:
    """A Response that says Success. `issuer` is the acceptor's word for itself, proved where `signed`."""

    issuer: str
    signed: bool


def judge(octets: bytes, assertion_id: str, now: datetime, acceptor: Sequence[x509.Certificate]) -> Answer:
    """What a Response to `assertion_id` says.

    Where `acceptor` has certificates, one of them must have signed it. Raises `NotConfirmed` where it is
    not the answer to this assertion, not of this moment, or not a success.
    """
    try:
        response = parse(octets)
        check(response, roots=(RESPONSE,), assertions=(0, 1))
        if acceptor:
            response = _signed(response, acceptor, now)
    except Refused as refused:
        raise NotConfirmed(f"the server response is not accepted: {refused.detail}") from None
    _check(response, assertion_id, now)
    return Answer(text_of(child(response, "Issuer")), bool(acceptor))


def _signed(response: Element, acceptor: Sequence[x509.Certificate], now: datetime) -> Element:
    if signature_of(response) is None:
        raise NotConfirmed("the server response is not signed, and the acceptor's certificate is known")
    return verified(response, acceptor, now)


def _check(response: Element, assertion_id: str, now: datetime) -> None:
    if response.get("InResponseTo") != assertion_id:
        raise NotConfirmed("the server response is not the answer to this assertion (InResponseTo)")
    issued = instant(response.get("IssueInstant"))
    if issued is None or abs(now - issued) > CLOCK_SKEW:
        raise NotConfirmed(f"the server response is not of this moment (IssueInstant {response.get('IssueInstant')!r})")
    status = status_of(response)
    if status != SUCCESS:
        raise NotConfirmed(f"the server response says {status[:120]!r}, not Success")


def status_of(response: Element) -> str:
    """The top-level status code of a Response that passed the schema; empty where it has none."""
    try:
        code: str = OneLogin_Saml2_Utils.get_status(response)["code"]
    except ValidationError:
        return ""
    return code
