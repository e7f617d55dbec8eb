"""A ticket is used once: by the library's own cache on one host, by the replay store across hosts."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.mechanisms.builders import facts
from tests.mechanisms.kerberos.hospital import Hospital, judge, presented
from tests.mechanisms.kerberos.test_framing import spnego
from useridentity.checks import Driver
from useridentity.decision import Accepted, Decision, Reason, Rejected
from useridentity.errors import ConfigurationError, Refused
from useridentity.mechanisms.kerberos import Form, service
from useridentity.mechanisms.kerberos.framing import KERBEROS_OID, framed_ap_req
from useridentity.policy import Policy, Rule
from useridentity.state.memory import MemoryReplayStore

ALL_FORMS = tuple(Form)
SKEW = timedelta(minutes=5)  # krb5.conf's default


def in_form(form: Form, ap_req: bytes) -> bytes:
    """One and the same request as another peer would present it."""
    framed = framed_ap_req(ap_req)
    return {Form.RAW: ap_req, Form.GSS: framed, Form.SPNEGO: spnego(KERBEROS_OID, token=framed)}[form]


def refused_as_replay(hospital: Hospital, primary_field: bytes) -> bool:
    """Whether a new acceptor, as after a restart, knows this ticket already."""
    with pytest.raises(Refused) as refused:
        judge(hospital.validator(forms=ALL_FORMS), presented(primary_field))
    return refused.value.reason is Reason.REPLAYED


@pytest.mark.parametrize("again", Form)
@pytest.mark.parametrize("first", Form)
@pytest.mark.threat("K1")
def test_a_ticket_is_taken_once_however_it_is_framed(hospital: Hospital, first: Form, again: Form) -> None:
    ticket = hospital.ticket().primary_field
    validator = hospital.validator(forms=ALL_FORMS)
    judge(validator, presented(in_form(first, ticket)))
    with pytest.raises(Refused) as refused:
        judge(validator, presented(in_form(again, ticket)))
    assert refused.value.reason is Reason.REPLAYED
    assert refused_as_replay(hospital, in_form(again, ticket))


@pytest.mark.threat("K1")
def test_of_eight_threads_that_present_one_ticket_one_gets_in(hospital: Hospital) -> None:
    validator = hospital.validator()
    credential = hospital.ticket()
    accepted, refused = [], []
    start = threading.Barrier(8)

    def present() -> None:
        start.wait()
        try:
            accepted.append(judge(validator, credential))
        except Refused as error:
            refused.append(error.reason)

    threads = [threading.Thread(target=present) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(accepted), refused) == (1, [Reason.REPLAYED] * 7)


@pytest.mark.parametrize(("name", "value"), [("KRB5RCACHENAME", "none:"), ("KRB5RCACHETYPE", "none")])
@pytest.mark.threat("K3")
def test_the_environment_cannot_turn_the_replay_cache_off(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    ticket = hospital.ticket().primary_field
    judge(hospital.validator(), presented(ticket))
    assert refused_as_replay(hospital, ticket)


def test_krb5_conf_cannot_turn_the_replay_cache_off(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_in_krb5_conf(hospital, monkeypatch, tmp_path, "default_rcache_name = none:")
    ticket = hospital.ticket().primary_field
    judge(hospital.validator(), presented(ticket))
    assert refused_as_replay(hospital, ticket)


def set_in_krb5_conf(hospital: Hospital, monkeypatch: pytest.MonkeyPatch, folder: Path, line: str) -> None:
    conf = folder / "krb5.conf"
    conf.write_text(hospital.realm.krb5_conf.read_text().replace("[libdefaults]", f"[libdefaults]\n    {line}"))
    monkeypatch.setenv("KRB5_CONFIG", str(conf))


def decided(driver: Driver, primary_field: bytes) -> Decision:
    return driver.decide(facts(identity_type=3), presented(primary_field))


@pytest.mark.parametrize("again", Form)
@pytest.mark.threat("K2")
def test_on_another_host_the_replay_store_knows_the_ticket(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, again: Form
) -> None:
    """Hosts do not share MIT's cache, so the same ticket verifies on both; it is spent all the same."""
    ticket = hospital.ticket().primary_field
    policy = Policy([Rule([hospital.validator(forms=ALL_FORMS)])])
    shared, unshared = MemoryReplayStore(), MemoryReplayStore()
    outcomes = []
    for host, store in (("one", shared), ("other", shared), ("apart", unshared)):
        (tmp_path / host).mkdir()
        monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path / host))
        driver = Driver(policy, store)
        outcomes.append(decided(driver, ticket if host == "one" else in_form(again, ticket)))
        driver.close()
    assert isinstance(outcomes[0], Accepted)
    assert isinstance(outcomes[1], Rejected)
    assert outcomes[1].reason is Reason.REPLAYED
    assert isinstance(outcomes[2], Accepted)


def test_a_spent_ticket_is_remembered_until_its_age_refuses_it(hospital: Hospital) -> None:
    (once,) = judge(hospital.validator(), hospital.ticket()).once
    ahead = once.until - datetime.now(UTC)
    assert 2 * SKEW <= ahead <= 2 * SKEW + timedelta(seconds=5)


def test_it_is_remembered_for_longer_where_krb5_conf_allows_more_clock_skew(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_in_krb5_conf(hospital, monkeypatch, tmp_path, "clockskew = 900")
    (once,) = judge(hospital.validator(), hospital.ticket()).once
    assert once.until - datetime.now(UTC) >= timedelta(minutes=30)


@pytest.mark.threat("K3")
def test_without_a_replay_cache_there_is_no_acceptor(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hospital.validator()
    monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="could be used twice; set KRB5RCACHEDIR"):
        hospital.validator()


def test_a_replay_cache_that_leads_elsewhere_is_refused(hospital: Hospital, tmp_path: Path) -> None:
    (tmp_path / f"krb5_{os.geteuid()}.rcache2").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="could be used twice"):
        hospital.validator()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_replay_cache_of_another_user_is_refused(hospital: Hospital, tmp_path: Path) -> None:
    cache = tmp_path / f"krb5_{os.geteuid()}.rcache2"
    cache.touch()
    hospital.validator()
    os.chown(cache, 65534, 65534)
    with pytest.raises(ConfigurationError, match="belongs to user 65534"):
        hospital.validator()


def test_a_library_that_takes_no_notice_of_its_replay_cache_is_refused(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Played by a name that this library does take: then nothing tells that it heeds the real one."""
    hospital.validator()
    monkeypatch.setattr(service, "NO_SUCH_CACHE", "none:")
    with pytest.raises(ConfigurationError, match=r"use MIT Kerberos 1\.18"):
        hospital.validator()


def test_the_cache_that_is_checked_is_the_one_the_library_uses(hospital: Hospital, tmp_path: Path) -> None:
    validator = hospital.validator()
    cache = tmp_path / f"krb5_{os.geteuid()}.rcache2"
    before = cache.stat().st_size
    judge(validator, hospital.ticket())
    assert cache.stat().st_size > before
