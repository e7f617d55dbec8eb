"""Real requestors, each under identities that may do different things: DCMTK, pynetdicom, dcmjs-dimse."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import build_context, build_role, evt
from pynetdicom.presentation import StoragePresentationContexts
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.lib import dcmtk, node
from tests.lib.certificates import Certificates, Pair
from tests.lib.tunnel import tunnel
from tests.pynetdicom.support import Acceptor, serving
from useridentity import (
    Assurance,
    Grant,
    Policy,
    Rule,
    Username,
    UsernameValidator,
    Who,
    passcode_check,
)
from useridentity.pynetdicom import AE, identity_of, outcome_of
from useridentity.pynetdicom.contexts import copied
from useridentity.testing.tokens import TokenIssuer
from useridentity.tls import client_context, server_context

FIND = StudyRootQueryRetrieveInformationModelFind
GET = StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove

NODES = """
version = 1

[validator.node]
type = "certificate"
issuer = "ca.pem"
ae_title = "CN"
groups = { Modalities = "modalities", Workstations = "workstations" }

[[authenticate]]
name = "nodes"
when = { tls = "mutual" }
accept = ["node"]

[[authorize]]
name = "modalities"
who = { groups = ["modalities"] }
permit = ["echo", "store"]

[[authorize]]
name = "workstations"
who = { groups = ["workstations"] }
permit = ["echo", "find", "move", "get"]
destinations = ["WS_*"]
"""

PEOPLE = """
version = 1

[validator.idp]
type = "jwt"
issuer = "https://idp.test"
audience = "dicom:ARCHIVE"
jwks = "jwks.json"
plaintext = "allow"
groups = { claim = "roles", map = { technologist = "technologists", referrer = "referrers" } }

[[authenticate]]
name = "people"
accept = ["idp"]

[[authorize]]
name = "technologists"
who = { groups = ["technologists"] }
permit = ["echo", "store"]

[[authorize]]
name = "referrers"
who = { groups = ["referrers"] }
permit = ["echo", "find"]
"""


@dataclass
class Archive:
    """A guarded archive of one study, and what was done there, by whom."""

    study: Dataset
    destination: int = 0
    done: list[tuple[str, str]] = field(default_factory=list)

    def handlers(self) -> list[Any]:
        return [
            (evt.EVT_C_ECHO, self._on_echo),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_FIND, self._on_find),
            (evt.EVT_C_GET, self._on_get),
            (evt.EVT_C_MOVE, self._on_move),
        ]

    def _note(self, event: evt.Event) -> None:
        self.done.append((identity_of(event).user_id, event.event.name.removeprefix("EVT_")))

    def _on_echo(self, event: evt.Event) -> int:
        self._note(event)
        return 0

    def _on_store(self, event: evt.Event) -> int:
        self._note(event)
        return 0

    def _on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        self._note(event)
        found = Dataset()
        found.QueryRetrieveLevel, found.StudyInstanceUID = "STUDY", self.study.StudyInstanceUID
        yield 0xFF00, found

    def _on_get(self, event: evt.Event) -> Iterator[Any]:
        self._note(event)
        yield 1
        yield 0xFF00, self.study

    def _on_move(self, event: evt.Event) -> Iterator[Any]:
        self._note(event)
        contexts = [build_context(CTImageStorage, self.study.file_meta.TransferSyntaxUID)]
        yield "127.0.0.1", self.destination, {"contexts": contexts}
        yield 1
        yield 0xFF00, self.study


def supported() -> list[Any]:
    contexts = [build_context(uid) for uid in (Verification, FIND, GET, MOVE)]
    storage = copied(StoragePresentationContexts)
    for context in storage:
        context.scu_role = context.scp_role = True
    return [*contexts, *storage]


@dataclass
class Site:
    """The archive, reached over mutual TLS by the nodes that have a certificate."""

    archive: Archive
    guarded: Acceptor
    received: Acceptor
    certificates: Certificates
    pairs: dict[str, Pair]

    def run(self, name: str, program: str, *args: object) -> subprocess.CompletedProcess[str]:
        """One of DCMTK's programs as the node `name`, whose AE title is its certificate's CN."""
        self.archive.done.clear()
        cert, key = self.pairs[name]
        titles = ("-aet", name, "-aec", "ARCHIVE")
        if program in ("movescu", "getscu"):  # which have no TLS of their own
            with tunnel(self.guarded.port, client_context(self.certificates.ca, cert, key)) as port:
                return dcmtk.run(program, *titles, "127.0.0.1", port, *args)
        tls = ("+tls", key, cert, "+cf", self.certificates.ca)
        return dcmtk.run(program, *titles, *tls, "127.0.0.1", self.guarded.port, *args)


@pytest.fixture
def site(certificates: Certificates, ct_dataset: Dataset, tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "nodes.toml").write_text(NODES)
    (tmp_path / "ca.pem").write_bytes(certificates.ca.read_bytes())
    pairs = {
        name: certificates.authority.issue(
            name, f"{name}.example.org".replace("_", ""), common_name=name, organization_unit_name=unit,
            organization_name="Radiology",
        )
        for name, unit in (("CT_1", "Modalities"), ("WS_1", "Workstations"))
    }  # fmt: skip
    archive = Archive(ct_dataset)
    tls = server_context(*certificates.server, client_ca=certificates.ca)
    policy = Policy.load(tmp_path / "nodes.toml")
    with (
        serving(policy, tls=tls, contexts=supported(), handlers=archive.handlers()) as guarded,
        serving(Policy.unguarded()) as received,
    ):
        archive.destination = received.port
        yield Site(archive, guarded, received, certificates, pairs)


STUDY = ("-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID")


def test_a_workstation_echoes_finds_gets_and_moves(site: Site, tmp_path: Path) -> None:
    assert site.run("WS_1", "echoscu").returncode == 0
    assert site.archive.done == [("WS_1", "C_ECHO")]
    assert site.run("WS_1", "findscu", "-S", *STUDY).returncode == 0
    assert site.archive.done == [("WS_1", "C_FIND")]
    moved = site.run("WS_1", "movescu", "-S", "-aem", "WS_1", *STUDY)
    assert (moved.returncode, site.archive.done) == (0, [("WS_1", "C_MOVE")]), moved.stderr
    assert len(site.received.served) == 1
    folder = tmp_path / "got"
    folder.mkdir()
    got = site.run("WS_1", "getscu", "-S", "-od", folder, *STUDY)
    assert (got.returncode, site.archive.done) == (0, [("WS_1", "C_GET")]), got.stderr
    assert [dcmread(path).SOPInstanceUID for path in folder.iterdir()] == [site.archive.study.SOPInstanceUID]


def test_a_workstation_neither_stores_nor_moves_to_just_anywhere(site: Site, ct_path: Path) -> None:
    stored = site.run("WS_1", "storescu", ct_path)
    assert stored.returncode != 0
    assert "Rejected Permanent" in stored.stderr
    moved = site.run("WS_1", "movescu", "-d", "-S", "-aem", "HOME", *STUDY)
    assert "0x0124" in moved.stderr
    assert "not authorized" in moved.stderr
    assert site.archive.done == []
    assert site.received.served == []


def test_a_modality_stores_and_retrieves_nothing(site: Site, ct_path: Path, tmp_path: Path) -> None:
    assert site.run("CT_1", "echoscu").returncode == 0
    assert site.run("CT_1", "storescu", ct_path).returncode == 0
    assert site.archive.done == [("CT_1", "C_STORE")]
    for program, *args in (("findscu", "-S"), ("movescu", "-S", "-aem", "WS_1"), ("getscu", "-S", "-od", tmp_path)):
        done = site.run("CT_1", program, *args, *STUDY)
        assert done.returncode != 0
        assert "Association Rejected" in done.stderr
        assert site.archive.done == []


# Users


@pytest.fixture
def people(ct_dataset: Dataset, tmp_path: Path) -> Iterator[tuple[Archive, int, TokenIssuer]]:
    issuer = TokenIssuer()
    issuer.write_jwks(tmp_path / "jwks.json")
    (tmp_path / "people.toml").write_text(PEOPLE)
    archive = Archive(ct_dataset)
    policy = Policy.load(tmp_path / "people.toml")
    with serving(policy, contexts=supported(), handlers=archive.handlers()) as guarded:
        yield archive, guarded.port, issuer


@pytest.mark.parametrize(("role", "stores"), [("technologist", True), ("referrer", False), ("nobody", False)])
def test_storescu_with_a_token_stores_where_its_role_may(
    people: tuple[Archive, int, TokenIssuer], ct_path: Path, tmp_path: Path, role: str, stores: bool
) -> None:
    archive, port, issuer = people
    token = tmp_path / "token"
    token.write_text(issuer.token("tina", roles=[role]))
    done = dcmtk.run("storescu", "--jwt", token, "-rsp", "127.0.0.1", port, ct_path)
    assert (done.returncode == 0) is stores, done.stderr
    assert stores or "Rejected Permanent" in done.stderr
    assert archive.done == ([("tina", "C_STORE")] if stores else [])


def by_passcode() -> Policy:
    """Whoever proves a passcode stores; a bare username finds."""
    check = passcode_check(lambda name, passcode: (name, passcode) == ("tina", b"passcode-of-tina"), plaintext="allow")
    return Policy(
        [Rule([UsernameValidator(), check], weakest="asserted")],
        authorize=[
            Grant(["echo", "store"]),
            Grant(["find"], who=Who(assurance=(Assurance.ASSERTED,))),
        ],
    )


def test_storescu_with_a_passcode_stores_and_with_a_name_alone_does_not(ct_dataset: Dataset, ct_path: Path) -> None:
    archive = Archive(ct_dataset)
    with serving(by_passcode(), contexts=supported(), handlers=archive.handlers()) as guarded:
        peer = ("127.0.0.1", guarded.port, ct_path)
        assert dcmtk.run("storescu", "-usr", "tina", "-pwd", "passcode-of-tina", *peer).returncode == 0
        assert archive.done == [("tina", "C_STORE")]
        refused = dcmtk.run("storescu", "-usr", "tina", *peer)
        assert "Rejected Permanent" in refused.stderr
        assert len(archive.done) == 1


def test_the_node_scu_finds_where_it_may_and_is_refused_the_context_where_not(ct_dataset: Dataset) -> None:
    archive = Archive(ct_dataset)
    with serving(by_passcode(), contexts=supported(), handlers=archive.handlers()) as guarded:
        seen = node.run_scu(guarded.port, identity=node.identity(1, b"tina"), find=True)
        assert (seen["outcome"], seen["find"]) == ("accepted", 0)
        assert archive.done == [("tina", "C_FIND")]
        archive.done.clear()
        identity = node.identity(2, b"tina", b"passcode-of-tina")
        seen = node.run_scu(guarded.port, identity=identity, find=True)
        assert (seen["outcome"], seen["echo"]) == ("accepted", 0)
        assert "find" not in seen  # there was no context to send it on
        assert archive.done == [("tina", "C_ECHO")]


def test_pynetdicom_sees_what_its_user_was_refused(ct_dataset: Dataset) -> None:
    archive = Archive(ct_dataset)
    with serving(by_passcode(), contexts=supported(), handlers=archive.handlers()) as guarded:
        ae = AE("WORKSTATION")
        for uid in (Verification, FIND, CTImageStorage):
            ae.add_requested_context(uid)
        roles = [build_role(CTImageStorage, scu_role=True, scp_role=True)]
        assoc = ae.associate("127.0.0.1", guarded.port, identity=Username("tina"), ext_neg=roles)
        assert str(outcome_of(assoc)) == "accepted, identity confirmed"
        assert [cx.abstract_syntax for cx in assoc.accepted_contexts] == [FIND]
        assert {cx.abstract_syntax: cx.result for cx in assoc.rejected_contexts} == {Verification: 1, CTImageStorage: 1}
        query = Dataset()
        query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", ""
        assert [status.Status for status, _ in assoc.send_c_find(query, FIND)] == [0xFF00, 0x0000]
        assoc.release()
        assert archive.done == [("tina", "C_FIND")]
