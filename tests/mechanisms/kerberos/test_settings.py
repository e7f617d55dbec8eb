"""The same settings in a file and in code, and everything that can be wrong with them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.mechanisms.kerberos.hospital import Hospital, judge
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.kerberos import Form, KerberosSettings, KerberosValidator
from useridentity.settings import Runtime, decode

TABLE = """\
service = "dicom@pacs.hospital.test"
keytab = "dicom.keytab"
principals = [{ match = "*@HOSPITAL.TEST", user_id = "*" }, { match = "*@PARTNERS.TEST" }]
groups = { "alice@HOSPITAL.TEST" = ["radiology"] }
forms = ["raw", "gss", "spnego"]
"""


def decoded(text: str, folder: Path) -> tuple[KerberosSettings | None, list[str]]:
    """The settings in a table of a policy file in `folder`, and what was reported."""
    problems: list[str] = []
    table = tomllib.loads(text)
    settings = decode(KerberosSettings, table, (), lambda key, what: problems.append(f"{key}: {what}"), folder)
    return settings, problems


def copied(hospital: Hospital, folder: Path, mode: int = 0o600) -> Path:
    """The service's keytab, in a place of its own."""
    keytab = folder / "dicom.keytab"
    keytab.write_bytes(hospital.keytab.read_bytes())
    keytab.chmod(mode)
    return keytab


def test_a_table_becomes_a_validator(hospital: Hospital, tmp_path: Path) -> None:
    keytab = copied(hospital, tmp_path)
    settings, problems = decoded(TABLE, tmp_path)
    assert settings == KerberosSettings(
        service="dicom@pacs.hospital.test",
        keytab=keytab,
        principals=({"match": "*@HOSPITAL.TEST", "user_id": "*"}, {"match": "*@PARTNERS.TEST"}),
        groups={"alice@HOSPITAL.TEST": ("radiology",)},
        forms=(Form.RAW, Form.GSS, Form.SPNEGO),
    )
    assert not problems
    validator = settings.build(Runtime("realm", tmp_path))
    assert validator.name == "realm"
    identity = judge(validator, hospital.ticket()).identity
    assert (identity.user_id, identity.subject, identity.groups) == ("alice", "alice@HOSPITAL.TEST", {"radiology"})


def test_service_and_keytab_have_no_default(tmp_path: Path) -> None:
    assert decoded("", tmp_path)[1] == ["(): service is missing", "(): keytab is missing"]


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    settings, problems = decoded(TABLE.replace('"spnego"', '"ntlm"'), tmp_path)
    assert settings is None
    assert "'ntlm' is not allowed" in problems[0]


def test_no_form_at_all_is_refused(hospital: Hospital) -> None:
    with pytest.raises(ConfigurationError, match="forms is empty"):
        hospital.validator(forms=())


def test_rules_are_checked_at_load(hospital: Hospital) -> None:
    with pytest.raises(ConfigurationError, match="a realm written out"):
        hospital.validator(principals=({"match": "*"},))
    with pytest.raises(ConfigurationError, match="a realm written out"):
        hospital.validator(groups={"*": ("everybody",)})


def test_a_missing_keytab_is_refused_with_the_command_that_makes_one(hospital: Hospital, tmp_path: Path) -> None:
    hospital.validator(keytab=copied(hospital, tmp_path))
    missing = tmp_path / "missing.keytab"
    with pytest.raises(ConfigurationError, match=f"kadmin -q 'ktadd -k {missing} dicom/pacs.hospital.test'"):
        hospital.validator(keytab=missing)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
@pytest.mark.threat("K14")
def test_a_keytab_open_to_others_is_refused_with_the_chmod(hospital: Hospital, tmp_path: Path, mode: int) -> None:
    hospital.validator(keytab=copied(hospital, tmp_path))
    keytab = copied(hospital, tmp_path, mode)
    with pytest.raises(ConfigurationError, match=f"mode {mode:04o}.*chmod 600 {keytab}"):
        hospital.validator(keytab=keytab)


def test_a_folder_is_no_keytab(hospital: Hospital, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a regular file"):
        hospital.validator(keytab=tmp_path)


def test_a_keytab_without_the_services_key_is_refused(hospital: Hospital) -> None:
    with pytest.raises(ConfigurationError, match=r"it needs the key of dicom/elsewhere\.hospital\.test: klist -k"):
        hospital.validator(service="dicom@elsewhere.hospital.test")


def test_a_file_that_is_no_keytab_is_refused(hospital: Hospital, tmp_path: Path) -> None:
    keytab = tmp_path / "dicom.keytab"
    keytab.write_bytes(b"not a keytab")
    keytab.chmod(0o600)
    with pytest.raises(ConfigurationError, match=f"keytab {keytab}"):
        hospital.validator(keytab=keytab)


@pytest.mark.parametrize("service", ["dicom", "dicom/pacs.hospital.test", "dicom@", "*@pacs.hospital.test@R"])
def test_a_service_that_is_no_name_at_a_host_is_refused(hospital: Hospital, service: str) -> None:
    with pytest.raises(ConfigurationError, match="name and a full host name"):
        hospital.validator(service=service)


def test_a_validator_in_code_is_called_what_it_is(hospital: Hospital) -> None:
    assert KerberosValidator(hospital.settings()).name == "kerberos"


def test_a_missing_library_is_told_with_the_command_that_installs_it() -> None:
    """In a process of its own, in which the library cannot be found."""
    program = "import sys; sys.modules['gssapi'] = None; import useridentity.mechanisms.kerberos"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "ModuleNotFoundError: Kerberos needs python-gssapi: pip install 'useridentity[kerberos]'" in done.stderr
