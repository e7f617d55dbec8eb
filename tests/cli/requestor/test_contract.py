"""Every private name of pynetdicom that the commands lean on, beside those of the adapter."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ

from useridentity.cli import requestor

ROOM = Path(requestor.__file__).parent

NAMES = {"_reactor_checkpoint", "_is_paused", "_check_received_status"}
"""What `sending` does as `Association.send_c_store` does it."""


def test_no_other_private_name_of_another_object_is_used() -> None:
    used = {
        node.attr
        for path in ROOM.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        if not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }
    assert used == NAMES


def test_pynetdicom_still_uses_them_as_we_do() -> None:
    source = inspect.getsource(Association.send_c_store)
    assert all(name in source for name in NAMES)
    assert "self.dimse.get_msg(block=True)" in source
    assert list(inspect.signature(C_STORE_RQ.encode_msg).parameters) == ["self", "context_id", "max_pdu_length"]
    assoc = Association(AE(), "requestor")
    assert assoc.dul.to_provider_queue.qsize() == 0
    assert assoc.dimse.maximum_pdu_size >= 0
