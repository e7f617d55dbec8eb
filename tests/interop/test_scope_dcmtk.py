"""DCMTK's findscu as a node with a certificate, getscu and movescu as one that is assigned, over 2,000 studies."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from tests.lib import dcmtk
from tests.lib.certificates import Certificates
from tests.pynetdicom.scoped.asking import PATIENT_ROOT, STUDY_ROOT, WORKLIST, archive
from tests.pynetdicom.scoped.hospital import QUERIES, SCOPE, hospital, mine
from tests.pynetdicom.scoped.test_oracle import in_order
from tests.pynetdicom.support import Acceptor, serving
from useridentity import Assign, Assurance, Grant, Policy, Rule, Scope, When, Who
from useridentity.mechanisms.certificate import CertificateSettings
from useridentity.settings import Runtime
from useridentity.tls import server_context

MODEL_OPTION = {PATIENT_ROOT["FIND"]: "-P", STUDY_ROOT["FIND"]: "-S", WORKLIST: "-W"}


@pytest.fixture
def tls_options(certificates: Certificates) -> tuple[Any, ...]:
    cert, key = certificates.client
    return ("+tls", key, cert, "+cf", certificates.ca)


@pytest.fixture
def archives(certificates: Certificates) -> Iterator[tuple[Acceptor, Acceptor]]:
    """With a scope, and without one over the user's studies alone; both know nodes by their certificates."""
    node = CertificateSettings(certificates.ca).build(Runtime("node", Path()))
    grants = [Grant(["find", "worklist"], scope=Scope.of(SCOPE)), Grant(["find", "worklist"])]
    scoped, unscoped = (Policy([Rule([node])], [grant]) for grant in grants)
    tls = server_context(*certificates.server, client_ca=certificates.ca)
    with (
        archive(hospital().handlers, policy=scoped, tls=tls) as here,
        archive(mine().handlers, policy=unscoped, tls=tls) as there,
    ):
        yield here, there


def asked(acceptor: Acceptor, options: tuple[Any, ...], model: str, wanted: Dataset, folder: Path) -> list[Dataset]:
    """The rows that findscu writes to files."""
    folder.mkdir()
    query = folder.with_suffix(".dcm")
    wanted.file_meta = FileMetaDataset()
    wanted.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    wanted.file_meta.MediaStorageSOPClassUID, wanted.file_meta.MediaStorageSOPInstanceUID = UID(model), UID("1.2")
    dcmwrite(query, wanted, enforce_file_format=True)
    done = dcmtk.run("findscu", MODEL_OPTION[model], *options, "-X", "-od", folder, "127.0.0.1", acceptor.port, query)
    assert done.returncode == 0, done.stderr
    assert "Failed" not in done.stderr, done.stderr
    return [row(path) for path in sorted(folder.iterdir())]


def row(path: Path) -> Dataset:
    dataset = dcmread(path, force=True)
    return Dataset({element.tag: element for element in dataset})


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.threat("Q1")
def test_findscu_sees_what_an_archive_of_the_users_studies_shows(
    archives: tuple[Acceptor, Acceptor], tls_options: tuple[Any, ...], tmp_path: Path, name: str
) -> None:
    model, wanted = QUERIES[name]
    scoped, unscoped = (
        asked(acceptor, tls_options, model, wanted, tmp_path / where)
        for acceptor, where in zip(archives, ("scoped", "unscoped"), strict=True)
    )
    assert in_order(scoped) == in_order(unscoped)
    assert scoped or "out of scope" in name


def test_findscu_is_told_what_its_identifier_lacks(
    archives: tuple[Acceptor, Acceptor], tls_options: tuple[Any, ...]
) -> None:
    keys = ("-k", "QueryRetrieveLevel=SERIES", "-k", "SeriesInstanceUID")
    relational = dcmtk.run("findscu", "-v", "-S", *tls_options, *keys, "127.0.0.1", archives[0].port)
    assert "DataSetDoesNotMatchSOPClass" in relational.stdout + relational.stderr


@pytest.fixture
def assigned() -> Policy:
    """For DCMTK's retrievers, which know neither TLS nor identities: they are assigned one."""
    who = Who(assurance=(Assurance.ASSIGNED,))
    grant = Grant(["get", "move"], who, destinations=["STORE"], scope=Scope.of(SCOPE))
    rule = Rule(when=When(network=(ip_network("127.0.0.1/32"),)), assign=Assign("workstation"))
    return Policy([rule], [grant])


RETRIEVALS = [("1.2.826.50", 4, "Success"), ("1.2.826.6", 0, "Status: 0x124"), ("1.2.826.50\\1.2.826.6", 0, "0x124")]


@pytest.mark.parametrize(("uid", "count", "words"), RETRIEVALS)
@pytest.mark.threat("Q1")
def test_getscu_gets_a_study_in_scope_and_no_other(
    assigned: Policy, tmp_path: Path, uid: str, count: int, words: str
) -> None:
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}")
    with archive(hospital().handlers, policy=assigned) as acceptor:
        done = dcmtk.run("getscu", "-v", "-S", "-od", tmp_path, *keys, "127.0.0.1", acceptor.port)
    got = [dcmread(path).StudyInstanceUID for path in tmp_path.iterdir()]
    assert got == [uid] * count, done.stderr
    assert words in done.stdout + done.stderr, done.stderr


@pytest.mark.parametrize(("uid", "count", "words"), RETRIEVALS)
@pytest.mark.threat("Q1")
def test_movescu_moves_a_study_in_scope_and_no_other(assigned: Policy, uid: str, count: int, words: str) -> None:
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}")
    index = hospital().only(lambda _: True)
    with (
        serving(Policy.unguarded(), contexts=[build_context(CTImageStorage)]) as destination,
        archive(index.handlers, policy=assigned) as acceptor,
    ):
        index.destinations = {"STORE": ("127.0.0.1", destination.port)}
        done = dcmtk.run("movescu", "-v", "-S", "-aem", "STORE", *keys, "127.0.0.1", acceptor.port)
    assert [event.dataset.StudyInstanceUID for event in destination.served] == [uid] * count, done.stderr
    assert words in done.stdout + done.stderr, done.stderr
