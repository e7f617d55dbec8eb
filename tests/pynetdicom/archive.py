"""A small archive that is audited: it stores, finds, moves and gets, and a workstation that receives."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.lib.rawpeer import HANG
from tests.pynetdicom.support import until
from useridentity import Policy
from useridentity.audit.journal import Journal
from useridentity.audit.record import Kind, Record
from useridentity.audit.trail import OnFailure, Trail
from useridentity.pynetdicom import AE, GuardedServer

FIND = StudyRootQueryRetrieveInformationModelFind
MOVE = StudyRootQueryRetrieveInformationModelMove
GET = StudyRootQueryRetrieveInformationModelGet
SERVED = (Verification, CTImageStorage, FIND, MOVE, GET, PatientRootQueryRetrieveInformationModelGet)


def trail_in(folder: Path, on_failure: OnFailure = "reject") -> Trail:
    return Trail(Journal(folder / "audit.db", folder / "audit.key"), on_failure)


def image(study: str, number: int, patient: str = "P1", name: str = "Doe^Jane") -> Dataset:
    """One CT image of a study."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, f"{study}.{number}"
    made.AccessionNumber = f"A{study[-1]}"
    made.PatientName, made.PatientID = name, patient
    made.StudyInstanceUID, made.SeriesInstanceUID = study, f"{study}.1"
    made.ImageComments = "x" * 1000
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def query(level: str = "STUDY", **keys: str) -> Dataset:
    made = Dataset()
    made.QueryRetrieveLevel = level
    for word, value in keys.items():
        setattr(made, word, value)
    return made


@dataclass
class Archive:
    """A running archive and its workstation."""

    server: GuardedServer
    trail: Trail | None
    kept: dict[str, Dataset] = field(default_factory=dict)
    workstation: int = 0

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def records(self, *kinds: Kind) -> list[Record]:
        """What the journal has, of these kinds or all, once nothing is waiting to be written."""
        assert self.trail is not None
        journal = self.trail.journal
        journal.advance("whoever looks", 0)  # which is written after all that came before
        found = [each for _, each in journal.read(0, 100_000)]
        return [each for each in found if not kinds or each.kind in kinds]

    def settled(self, *kinds: Kind) -> list[Record]:
        """As `records`, once every association has ended."""
        until(lambda: not self.server.ae.active_associations)
        until(lambda: self.trail is None or self.trail._holders <= 1)
        return self.records(*kinds)

    def on_store(self, event: evt.Event) -> int:
        made = event.dataset
        made.file_meta = event.file_meta
        self.kept[made.SOPInstanceUID] = made
        return 0xC000 if made.PatientID == "UNWANTED" else 0

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for study in {each.StudyInstanceUID for each in self.matching(event.identifier)}:
            yield 0xFF00, query(StudyInstanceUID=study)

    def on_get(self, event: evt.Event) -> Iterator[Any]:
        found = self.matching(event.identifier)
        yield len(found)
        for each in found:
            yield 0xFF00, each

    def on_move(self, event: evt.Event) -> Iterator[Any]:
        yield "127.0.0.1", self.workstation
        yield from self.on_get(event)

    def matching(self, identifier: Dataset) -> list[Dataset]:
        wanted = [w for w in ("PatientID", "StudyInstanceUID") if identifier.get(w)]
        return [each for each in self.kept.values() if all(each[w].value == identifier[w].value for w in wanted)]


@contextmanager
def archive(policy: Policy, *more: str, ssl_context: ssl.SSLContext | None = None) -> Iterator[Archive]:
    """An archive with this policy, and a workstation WS_1 that takes what it is sent, until the block ends.

    `more` are abstract syntaxes beside those of an archive, in both roles.
    """
    station, ae = AE("WS_1"), AE("ARCHIVE")
    station.add_supported_context(CTImageStorage)
    taking = station.make_server(
        ("127.0.0.1", 0), policy=Policy.unguarded(), evt_handlers=[(evt.EVT_C_STORE, lambda _: 0)]
    )
    ae.requested_contexts = [build_context(CTImageStorage)]
    contexts = [build_context(each, ALL_TRANSFER_SYNTAXES) for each in (*SERVED, *more)]
    for context in contexts:
        if context.abstract_syntax in (CTImageStorage, *more):
            context.scu_role = context.scp_role = True
    server = ae.make_server(("127.0.0.1", 0), contexts=contexts, policy=policy, ssl_context=ssl_context)
    running = Archive(server, policy.audit, workstation=int(taking.server_address[1]))
    for event, handler in (
        (evt.EVT_C_STORE, running.on_store), (evt.EVT_C_FIND, running.on_find),
        (evt.EVT_C_GET, running.on_get), (evt.EVT_C_MOVE, running.on_move), (evt.EVT_C_ECHO, lambda _: 0),
    ):  # fmt: skip
        server.bind(event, handler)

    # What `start_server` does, polling faster for the end: half a second per test otherwise.
    threads = [threading.Thread(target=each.serve_forever, args=(0.01,), name="archive") for each in (server, taking)]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        for each in (server, taking):
            each.shutdown()
            each.server_close()
        for thread in threads:
            thread.join(HANG)
        for assoc in [*ae.active_associations, *station.active_associations]:
            assoc.abort()
        until(lambda: not ae.active_associations)


@contextmanager
def associated(port: int, identity: Any, ae_title: str = "WS_1", **options: Any) -> Iterator[Association]:
    """An association of a workstation, established or not; released at the end where it still is."""
    ae = AE(ae_title)
    for each in SERVED:
        ae.add_requested_context(each)
    roles = [build_role(CTImageStorage, scu_role=True, scp_role=True)]
    handlers: list[evt.EventHandlerType] = [(evt.EVT_C_STORE, lambda _: 0)]
    assoc = ae.associate(
        "127.0.0.1", port, ae_title="ARCHIVE", identity=identity, ext_neg=roles, evt_handlers=handlers, **options
    )
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()
