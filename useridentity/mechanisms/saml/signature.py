"""XML signatures (XMLDSig, SAML core 5): verified, so that only what was signed is read; and made.

signxml does both. It checks the signature value before it touches a reference, and hands back the
bytes that were digested, parsed again: those are the document from there on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from useridentity import whole_file
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused
from useridentity.mechanisms.saml.structure import DIGEST_METHODS, SIGNATURE_METHODS, parser
from useridentity.mechanisms.saml.xml import Element, etree

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
"""NIST SP 800-131A has anything shorter as broken. Longer ones take milliseconds, which whoever sends
assertions would make us spend."""

ExpiredCertificates = Literal["refuse", "allow"]
"""What to do with a signature by a certificate that has expired, or is not valid yet."""

_CONFIGURATION = SignatureConfiguration(
    location="./",
    signature_methods=frozenset(SignatureMethod(uri) for uri in SIGNATURE_METHODS),
    digest_algorithms=frozenset(DigestAlgorithm(uri) for uri in DIGEST_METHODS),
    # The key is configured; what the document says about keys is not looked at.
    ignore_ambiguous_key_info=True,
)

# At DEBUG signxml logs every document it canonicalises, which here are credentials.
logging.getLogger("signxml.processor").addFilter(lambda record: record.levelno > logging.DEBUG)


def verified(
    root: Element, keys: Sequence[x509.Certificate], now: datetime, expired: ExpiredCertificates = "refuse"
) -> Element:
    """The signed bytes of `root`, parsed: the same element, as one of `keys` signed it.

    `root` passed `structure.check`. Raises `Refused` (CREDENTIAL_INVALID) where none of them did.
    """
    problem = "signed by no key of the issuer"
    for key in keys:
        if expired == "refuse" and not key.not_valid_before_utc <= now <= key.not_valid_after_utc:
            problem = "signed by no key of the issuer whose certificate is valid today"
            continue
        signed = _signed_by(key, root)
        if signed is not None:
            return signed
    raise Refused(Reason.CREDENTIAL_INVALID, f"SAML: {problem}")


def _signed_by(key: x509.Certificate, root: Element) -> Element | None:
    configuration = replace(_CONFIGURATION, verification_time=key.not_valid_after_utc)  # validity was judged above
    try:
        # A list comes back only where several references are expected.
        result = cast(
            VerifyResult,
            XMLVerifier().verify(root, x509_cert=key, expect_config=configuration, id_attribute="ID", parser=parser()),
        )
    except (SignXMLException, ValueError, TypeError, UnsupportedAlgorithm, etree.LxmlError):
        return None
    signed = result.signed_xml
    same = signed is not None and (signed.tag, signed.get("ID")) == (root.tag, root.get("ID"))
    return signed if same else None


def certificates_in(pem: bytes, where: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file; raises `ConfigurationError` where there is none, or one is too weak."""
    try:
        found = tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise ConfigurationError(f"{where}: holds no PEM certificate (-----BEGIN CERTIFICATE-----)") from None
    for certificate in found:
        check_key(certificate, where)
    return found


def check_key(certificate: x509.Certificate, where: str) -> None:
    """Raises `ConfigurationError` where the key of `certificate` cannot sign well enough."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return
    name = certificate.subject.rfc4514_string()
    raise ConfigurationError(
        f"{where}: the key of {name} is no RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, and not on P-256, P-384 "
        "or P-521"
    )


_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: a private key and its certificate."""

    key: PrivateKey = field(repr=False)
    certificate: x509.Certificate

    @classmethod
    def load(cls, key: Path, certificate: Path) -> Signer:
        """From PEM files; raises `ConfigurationError` where they are not usable, or not of each other."""
        chain = certificates_in(read(certificate), str(certificate))
        try:
            private = load_pem_private_key(read(key), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigurationError(
                f"{key}: holds no unencrypted PEM private key; `openssl pkey -noout -in` that file says why"
            ) from None
        if private.public_key() != chain[0].public_key():
            raise ConfigurationError(f"{key} is not the key of {certificate}; the certificate itself comes first in it")
        return cls(cast(PrivateKey, private), chain[0])  # of a kind that check_key let pass

    def sign(self, element: Element) -> bytes:
        """`element`, which has an ID and a `ds:Signature` where its signature goes, signed and serialised."""
        elliptic = isinstance(self.key, ec.EllipticCurvePrivateKey)
        signer = XMLSigner(
            signature_algorithm=SignatureMethod.ECDSA_SHA256 if elliptic else SignatureMethod.RSA_SHA256,
            digest_algorithm=DigestAlgorithm.SHA256,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )
        signed = signer.sign(
            element, key=self.key, cert=[self.certificate], reference_uri=element.get("ID"), id_attribute="ID"
        )
        octets: bytes = etree.tostring(signed, encoding="utf-8")
        return octets


def read(path: Path) -> bytes:
    """The content of a configured file; raises `ConfigurationError` where it cannot be read."""
    try:
        return whole_file.content(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; give the path of a file this process may read") from None
