"""`useridentity policy explain`: which rules decide about an association as one supposes it, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from tests.cli.policies import ASK, POLICY, RESEARCHER, Main, joined, main
from useridentity import plugins
from useridentity.mechanisms.username import UsernameValidator
from useridentity.settings import Runtime

__all__ = ["main"]


def test_the_deciding_rules_are_shown_and_why_the_others_did_not(main: Main) -> None:
    done = main(
        *ASK, *RESEARCHER, "--context", "CTImageStorage", "--context", "StudyRootQueryRetrieveInformationModelFind:both"
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "WS_1 at 10.1.0.1 calls PACS without TLS, and sends a username, on 2026-11-22.",
        "",
        "[[authenticate]]",
        "  - old devices: the address 10.1.0.1 is not in 10.20.7.0/24",
        "  > people decides",
        "      asks for names",
        "",
        "[[authorize]]",
        "  - old devices: assurance is asserted, not assigned",
        "  > research decides",
        "",
        "Accepted as names:somebody, asserted.",
        "Permitted: find and move.",
        "C-MOVE to: WS_* or RSCH at 10.9.0.0/24.",
        "Limited to studies whose PatientID is in the claim cohort and ModalitiesInStudy",
        "is 'CT'.",
        "Context CTImageStorage: refused (user-rejection).",
        "Context StudyRootQueryRetrieveInformationModelFind: accepted, requestor as SCU.",
        "On the wire: A-ASSOCIATE-AC; with a 59H if a positive response was requested,",
        "with a server response of length 0.",
        "",
        "No credential was looked at. It is supposed to be good for the validators asked,",
        "or as the options say, and to give the groups, claims and purposes that they",
        "name, even where a validator never gives any.",
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "Rejected, identity-required: no user identity was sent"),
        (["--identity", "jwt"], "Rejected, identity-type-not-accepted"),
        (["--identity", "username"], "Rejected, not-authorised: no [[authorize]] rule matches names:somebody"),
        ([*RESEARCHER, "--credential", "bad"], "Rejected, credential-invalid: names is supposed to refuse"),
        ([*RESEARCHER, "--peer", "192.0.2.1"], "none decides"),
    ],
)
def test_a_rejection_shows_its_answer(main: Main, options: list[str], told: str) -> None:
    assert "Accepted as names:somebody" in main(*ASK, *RESEARCHER).out
    done = main(*ASK, *options)
    assert done.code == 0
    assert told in joined(done.out)
    assert (
        "On the wire: A-ASSOCIATE-RJ (1,2,1): rejected-permanent, by the service provider (ACSE), no reason given."
        in joined(done.out)
    )


def test_scripts_get_json(main: Main) -> None:
    found = json.loads(main(*ASK, *RESEARCHER, "--json", "--context", "CTImageStorage:both").out)
    assert found["decision"] == "rejected"
    assert found["answer"] == [1, 2, 1]
    find, other = (f"{root}RootQueryRetrieveInformationModelFind" for root in ("Study", "Patient"))
    found = json.loads(main(*ASK, *RESEARCHER, "--json", "--context", f"{find}:both", "--context", f"{other}:scp").out)
    uid = "1.2.840.10008.5.1.4.1.2.{}.1"
    assert found["contexts"] == [
        {"abstract_syntax": uid.format(2), "roles": ["SCU"]},
        {"abstract_syntax": uid.format(1), "roles": []},
    ]
    assert {key: found[key] for key in ("decision", "rule", "grant", "permits", "assurance")} == {
        "decision": "accepted",
        "rule": "people",
        "grant": "research",
        "permits": ["find", "move"],
        "assurance": "asserted",
    }
    assert found["authenticate"][0] == {
        "name": "old devices",
        "difference": "the address 10.1.0.1 is not in 10.20.7.0/24",
    }
    assert json.loads(main("policy", "check", "p.toml", "--json").out)["authorize"][0]["name"] == "old devices"


@pytest.mark.parametrize(
    ("sent", "type_", "wire"),
    [
        ("username", 'type = "username"', "with a server response of length 0"),
        ("passcode", 'type = "passcode"\nstore = "file:x"', "with a server response of length 0"),
        ("jwt", 'type = "jwt"\nissuer = "https://i"\naudience = "a"', "with a server response of length 0"),
        (
            "kerberos",
            'type = "kerberos"\nservice = "dicom@h"\nkeytab = "k"',
            "with the KRB_AP_REP to the ticket as its",
        ),
        ("saml", 'type = "saml"\nmetadata = "m.xml"\naudience = "a"', "with a samlp:Response as its server response"),
        ("none", 'type = "certificate"\nissuer = "ca.pem"', "A-ASSOCIATE-AC without a 59H, as no 58H was sent"),
    ],
)
def test_the_answer_is_that_of_the_identity_type(main: Main, tmp_path: Path, sent: str, type_: str, wire: str) -> None:
    """PS3.7 D.3.3.7.2. The files that the types name are nowhere."""
    rule = f'version = 1\n[validator.one]\n{type_}\n[[authenticate]]\naccept = ["one"]\n'
    (tmp_path / "p.toml").write_text(rule)
    done = main(*ASK, "--identity", sent, "--tls", "mutual")
    assert done.code == 0
    assert wire in joined(done.out)


@dataclass(frozen=True)
class DoorSettings:
    """What another package's validator may have."""

    def build(self, runtime: Runtime) -> UsernameValidator:
        return UsernameValidator(runtime.name)


def test_a_validator_of_another_package_is_asked_for_its_type(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = EntryPoint("door", f"{__name__}:DoorSettings", plugins.VALIDATORS)
    monkeypatch.setattr(plugins, "entry_points", lambda **_group: EntryPoints([door]))
    (tmp_path / "p.toml").write_text(POLICY.replace('type = "username"', 'type = "door"', 1))
    assert "Accepted as names:somebody, asserted." in main(*ASK, *RESEARCHER).out


def test_wrong_options_are_all_told(main: Main) -> None:
    done = main(*ASK, "--tls", "mutal", "--claim", "npi", "--on", "2026", "--kind", "human")
    assert (done.code, done.out) == (2, "")
    assert [line.partition(": ")[2].partition(":")[0] for line in done.err.splitlines()] == [
        "--claim",
        "--on",
        "--tls",
        "--kind",
    ]
    done = main(*ASK, "--validator", "nams", "--context", "CTImageStrage", "--peer", "10.1")
    assert done.code == 2
    assert sorted(line.split(":")[1] for line in done.err.splitlines()) == [" --context", " --peer", " --validator"]


def test_no_keytab_and_no_key_is_needed_to_explain(main: Main, tmp_path: Path) -> None:
    text = POLICY.replace('type = "username"', 'type = "passcode"\nstore = "file:x"')
    (tmp_path / "p.toml").write_text(text.replace('["asserted"]', '["authenticated"]'))
    assert main("policy", "check", "p.toml").code == 1
    done = main(*ASK, "--identity", "passcode", "--tls", "server")
    assert "asks for names" in done.out
    assert "tls-required: names looks at nothing that comes without TLS" in joined(
        main(*ASK, "--identity", "passcode").out
    )


@pytest.mark.parametrize(
    "option",
    [
        "calling",
        "called",
        "peer",
        "tls",
        "identity",
        "credential",
        "validator",
        "group",
        "claim",
        "kind",
        "context",
        "on",
    ],
)
def test_an_option_without_anything_is_wrong_and_not_left_out(main: Main, option: str) -> None:
    """A variable of a script that is empty must not be read as the default."""
    assert main(*ASK, *RESEARCHER).code == 0
    done = main(*ASK, f"--{option}", "")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: --{option}: ")


def test_a_sop_class_is_proposed_in_one_way(main: Main) -> None:
    """Role selection is negotiated for a SOP class and not for a context (PS3.7 D.3.3.4)."""
    assert main(*ASK, "--context", "CTImageStorage:scp", "--context", "CTImageStorage:scp").code == 0
    done = main(*ASK, "--context", "CTImageStorage", "--context", "CTImageStorage:scp")
    assert done.code == 2
    assert (
        done.err == 'error: --context: "CTImageStorage:scp" is proposed in another role before; write :both for both\n'
    )
