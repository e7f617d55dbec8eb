"""A reader of a mechanism's document, who does what it shows."""

from __future__ import annotations

from typing import Any

from tests.lib.certificates import Certificates
from tests.lib.documents import run_python_of
from tests.pynetdicom.support import serving
from useridentity import Policy
from useridentity.pynetdicom import outcome_of
from useridentity.pynetdicom.requestor import OutcomeKind
from useridentity.tls import client_context, server_context


def read_through(document: str, policy: Policy, certificates: Certificates) -> None:
    """Run its snippets beside an acceptor with this policy: `assoc` is confirmed, and `policy` is made in code too."""
    with serving(policy, tls=server_context(*certificates.server)) as acceptor:
        tls = client_context(certificates.ca), "localhost"
        names: dict[str, Any] = {"host": "127.0.0.1", "port": acceptor.port, "tls": tls}
        run_python_of(document, names)
        assert outcome_of(names["assoc"]).kind is OutcomeKind.CONFIRMED
        names["assoc"].release()
    assert isinstance(names["policy"], Policy)
