"""`useridentity find`, `get` and `move` against DCMTK's archive; what is shown, and what is written where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.cli.requestor.conftest import Command
from tests.lib.archive import Archive, archive
from tests.lib.certificates import Certificates
from tests.lib.ports import free_port
from tests.pynetdicom.support import serving
from useridentity import Policy
from useridentity.tls import client_context, server_context

CT_STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
CT_INSTANCE = "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"


@pytest.fixture(scope="module")
def dcmqrscp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """With a CT and an MR image of two patients."""
    files = [Path(str(get_testdata_file(name, download=False))) for name in ("CT_small.dcm", "MR_small.dcm")]
    with archive(tmp_path_factory.mktemp("dcmqrscp") / "archive", files) as running:
        yield running


def test_matches_are_lines_of_the_columns_asked_for(command: Command, dcmqrscp: Archive) -> None:
    done = command("find", *dcmqrscp.peer, "--columns", "PatientID,StudyDate")
    assert (done.code, done.err) == (0, "")
    assert sorted(done.out.splitlines()) == ["1CT1\t20040119", "4MR1\t20040826"]


def test_a_key_narrows_the_matches(command: Command, dcmqrscp: Archive) -> None:
    done = command("find", *dcmqrscp.peer, "-k", "PatientID=1CT1", "--columns", "StudyInstanceUID")
    assert done.out == f"{CT_STUDY}\n"


def test_nothing_found_is_said_and_no_failure(command: Command, dcmqrscp: Archive) -> None:
    done = command("find", *dcmqrscp.peer, "-k", "PatientID=NOBODY")
    assert (done.code, done.out, done.err) == (0, "", "no matches\n")
    assert command("find", *dcmqrscp.peer, "-k", "PatientID=NOBODY", "--quiet").err == ""


def test_json_that_find_writes_is_an_identifier_for_get(command: Command, dcmqrscp: Archive, tmp_path: Path) -> None:
    found = command("find", *dcmqrscp.peer, "-k", f"StudyInstanceUID={CT_STUDY}", "--level", "series", "--json")
    assert found.json["Modality"] == "CT"
    (tmp_path / "series.json").write_text(found.out)
    done = command("get", *dcmqrscp.peer, "--identifier", "series.json", "--output", "series", "--json")
    assert (done.code, done.json["files"]) == (0, [f"{CT_INSTANCE}.dcm"])
    assert dcmread(tmp_path / "series" / f"{CT_INSTANCE}.dcm").PatientID == "1CT1"


@pytest.mark.parametrize("model", ["study", "patient"])
def test_either_model_finds_a_study(command: Command, dcmqrscp: Archive, model: str) -> None:
    keys = ("-k", "PatientID=1CT1", "--level", "study", "--columns", "StudyInstanceUID")
    assert command("find", *dcmqrscp.peer, *keys, "--model", model).out == f"{CT_STUDY}\n"


def test_patients_are_looked_for_in_their_model(command: Command, dcmqrscp: Archive) -> None:
    """That of studies has none (PS3.4 C.6.2.1)."""
    found = ("find", *dcmqrscp.peer, "--level", "patient", "-k", "PatientID=1CT1", "--columns", "PatientID")
    assert command(*found).out == "1CT1\n"
    assert command(*found, "--model", "study").code == 8
    assert command(*found, "--model", "worklist").code == 2


def test_patients_that_a_query_itself_names_are_too(command: Command, dcmqrscp: Archive, tmp_path: Path) -> None:
    """As a line of --json does, which can be an identifier again."""
    found = command("find", *dcmqrscp.peer, "--level", "patient", "-k", "PatientID=1CT1", "--json")
    (tmp_path / "patient.json").write_text(found.out)
    assert command("find", *dcmqrscp.peer, "--identifier", "patient.json", "--columns", "PatientID").out == "1CT1\n"


def test_a_query_that_is_refused_says_what_may_be_missing(command: Command, dcmqrscp: Archive) -> None:
    done = command("find", *dcmqrscp.peer, "--level", "series")
    assert done.code == 8
    assert "-k StudyInstanceUID=" in done.err


def test_get_writes_what_was_stored(command: Command, dcmqrscp: Archive, ct_dataset: Dataset, tmp_path: Path) -> None:
    done = command("get", *dcmqrscp.peer, "-k", "PatientID=1CT1", "-o", "new/folder")
    assert (done.code, done.err) == (0, "")
    assert "sent 1 instance to new/folder: 39 kB in" in done.out
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == [f"{CT_INSTANCE}.dcm"]
    assert dcmread(tmp_path / f"new/folder/{CT_INSTANCE}.dcm").PixelData == ct_dataset.PixelData
    assert command("get", *dcmqrscp.peer, "-k", "PatientID=1CT1", "-o", "new/folder").code == 0  # the same again


@pytest.mark.threat("R2")
def test_a_file_with_other_content_is_left_as_it_is(command: Command, dcmqrscp: Archive, tmp_path: Path) -> None:
    (tmp_path / f"{CT_INSTANCE}.dcm").write_text("precious")
    done = command("get", *dcmqrscp.peer, "-k", "PatientID=1CT1")
    assert done.code == 8
    assert "exists, with other content; it was left as it is" in done.err
    assert (tmp_path / f"{CT_INSTANCE}.dcm").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == [f"{CT_INSTANCE}.dcm"]


def test_nothing_to_get_is_said(command: Command, dcmqrscp: Archive) -> None:
    done = command("get", *dcmqrscp.peer, "-k", "PatientID=NOBODY")
    assert done.code == 0
    assert "has nothing that matches" in done.out


def test_get_of_nothing_named_is_a_wrong_command_line(command: Command) -> None:
    done = command("get", "127.0.0.1", 104)
    assert done.code == 2
    assert "`useridentity find` tells them" in done.err


def test_move_to_ourselves_receives_what_it_asked_for(command: Command, dcmqrscp: Archive, tmp_path: Path) -> None:
    here = ("--receive", dcmqrscp.workstation, "--to", "WS_1", "--output", "here")
    done = command("move", *dcmqrscp.peer, "-k", f"StudyInstanceUID={CT_STUDY}", *here, "--json")
    assert (done.code, done.json["files"]) == (0, [f"{CT_INSTANCE}.dcm"])
    assert f"receiving at 127.0.0.1:{dcmqrscp.workstation} as WS_1, from whoever connects" in done.err
    assert dcmread(tmp_path / "here" / f"{CT_INSTANCE}.dcm").PatientID == "1CT1"


@pytest.mark.parametrize("shown", ["client", "foreign_client"])
def test_receiving_can_be_mutual_tls(command: Command, certificates: Certificates, tmp_path: Path, shown: str) -> None:
    """From who shows a certificate of the same authorities, and nobody else."""
    workstation = free_port()
    pair = getattr(certificates, shown)

    def on_move(event: Any) -> Iterator[Any]:
        tls = (client_context(certificates.ca, pair.cert, pair.key), "127.0.0.1")
        yield "127.0.0.1", workstation, {"contexts": [build_context(CTImageStorage)], "tls_args": tls}
        yield 1
        yield 0xFF00, dcmread(str(get_testdata_file("CT_small.dcm", download=False)))

    contexts = [build_context(StudyRootQueryRetrieveInformationModelMove)]
    tls = server_context(*certificates.server, client_ca=certificates.ca)
    cert, key = certificates.server  # whose names are those of the address that receives
    own = ("--ca", certificates.ca, "--cert", cert, "--key", key, "--receive-tls")
    with serving(Policy.unguarded(), handlers=[(evt.EVT_C_MOVE, on_move)], contexts=contexts, tls=tls) as scp:
        peer = ("move", "127.0.0.1", scp.port, "-k", "StudyInstanceUID=1.2", *own)
        done = command(*peer, "--receive", workstation, "--output", "here")
    assert done.code == (0 if shown == "client" else 8), done.err
    assert len(list((tmp_path / "here").iterdir())) == (1 if shown == "client" else 0)


def test_receiving_over_tls_needs_a_certificate(command: Command, dcmqrscp: Archive) -> None:
    done = command("move", *dcmqrscp.peer, "-k", "PatientID=1CT1", "--receive", free_port(), "--receive-tls")
    assert done.code == 1
    assert "--receive-tls needs --ca, --cert and --key" in done.err


def test_a_policy_guards_the_receiver(command: Command, dcmqrscp: Archive, tmp_path: Path) -> None:
    """dcmqrscp sends no identity, so a policy that demands one keeps it out."""
    here = ("--receive", dcmqrscp.workstation, "--to", "WS_1")
    peer = ("move", *dcmqrscp.peer, "-k", f"StudyInstanceUID={CT_STUDY}")
    assert command(*peer, *here, "-o", "open").code == 0
    (tmp_path / "identity.toml").write_text(
        'version = 1\n\n[validator.names]\ntype = "username"\n\n[[authenticate]]\naccept = ["names"]\n'
    )
    done = command(*peer, *here, "--policy", "identity.toml", "-o", "guarded")
    assert done.code == 8
    assert "from whoever connects" not in done.err
    assert not list((tmp_path / "guarded").iterdir())


def test_a_destination_that_is_unknown_is_refused_in_words(command: Command, dcmqrscp: Archive) -> None:
    done = command("move", *dcmqrscp.peer, "-k", f"StudyInstanceUID={CT_STUDY}", "--to", "NOWHERE")
    assert done.code == 8
    assert "move destination unknown (A801H)" in done.err
    assert "must know the destination's AE title, address and port" in done.err


@pytest.mark.parametrize("title", ["", " ", "A\\B", "AN_AE_TITLE_TOO_LONG", "Röntgen"])
def test_a_destination_that_is_no_ae_title_is_a_wrong_command_line(
    command: Command, dcmqrscp: Archive, title: str
) -> None:
    """Of `"$UNSET"` a shell makes an empty one, which is not to stand for ourselves."""
    move = ("move", *dcmqrscp.peer, "-k", "PatientID=NOBODY", "--to")
    assert command(*move, "WS_1").code == 0
    done = command(*move, title)
    assert done.code == 2
    assert "for --to: " in done.err


def test_a_move_without_destination_is_a_wrong_command_line(command: Command, dcmqrscp: Archive) -> None:
    done = command("move", *dcmqrscp.peer, "-k", f"StudyInstanceUID={CT_STUDY}")
    assert done.code == 2
    assert "--receive PORT" in done.err


@pytest.mark.parametrize("option", [("--policy", "identity.toml"), ("--receive-tls",), ("--output", "here")])
def test_options_for_receiving_are_wrong_where_nothing_is_received(
    command: Command, dcmqrscp: Archive, option: tuple[str, ...], tmp_path: Path
) -> None:
    peer = ("move", *dcmqrscp.peer, "-k", "PatientID=NOBODY", "--to", "WS_1")
    assert command(*peer).code == 0
    assert command(*peer, "--receive", dcmqrscp.workstation, "--output", "there").code == 0
    done = command(*peer, *option)
    assert done.code == 2
    assert f"{option[0]}: is for receiving here: give --receive PORT too" in done.err
    assert not (tmp_path / "here").exists()


def test_a_host_without_address_is_unreachable_for_who_receives_too(command: Command) -> None:
    done = command("move", "no.such.host.invalid", 104, "-k", "PatientID=1", "--receive", free_port(), "-o", "here")
    assert done.code == 4
    assert "check the name of the host" in done.err


def test_a_port_that_is_taken_is_said(command: Command, dcmqrscp: Archive) -> None:
    done = command("move", *dcmqrscp.peer, "-k", "PatientID=1CT1", "--receive", dcmqrscp.port, "--to", "WS_1")
    assert done.code == 1
    assert "cannot receive at" in done.err


def test_what_came_before_a_retrieval_failed_is_told(command: Command, tmp_path: Path) -> None:
    def on_get(event: Any) -> Iterator[Any]:
        yield 2
        yield 0xFF00, dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
        event.assoc.abort()

    contexts = [build_context(StudyRootQueryRetrieveInformationModelGet), build_context(CTImageStorage)]
    contexts[1].scu_role, contexts[1].scp_role = False, True
    with serving(Policy.unguarded(), handlers=[(evt.EVT_C_GET, on_get)], contexts=contexts) as scp:
        done = command("get", "127.0.0.1", scp.port, "-k", "StudyInstanceUID=1.2", "--sop-class", "CTImageStorage")
    assert done.code == 7
    assert "1 file kept in ." in done.err
    assert (tmp_path / f"{CT_INSTANCE}.dcm").exists()


def test_standard_input_is_for_one_thing(command: Command) -> None:
    done = command("find", "127.0.0.1", 104, "--identifier", "-", "--passcode-file", "-")
    assert done.code == 2
    assert "standard input cannot be this and --identifier too" in done.err


def hostile_archive(*uids: str, ends: int = 0x0000) -> Any:
    """An acceptor of C-GET that sends CT images by these SOP Instance UIDs, and then this status."""

    def on_get(event: Any) -> Iterator[Any]:
        yield len(uids) + bool(ends)
        for uid in uids:
            dataset = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
            dataset.SOPInstanceUID = uid
            yield 0xFF00, dataset
        if ends:
            yield ends, Dataset()

    contexts = [build_context(StudyRootQueryRetrieveInformationModelGet), build_context(CTImageStorage)]
    contexts[1].scu_role, contexts[1].scp_role = False, True
    return serving(Policy.unguarded(), handlers=[(evt.EVT_C_GET, on_get)], contexts=contexts)


def test_a_number_failing_of_several_is_partial(command: Command, tmp_path: Path) -> None:
    """Files that are there already, with other content, are the ones that fail."""
    (tmp_path / "1.2.4.dcm").write_text("precious")
    with hostile_archive("1.2.3", "1.2.4") as scp:
        peer = ("get", "127.0.0.1", scp.port, "-k", "StudyInstanceUID=1.2", "--sop-class", "CTImageStorage")
        done = command(*peer)
    assert done.code == 9
    assert "error: 1 of 2 instances did not come" in done.err
    assert done.err.count("1.2.4") == 1
    assert (tmp_path / "1.2.4.dcm").read_text() == "precious"
    assert (tmp_path / "1.2.3.dcm").exists()


@pytest.mark.parametrize(("status", "code"), [(0x0000, 0), (0xFE00, 9), (0xA702, 9)])
def test_a_retrieval_that_ends_early_is_partial(command: Command, status: int, code: int) -> None:
    """Though nothing of it has failed, and nobody has cancelled it."""
    with hostile_archive("1.2.3", ends=status) as scp:
        peer = ("get", "127.0.0.1", scp.port, "-k", "StudyInstanceUID=1.2", "--sop-class", "CTImageStorage")
        done = command(*peer)
    assert done.code == code, done
    assert (f"({status:04X}H)" in done.err) is (code != 0)


def test_instances_that_went_elsewhere_did_not_come(command: Command, ct_dataset: Dataset) -> None:
    """To another machine, which the acceptor believes to be this one."""
    workstation = free_port()

    def on_move(event: Any) -> Iterator[Any]:
        yield "127.0.0.1", ports.pop(), {"contexts": [build_context(CTImageStorage)]}
        yield 1
        yield 0xFF00, ct_dataset

    contexts = [build_context(StudyRootQueryRetrieveInformationModelMove)]
    with (
        serving(Policy.unguarded(), handlers=[(evt.EVT_C_MOVE, on_move)], contexts=contexts) as scp,
        serving(Policy.unguarded()) as elsewhere,
    ):
        ports = [elsewhere.port, workstation]
        peer = ("move", "127.0.0.1", scp.port, "-k", "StudyInstanceUID=1.2", "--receive", workstation)
        assert command(*peer).code == 0
        done = command(*peer, "--json")
        assert len(elsewhere.served) == 1
    assert (done.code, done.json["completed"], done.json["files"]) == (8, 1, [])
    assert "error: 1 of 1 instances did not come" in done.err


def finder(*answers: Any) -> Any:
    """An acceptor of C-FIND that gives these answers."""

    def on_find(event: Any) -> Iterator[Any]:
        finder_saw.append(event.identifier)
        yield from answers

    contexts = [build_context(StudyRootQueryRetrieveInformationModelFind)]
    return serving(Policy.unguarded(), handlers=[(evt.EVT_C_FIND, on_find)], contexts=contexts)


finder_saw: list[Dataset] = []


@pytest.mark.threat("R3")
def test_what_a_peer_answers_cannot_move_the_cursor_or_make_lines(command: Command) -> None:
    evil = Dataset()
    evil.PatientID = "1\x1b[2J"
    evil.StudyDescription = "one\ttwo\nthree"
    with finder((0xFF00, evil)) as scp:
        done = command("find", "127.0.0.1", scp.port, "--columns", "PatientID,StudyDescription")
        assert done.out == "1\\x1b[2J\tone\\ttwo\\nthree\n"
        asjson = command("find", "127.0.0.1", scp.port, "--json")
        assert json.loads(asjson.out)["PatientID"] == "1\x1b[2J"
        assert "\x1b" not in asjson.out


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("PatientID=1\\2",), {"PatientID": ["1", "2"]}),
        (("PatientName=Müller^Zoë",), {"PatientName": "Müller^Zoë", "SpecificCharacterSet": "ISO_IR 192"}),
        (("00100020=7",), {"PatientID": "7"}),
        (("(0010,0020)=7",), {"PatientID": "7"}),
        (("Rows=512", "AcquisitionDuration=1.5", "RecommendedDisplayFrameRateInFloat=-2"), {"Rows": 512, "AcquisitionDuration": 1.5, "RecommendedDisplayFrameRateInFloat": -2.0}),  # noqa: E501
        (("SpecificCharacterSet=ISO_IR 100", "PatientName=Müller"), {"PatientName": "Müller", "SpecificCharacterSet": "ISO_IR 100"}),  # noqa: E501
        (("RequestAttributesSequence.ScheduledProcedureStepID=S",), {"RequestAttributesSequence": [{"ScheduledProcedureStepID": "S"}]}),  # noqa: E501
    ],
)  # fmt: skip
def test_keys_reach_the_peer(command: Command, keys: tuple[str, ...], expected: Any) -> None:
    from useridentity.cli.requestor.identifier import plain

    finder_saw.clear()
    with finder() as scp:
        options = [word for key in keys for word in ("-k", key)]
        assert command("find", "127.0.0.1", scp.port, *options).code == 0
    asked = plain(finder_saw[0])
    assert {name: asked[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"PatientID": "7"}', 0),
        ('{"00100020": {"vr": "LO", "Value": ["7"]}}', 0),
        ('{"PatientName": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}, "PatientID": "7"}', 0),
        ('{"PatientID": "7", "AcquisitionDuration": {"vr": "FD", "Value": [1.5]}}', 0),
        ('{"PatientID": "7", "AcquisitionDuration": [1.5, 2]}', 0),
        ('{"PatientID": "7", "AcquisitionDuration": "many"}', 1),
        ('{"PatientID": "7", "Rows": 1.5}', 1),
        ('{"PatientID": {"vr": "LO", "value": ["7"]}}', 1),
        ('{"PatientID": {"vr": "LO", "BulkDataURI": "https://pacs.example.org/7"}}', 1),
        ('{"PatientsID": "7"}', 1),
        ('["PatientID"]', 1),
        ('{"PatientID": true}', 1),
        ('{"RequestAttributesSequence": "x"}', 1),
        ("{", 1),
        ("[" * 100_000, 1),
    ],
)
def test_json_identifiers_are_either_form_and_strict(command: Command, tmp_path: Path, content: str, code: int) -> None:
    (tmp_path / "query.json").write_text(content)
    finder_saw.clear()
    with finder() as scp:
        done = command("find", "127.0.0.1", scp.port, "--identifier", "query.json")
    assert done.code == code, done.err
    if code:
        assert "query.json" in done.err
        assert finder_saw == []
    else:
        assert finder_saw[0].PatientID == "7"


@pytest.mark.parametrize(("name", "code"), [("Müller", 0), ("山田", 2)])
def test_a_name_that_its_character_set_has_not_is_not_asked_for(command: Command, name: str, code: int) -> None:
    """The question marks that pydicom would write in its place match any name of that length."""
    with finder() as scp:
        keys = ("-k", "SpecificCharacterSet=ISO_IR 100", "-k", f"PatientName={name}")
        done = command("find", "127.0.0.1", scp.port, *keys)
    assert done.code == code
    assert ("PatientName cannot be asked for with this value" in done.err) == (code != 0)


@pytest.mark.parametrize(
    "key", ["PatientsID=7", "PatientID.Modality=CT", "=7", "Rows=many", "PatientID[0=1", "RequestAttributesSequence=CT"]
)
def test_a_key_that_is_none_is_a_wrong_command_line(command: Command, key: str) -> None:
    assert command("find", "127.0.0.1", 104, "-k", key).code == 2
