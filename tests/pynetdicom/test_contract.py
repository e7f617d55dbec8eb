"""Every private name of pynetdicom that the adapter leans on: when one of them changes, this fails first."""

from __future__ import annotations

import ast
import inspect
import queue
import threading
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import pynetdicom
import pytest
from packaging.requirements import Requirement
from pynetdicom import _config, _globals, _handlers, evt
from pynetdicom.acse import ACSE
from pynetdicom.association import Association, ServiceUser
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dul import DULServiceProvider
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.timer import Timer
from pynetdicom.transport import AddressInformation, AssociationServer, AssociationSocket, ThreadedAssociationServer

ADAPTER = Path(__file__).parents[2] / "useridentity" / "pynetdicom"

# (class, name): what the adapter does with it, and its parameters.
METHODS: dict[tuple[type, str], list[str]] = {
    # Called where pynetdicom's own negotiation calls them.
    (ACSE, "_check_async_ops"): ["self"],
    (ACSE, "_check_sop_class_common_extended"): ["self"],
    (ACSE, "_check_sop_class_extended"): ["self"],
    (pynetdicom.AE, "_validate_requested_contexts"): ["contexts"],
    # Overridden.
    (Association, "_bind_defaults"): ["self"],
    (Association, "_run_reactor"): ["self"],
    (Association, "_serve_request"): ["self", "msg", "context_id"],
    (AssociationSocket, "_shutdown_socket"): ["self"],
    (DULServiceProvider, "_decode_pdu"): ["self", "bytestream"],
    (DULServiceProvider, "_is_transport_event"): ["self"],
    (DULServiceProvider, "_process_recv_primitive"): ["self"],
    # Public, but overridden whole or called with what their callers in pynetdicom give.
    (ACSE, "negotiate_association"): ["self"],
    (ACSE, "send_accept"): ["self"],
    (ACSE, "send_reject"): ["self", "result", "source", "diagnostic"],
    (Association, "kill"): ["self"],
    (Association, "request"): ["self"],
    (Association, "run_reactor"): ["self"],
    (AssociationServer, "get_request"): ["self"],
    (AssociationSocket, "connect"): ["self", "primitive"],
    (AssociationSocket, "recv"): ["self", "nr_bytes"],
    (AssociationSocket, "send"): ["self", "bytestream"],
    (DIMSEServiceProvider, "receive_primitive"): ["self", "primitive"],
    (DIMSEMessage, "decode_msg"): ["self", "primitive", "assoc"],
    (DIMSEMessage, "message_to_primitive"): ["self"],
    (DULServiceProvider, "kill_dul"): ["self"],
    (DULServiceProvider, "run_reactor"): ["self"],
}

# (class, name): its type in a new object.
ATTRIBUTES: dict[tuple[type, str], type | tuple[type, ...]] = {
    (pynetdicom.AE, "_servers"): list,
    (Association, "_accepted_cx"): dict,
    (Association, "_dul_ready"): threading.Event,
    (Association, "_handlers"): dict,
    (Association, "_is_paused"): bool,
    (Association, "_kill"): bool,
    (Association, "_reactor_checkpoint"): threading.Event,
    (Association, "_rejected_cx"): list,
    (Association, "_sent_abort"): bool,
    (Association, "_server"): type(None),
    (Association, "_started_dul"): bool,
    (AssociationServer, "_handlers"): dict,
    (AssociationSocket, "_is_connected"): bool,
    (AssociationSocket, "_ready"): threading.Event,
    (DULServiceProvider, "_idle_timer"): Timer,
    (DULServiceProvider, "_kill_thread"): bool,
    (DULServiceProvider, "_recv_pdu"): queue.Queue,
    (DULServiceProvider, "_run_loop_delay"): float,
    (PresentationContext, "_as_scp"): type(None),
    (PresentationContext, "_as_scu"): type(None),
    (ServiceUser, "_common_ext"): dict,
    (Timer, "_start_time"): type(None),
    (Timer, "_end_time"): type(None),
    # Public, but replaced.
    (Association, "acse"): ACSE,
    (Association, "dul"): DULServiceProvider,
    (Association, "dimse"): DIMSEServiceProvider,
    (DIMSEServiceProvider, "cancel_req"): dict,
    (DIMSEServiceProvider, "message"): type(None),
    (DIMSEServiceProvider, "msg_queue"): queue.Queue,
    (DULServiceProvider, "artim_timer"): Timer,
    (DULServiceProvider, "event_queue"): queue.Queue,
    (DULServiceProvider, "to_provider_queue"): queue.Queue,
    (DULServiceProvider, "to_user_queue"): queue.Queue,
}

IMPORTED = {"_config", "_globals", "_handlers"}
"""Private modules."""

COINCIDENCE = {"_lock": "of the lobby, which is no class of pynetdicom's"}


@pytest.fixture
def fresh() -> Iterator[dict[type, Any]]:
    """A new object of each class of pynetdicom's that the adapter derives from or reaches into."""
    ae = pynetdicom.AE()
    association = Association(ae, "requestor")
    sock = AssociationSocket(association, address=AddressInformation("127.0.0.1", 0))
    server = ThreadedAssociationServer(ae, ("127.0.0.1", 0), "AE", [build_context("1.2.840.10008.1.1")])
    objects = [
        ae, association, association.acse, association.dul, association.dimse, association.acceptor, sock, Timer(1),
        association.dul.state_machine, build_context("1.2.840.10008.1.1"),
    ]  # fmt: skip
    yield {type(each): each for each in objects} | {AssociationServer: server}
    assert sock.socket
    sock.socket.close()
    server.server_close()


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=lambda part: getattr(part, "__name__", part))
def test_a_method_takes_what_it_took(owner: type, name: str) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == METHODS[owner, name]


@pytest.mark.parametrize(("owner", "name"), ATTRIBUTES, ids=lambda part: getattr(part, "__name__", part))
def test_an_attribute_is_what_it_was(fresh: dict[type, Any], owner: type, name: str) -> None:
    assert isinstance(getattr(fresh[owner], name), ATTRIBUTES[owner, name])


def test_every_private_name_is_listed_and_every_listed_one_is_used(fresh: dict[type, Any]) -> None:
    theirs = {name for each in fresh.values() for name in dir(each) if is_private(name)}
    used = {name for name in names_in_the_adapter() if is_private(name)} & theirs
    listed = {name for _, name in (*METHODS, *ATTRIBUTES) if is_private(name)}
    assert used - COINCIDENCE.keys() == listed


def test_every_private_module_is_listed() -> None:
    imported = set()
    for tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pynetdicom":
                path = [*(node.module or "").split(".")[1:], *(alias.name for alias in node.names)]
                imported |= {name for name in path if is_private(name)}
    assert imported == IMPORTED


def test_private_modules_have_what_is_imported_from_them() -> None:
    assert _globals.MODE_ACCEPTOR == "acceptor"
    assert _globals.MODE_REQUESTOR == "requestor"
    assert isinstance(_globals.DEFAULT_MAX_LENGTH, int)
    assert isinstance(_config.UNRESTRICTED_STORAGE_SERVICE, bool)
    assert callable(_handlers.standard_pdu_recv_handler)
    assert callable(_handlers.standard_pdu_sent_handler)


def test_handlers_are_kept_as_they_were() -> None:
    """`bound_now` copies them: pairs in a list for a notification, one pair for an intervention."""
    association = Association(pynetdicom.AE(), "acceptor")
    association.bind(evt.EVT_ACCEPTED, print)
    assert association._handlers[evt.EVT_ACCEPTED] == [(print, None)]
    assert association._handlers[evt.EVT_C_ECHO] == (evt.get_default_handler(evt.EVT_C_ECHO), None)


def test_a_presentation_context_holds_lists_and_immutable_values_only() -> None:
    """`copied` copies lists and shares the rest."""
    context = build_context("1.2.840.10008.1.1")
    assert isinstance(context, PresentationContext)
    for value in vars(context).values():
        assert value is None or isinstance(value, list | str | int | bool)


def test_negotiation_asks_for_what_the_adapter_negotiates() -> None:
    """The steps of pynetdicom's own negotiation, of which the adapter repeats all but the identity's."""
    source = inspect.getsource(ACSE._negotiate_as_acceptor)
    steps = [
        "require_calling_aet", "require_called_aet", "_check_user_identity", "_check_sop_class_extended",
        "_check_sop_class_common_extended", "_check_async_ops", "maximum_associations", "negotiate_unrestricted",
        "negotiate_as_acceptor", "_accepted_cx", "_rejected_cx", "send_accept", "EVT_ACCEPTED", "EVT_ESTABLISHED",
    ]  # fmt: skip
    assert [step for step in steps if step not in source] == []


def test_the_release_that_is_installed_is_one_that_is_pinned() -> None:
    pins = [Requirement(line) for line in requires("useridentity") or [] if Requirement(line).name == "pynetdicom"]
    assert [pin.specifier.contains(version("pynetdicom")) for pin in pins] == [True]
    assert not pins[0].specifier.contains("4.0")


def sources() -> Iterator[ast.Module]:
    for path in ADAPTER.glob("*.py"):
        yield ast.parse(path.read_text())


def names_in_the_adapter() -> Iterator[str]:
    """Attributes reached, and functions defined, which may override one."""
    for tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                yield node.attr
            elif isinstance(node, ast.FunctionDef):
                yield node.name


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
