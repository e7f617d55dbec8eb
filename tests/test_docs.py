"""Every snippet of the README and of docs/ runs."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pynetdicom import StoragePresentationContexts, build_context, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.lib.certificates import Certificates
from tests.lib.documents import ROOT, path_of, run_python_of, snippets_of
from tests.mechanisms.jwt.issuer import jwk, write_keys
from tests.parts import require
from useridentity import Policy, Reason, Rule, UsernameValidator, passcode_check
from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.pynetdicom import AE, outcome_of
from useridentity.tls import client_context, server_context

DOCUMENTS = ["README", "policy", "policy-tools", "pynetdicom", "scope", "audit", "audit-messages"]
THREATS = ["threat-model", "kerberos", "saml", "jwt", "scope", "audit", "audit-messages"]
HANG = 120.0  # seconds; ten times what the slowest takes
PASSCODE = b"correct horse"


@pytest.fixture
def reader(
    certificates: Certificates, tmp_path: Path, ct_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """The names a reader of the documents would have, with a guarded acceptor to talk to."""
    monkeypatch.chdir(tmp_path)
    set_passcode(tmp_path / "passcodes.toml", "alice", PASSCODE)
    write_keys(tmp_path, jwk())
    (tmp_path / "ca.pem").write_bytes(Path(certificates.ca).read_bytes())
    (tmp_path / "identity.toml").write_text(snippets_of("README", "toml")[0])
    ssl_context = server_context(certificates.server.cert, certificates.server.key)
    acceptor = AE("ARCHIVE")
    acceptor.add_supported_context(Verification)
    check = passcode_check(lambda name, passcode: (name, passcode) == ("alice", PASSCODE), plaintext="allow")
    policy = Policy([Rule([UsernameValidator(), check], weakest="asserted")])
    tls: tuple[ssl.SSLContext, str] | None = (client_context(certificates.ca), "127.0.0.1")
    servers = {
        "README": acceptor.start_server(("127.0.0.1", 0), False, ssl_context, policy=policy),
        "docs": acceptor.start_server(("127.0.0.1", 0), False, policy=policy),
    }
    yield {
        "servers": servers,
        "address": ("127.0.0.1", 0),
        "host": "127.0.0.1",
        "contexts": [build_context(Verification)],
        "passcode": PASSCODE,
        "tls": tls,
        "ssl_context": ssl_context,
        "on_store": lambda _event: 0x0000,
        "dataset": dcmread(ct_path),
        "StoragePresentationContexts": StoragePresentationContexts,
        "evt": evt,
    }
    acceptor.shutdown()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_snippets_run(document: str, reader: dict[str, Any]) -> None:
    names = dict(reader)
    names["port"] = names["servers"]["README" if document == "README" else "docs"].server_address[1]
    run_python_of(document, names)
    if "assoc" in names:
        assert str(outcome_of(names["assoc"])) == "accepted, identity confirmed"
        names["assoc"].release()
    if document == "README":
        names["server"].shutdown()
    if "on_move" in names:
        assert next(names["on_move"](None))[2]["identity"].name == "archive"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_policy_snippets_load(document: str, reader: dict[str, Any], tmp_path: Path) -> None:
    for snippet in snippets_of(document, "toml"):
        (tmp_path / "snippet.toml").write_text(snippet)
        Policy.load(tmp_path / "snippet.toml")


def test_the_tests_that_readers_are_shown_pass(tmp_path: Path) -> None:
    """As the reader's own, in one file beside the policy."""
    require("krb5kdc")
    require("gssapi")
    (tmp_path / "identity.toml").write_text(snippets_of("testing", "toml")[0])
    (tmp_path / "test_policy.py").write_text("\n".join(snippets_of("testing", "python")))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_policy.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANG, check=False)
    assert "6 passed" in done.stdout, done.stdout


def test_every_reason_is_explained_with_its_answer() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| \((\d,\d,\d)\)", path_of("policy").read_text(), re.MULTILINE)
    assert dict(rows) == {reason.word: ",".join(map(str, reason.answer)) for reason in Reason}


def test_every_line_of_the_threat_model_is_shown_by_the_tests_it_names_and_they_name_it() -> None:
    """A line without its test would be a promise, a test without its line a riddle."""
    told, shown = set(), set()
    for document in THREATS:
        for line, row in re.findall(r"^\| ([A-Z]\d+) (\|.*)$", path_of(document).read_text(), re.MULTILINE):
            named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
            assert named, f"{document}: {line} names no test"
            told |= {(line, file, test) for file, test in named}
    for file in (ROOT / "tests").rglob("test_*.py"):
        marked = re.findall(r"^@pytest\.mark\.threat\((.*)\)\n(?:@.*\n)*def (\w+)", file.read_text(), re.MULTILINE)
        for lines, test in marked:
            shown |= {(line, str(file.relative_to(ROOT)), test) for line in re.findall(r'"(\w+)"', lines)}
    assert told == shown


def test_links_between_documents_lead_somewhere() -> None:
    """To a file that is there, and where a heading is named, to that."""
    broken = []
    for document in [path_of("README"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")]:
        for target, _, heading in re.findall(r"\]\(([^)#:]*)(#([^)]+))?\)", document.read_text()):
            file = document.parent / target if target else document
            if not file.exists() or (heading and heading not in headings(file)):
                broken.append(f"{document.name}: {target}#{heading}")
    assert broken == []


def test_every_document_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [path_of("README")]
    while ahead:
        document = ahead.pop()
        if document not in reached:
            reached.add(document)
            targets = re.findall(r"\]\(([^)#:]+\.md)", document.read_text())
            ahead += [(document.parent / target).resolve() for target in targets]
    assert set((ROOT / "docs").glob("*.md")) <= reached


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as forges make them."""
    found = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}
