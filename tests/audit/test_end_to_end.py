"""An association on a real server, told by a real syslog receiver and a real FHIR server."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lxml import etree
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from tests.audit import schemas
from tests.lib.certificates import Certificates
from tests.lib.repository import repository
from tests.lib.rsyslog import rsyslog
from useridentity import UsernamePasscode
from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.pynetdicom import AE
from useridentity.tls import client_context, server_context

POLICY = """\
version = 1
[validator.staff]
type = "passcode"
store = "file:passcodes.toml"
[[authenticate]]
accept = ["staff"]
[audit]
journal = "audit.db"
forward = [
  {{ url = "{syslog}", ca = "{ca}", cert = "{cert}", key = "{key}" }},
  {{ url = "{fhir}", mode = "batch", ca = "{ca}" }},
]
"""


def test_what_a_user_did_arrives_under_the_users_name(
    tmp_path: Path, certificates: Certificates, ct_dataset: Dataset
) -> None:
    set_passcode(tmp_path / "passcodes.toml", "alice", b"correct horse")
    client = certificates.client
    with rsyslog(tmp_path / "rsyslog", certificates) as syslog, repository(tmp_path / "fhir", certificates) as fhir:
        places = {"syslog": syslog.tls_url, "fhir": fhir.url, "ca": certificates.ca}
        text = POLICY.format(**places, cert=client.cert, key=client.key)
        (tmp_path / "identity.toml").write_text(text)
        _store(tmp_path / "identity.toml", certificates, ct_dataset)
        messages = [etree.fromstring(each[each.index("<AuditMessage") :]) for each in syslog.received]
    for schema in schemas.schemas():
        assert all(schema.validate(message) for message in messages), schema.error_log
    assert Counter(_sort(message) for message in messages) >= Counter(
        {
            ("110100", "110120"): 1,
            ("110114", "110122"): 2,  # wrong, then right
            ("110113", "110145"): 1,
            ("110102", ""): 1,
            ("110104", ""): 1,
            ("110114", "110123"): 1,
            ("110100", "110121"): 1,
        }
    )
    (transferred,) = [message for message in messages if _sort(message)[0] == "110104"]
    assert transferred.xpath("string(//ActiveParticipant[@UserIsRequestor='true']/@UserID)") == "alice@staff"
    assert transferred.xpath("string(//*[@ParticipantObjectTypeCode='1']/@ParticipantObjectID)") == ct_dataset.PatientID
    refused, accepted = [message for message in messages if _sort(message) == ("110114", "110122")]
    assert refused.xpath("string(//@EventOutcomeIndicator)") == "4"
    assert accepted.xpath("string(//@EventOutcomeIndicator)") == "0"
    assert len(set(fhir.received)) == len({_event(message) for message in messages})
    for text in (*syslog.received, (tmp_path / "fhir" / "received").read_text()):
        assert "correct horse" not in text


def _store(policy: Path, certificates: Certificates, dataset: Dataset) -> None:
    """A wrong passcode, then the right one and a C-STORE; the server ends after it."""
    acceptor = AE("ARCHIVE")
    acceptor.add_supported_context(CTImageStorage)
    tls = server_context(certificates.server.cert, certificates.server.key)
    handlers: list[evt.EventHandlerType] = [(evt.EVT_C_STORE, lambda event: 0x0000)]
    running = acceptor.start_server(("127.0.0.1", 0), False, tls, evt_handlers=handlers, policy=policy)
    requestor = AE("WS_1")
    requestor.add_requested_context(CTImageStorage)
    where = ("127.0.0.1", running.server_address[1])
    context = (client_context(certificates.ca), "127.0.0.1")
    for passcode in (b"wrong", b"correct horse"):
        identity = UsernamePasscode("alice", passcode)
        association = requestor.associate(*where, ae_title="ARCHIVE", tls_args=context, identity=identity)
        if association.is_established:
            assert association.send_c_store(dataset).Status == 0x0000
            association.release()
    assert association.is_released
    running.shutdown()


def _sort(message: etree._Element) -> tuple[str, str]:
    return message.xpath("string(//EventID/@csd-code)"), message.xpath("string(//EventTypeCode/@csd-code)")


def _event(message: etree._Element) -> str:
    return str(message.xpath("string(//EventOutcomeDescription)")).rpartition("; event ")[2][:36]
