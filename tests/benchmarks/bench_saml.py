"""One SAML assertion: judged by the acceptor, beside signxml alone; and the most that a hostile one can cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.verifier import SignatureConfiguration, XMLVerifier

from tests.benchmarks.figure import EFFORT, Figure, compare
from tests.mechanisms.saml.costly import costly
from tests.mechanisms.saml.issuer import Issuer, assertion, make_issuer, response, validate, validator
from useridentity.errors import Refused

AIM_RATIO, AIM_MS, AIM_HOSTILE_MS = 1.3, 5.0, 50.0

_LIBRARY = SignatureConfiguration(
    location="./",
    signature_methods=frozenset({SignatureMethod.RSA_SHA256}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
)


def measure() -> list[Figure]:
    """Milliseconds for each document; 2.4 kB with an RSA key of 2048 bits where nothing else is said."""
    with tempfile.TemporaryDirectory() as folder:
        issuer = make_issuer(Path(folder), "idp")
        acceptor = make_issuer(Path(folder), "pacs")
        return [*_beside_library(issuer), *_alone(issuer, acceptor), *_hostile(issuer)]


def _beside_library(issuer: Issuer) -> list[Figure]:
    octets, judge = issuer.sign(assertion()), validator(issuer)

    def library() -> object:
        return XMLVerifier().verify(octets, x509_cert=issuer.certificate, expect_config=_LIBRARY, id_attribute="ID")

    ours, peer = _timed(lambda: validate(judge, octets)), _timed(library)
    return [compare("SAML assertion / signxml verify", ours, peer, "ms", aim=AIM_RATIO, higher_is_better=False)]


def _alone(issuer: Issuer, acceptor: Issuer) -> list[Figure]:
    signing = validator(issuer, signing_key=acceptor.key_file, signing_certificate=acceptor.certificate_file)
    whole, octets = issuer.sign(response(assertion(), signed=True)), issuer.sign(assertion())
    either = validator(issuer, form="either")
    cases: dict[str, Callable[[], object]] = {
        "SAML assertion": lambda: validate(either, octets),
        "SAML assertion, answered": lambda: validate(either, octets, answer=True),
        "SAML assertion, answered and signed": lambda: validate(signing, octets, answer=True),
        "SAML response, signed twice": lambda: validate(either, whole),
    }
    return [Figure(name, _timed(case)(), None, "ms", AIM_MS, higher_is_better=False) for name, case in cases.items()]


def _hostile(issuer: Issuer) -> list[Figure]:
    """The dearest of the documents that are made to be dear: CPU, at its best of three."""
    judge, spent = validator(issuer, form="either"), {}
    for case, octets in costly(issuer).items():
        spent[case] = min(_cpu(partial(validate, judge, octets)) for _ in range(3))
    dearest = max(spent, key=lambda case: spent[case])
    name = f"SAML, dearest of {len(spent)} hostile documents ({dearest})"
    return [Figure(name, spent[dearest] * 1e3, None, "ms", AIM_HOSTILE_MS, higher_is_better=False)]


def _timed(work: Callable[[], object]) -> Callable[[], float]:
    """Milliseconds of one call, over as many as fit into a round."""

    def once() -> float:
        work()
        calls, begun = 0, time.perf_counter()
        until = begun + EFFORT.get().seconds
        while time.perf_counter() < until:
            work()
            calls += 1
        return (time.perf_counter() - begun) * 1e3 / calls

    return once


def _cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    with suppress(Refused):
        work()
    return time.process_time() - begun
