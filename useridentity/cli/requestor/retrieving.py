"""C-GET and C-MOVE: sub-operations counted while they go on, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import typer
from pydicom import Dataset
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import (
    HEVCMP51,
    HTJ2K,
    JPEG2000,
    MPEG2MPML,
    MPEG4HP41,
    UID,
    BreastTomosynthesisImageStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    MRImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    NuclearMedicineImageStorage,
    OphthalmicPhotography8BitImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    VideoEndoscopicImageStorage,
    VLEndoscopicImageStorage,
    VLPhotographicImageStorage,
    VLWholeSlideMicroscopyImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)
from pynetdicom import StoragePresentationContexts, build_context, build_role, evt
from pynetdicom.presentation import PresentationContext

from useridentity.cli.requestor.files import is_uid
from useridentity.cli.requestor.identifier import cell
from useridentity.cli.requestor.interrupt import Stop
from useridentity.cli.requestor.keeping import Folder
from useridentity.cli.requestor.models import GET, MOVE, Model
from useridentity.cli.requestor.outcome import Status
from useridentity.cli.requestor.output import Meter
from useridentity.cli.requestor.peer import Target
from useridentity.cli.requestor.session import association, cancelling, status_of

if TYPE_CHECKING:
    from pynetdicom.association import Association

MAX_STORAGE = 127
"""Contexts to store on in a C-GET: 128 of an association, less the one to ask on."""

COMPRESSED: list[str | UID] = [
    JPEGBaseline8Bit, JPEGLosslessSV1, JPEG2000Lossless, JPEG2000, JPEGLSLossless, RLELossless, JPEGExtended12Bit,
    JPEGLSNearLossless, HTJ2KLossless, HTJ2K, MPEG4HP41, MPEG2MPML, HEVCMP51, JPEGLossless,
]  # fmt: skip
"""Transfer syntaxes of images that are kept compressed, the usual ones first."""

OFTEN_COMPRESSED = [
    ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForPresentation, BreastTomosynthesisImageStorage, CTImageStorage,
    EnhancedCTImageStorage, MRImageStorage, EnhancedMRImageStorage, UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage, XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage,
    SecondaryCaptureImageStorage, MultiFrameTrueColorSecondaryCaptureImageStorage, VLEndoscopicImageStorage,
    VideoEndoscopicImageStorage, VLPhotographicImageStorage, VLWholeSlideMicroscopyImageStorage,
    OphthalmicPhotography8BitImageStorage, NuclearMedicineImageStorage,
]  # fmt: skip
"""SOP classes that are proposed compressed too where none are named, in the contexts that are left."""


@dataclass(slots=True)
class Counts:
    """Sub-operations (PS3.7 9.1.3.1.6): what the peer says of them."""

    completed: int = 0
    failed: int = 0
    warning: int = 0
    remaining: int = 0
    status: Status = field(default_factory=lambda: Status(0))
    failed_instances: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether the peer says that it has done what it could."""
        return self.status.is_success or self.status.is_warning

    @property
    def done(self) -> int:
        return self.completed + self.warning

    @property
    def total(self) -> int:
        return self.done + self.failed + self.remaining

    def note(self, response: Dataset, identifier: Dataset | None) -> None:
        """Take over what a response says; a final one may leave the numbers out."""
        self.completed = _number(response, "Completed", self.completed)
        self.failed = _number(response, "Failed", self.failed)
        self.warning = _number(response, "Warning", self.warning)
        self.remaining = _number(response, "Remaining", 0)
        if identifier is not None:
            listed = cell(identifier, "FailedSOPInstanceUIDList")
            self.failed_instances = listed.split("\\") if listed else []


def _number(response: Dataset, which: str, otherwise: int) -> int:
    value = response.get(f"NumberOf{which}Suboperations")
    return value if isinstance(value, int) else otherwise  # a peer may send none, or several


def get(
    target: Target, query: Dataset, model: Model, classes: Sequence[UID], folder: Folder, stop: Stop, meter: Meter
) -> Counts:
    """Retrieve on the same association, of these SOP classes; raises `Failure` where it is refused or ends."""
    uid = GET[model]
    usual = [] if classes else usual_classes()
    contexts = [build_context(uid), *(_usual_contexts(usual) if usual else _exact_contexts(classes))]
    roles = [build_role(each, scp_role=True) for each in classes or usual]
    handlers: list[Any] = [(evt.EVT_C_STORE, folder.keep)]
    with association(target, contexts, stop, roles=roles, handlers=handlers, needed=uid) as assoc:
        return _followed(assoc.send_c_get(query, uid), assoc, uid, stop, meter)


def move(target: Target, query: Dataset, model: Model, destination: str, stop: Stop, meter: Meter) -> Counts:
    """Have the peer store at `destination`; raises `Failure` where it refuses or the association ends."""
    uid = MOVE[model]
    with association(target, [build_context(uid)], stop) as assoc:
        responses = assoc.send_c_move(query, destination, uid)
        return _followed(responses, assoc, uid, stop, meter)


def storage_classes(names: Iterable[str]) -> list[UID]:
    """The SOP classes of these names or UIDs; none where none is named.

    Raises `typer.BadParameter` for what is none, and for more than one association can carry.
    """
    classes = list(map(_sop_class, names))
    if len(classes) > MAX_STORAGE:
        raise typer.BadParameter(f"{len(classes)} are more than the {MAX_STORAGE} possible", param_hint="--sop-class")
    return classes


def usual_classes() -> list[UID]:
    """Pynetdicom's usual storage SOP classes, less those that are retired."""
    uids = (UID(str(each.abstract_syntax)) for each in StoragePresentationContexts)
    return [uid for uid in uids if not uid.is_retired]


def _usual_contexts(classes: Sequence[UID]) -> list[PresentationContext]:
    """Each class uncompressed, and in what is left the usual ones compressed as the acceptor chooses."""
    compressed = [build_context(uid, COMPRESSED) for uid in OFTEN_COMPRESSED]
    return [*map(build_context, classes), *compressed][:MAX_STORAGE]


def _exact_contexts(classes: Sequence[UID]) -> list[PresentationContext]:
    """Each class uncompressed, and in each compressed transfer syntax as far as there are contexts: only so can an
    acceptor that does not convert send every instance as it is."""
    exact = (build_context(uid, syntax) for syntax in COMPRESSED for uid in classes)
    return [*map(build_context, classes), *exact][:MAX_STORAGE]


def _sop_class(name: str) -> UID:
    uid = next((uid for uid, entry in UID_dictionary.items() if entry[4] == name), name)
    if not is_uid(uid):
        known = [entry[4] for entry in UID_dictionary.values() if entry[1] == "SOP Class"]
        close = get_close_matches(name, known, 1)
        hint = f'; did you mean "{close[0]}"?' if close else ""
        raise typer.BadParameter(f"{name!r} is no SOP class{hint}", param_hint="--sop-class")
    return UID(uid)


def _followed(
    responses: Iterator[tuple[Dataset, Dataset | None]],
    assoc: Association,
    model: str,
    stop: Stop,
    meter: Meter,
) -> Counts:
    counts = Counts()
    over = cancelling(stop, assoc, model)
    for response, identifier in responses:
        counts.status = status_of(response, assoc)
        counts.note(response, identifier)
        meter.counted(counts.done, counts.total)
    over()
    stop.check()
    return counts
