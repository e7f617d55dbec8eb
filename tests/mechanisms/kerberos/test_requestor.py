"""The requestor against a real KDC and a real acceptor: whose ticket, for whom, and what confirms it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.mechanisms.builders import peer
from tests.mechanisms.kerberos.hospital import OTHER_SERVICE, PASSWORD, SERVICE, Hospital, judge
from useridentity.credential import Confirmation, CredentialProvider
from useridentity.errors import ConfigurationError, CredentialUnavailable, NotConfirmed
from useridentity.mechanisms.kerberos import Kerberos
from useridentity.mechanisms.kerberos.requestor import Framing

ACCEPTOR = Confirmation("dicom/pacs.hospital.test@HOSPITAL.TEST", mutual=True)
FRAMINGS: list[Framing] = ["raw", "gss"]


def answered(hospital: Hospital, framing: Framing = "raw") -> bytes:
    """A server response to somebody else's ticket."""
    response = judge(hospital.validator(), hospital.ticket(framing=framing)).server_response
    assert response
    return response


def test_the_ticket_of_the_user_who_is_logged_in_is_sent(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{hospital.alice}")
    provider = Kerberos(SERVICE)
    assert isinstance(provider, CredentialProvider)
    with provider.offer(peer(tls_verified=False)) as offer:
        assert judge(hospital.validator(), offer.credential).identity.subject == "alice@HOSPITAL.TEST"


@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_acceptor_is_proved_by_its_server_ticket(hospital: Hospital, framing: Framing) -> None:
    with Kerberos(SERVICE, cache=hospital.alice, framing=framing).offer(peer()) as offer:
        assert offer.confirm(judge(hospital.validator(), offer.credential).server_response) == ACCEPTOR


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.threat("K13")
def test_nothing_but_the_answer_to_this_very_ticket_confirms(hospital: Hospital, framing: Framing) -> None:
    """Missing, empty, the credential echoed, another ticket's answer, one bit wrong, cut off, too long, other form."""
    provider = Kerberos(SERVICE, cache=hospital.alice, framing=framing)
    with provider.offer(peer()) as offer:
        sent = offer.credential.primary_field
        good = judge(hospital.validator(), offer.credential).server_response
    assert good
    other: Framing = "gss" if framing == "raw" else "raw"
    wrong = [None, b"", sent, b"OK", answered(hospital, framing), answered(hospital, other), good[:-1], good + b"\0"]
    wrong += [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(0, len(good), 7)]
    for response in wrong:
        with provider.offer(peer()) as offer, pytest.raises(NotConfirmed):
            offer.confirm(response)


def test_one_bit_of_the_encrypted_answer_is_enough_to_doubt_it(hospital: Hospital) -> None:
    with Kerberos(SERVICE, cache=hospital.alice).offer(peer()) as offer:
        good = judge(hospital.validator(), offer.credential).server_response
        assert good
        with pytest.raises(NotConfirmed, match="does not prove the acceptor"):
            offer.confirm(good[:-1] + bytes([good[-1] ^ 1]))


def test_an_acceptor_that_was_not_asked_to_prove_itself_has_proved_nothing(hospital: Hospital) -> None:
    with Kerberos(SERVICE, cache=hospital.alice, mutual="none").offer(peer()) as offer:
        assert offer.confirm(b"") == Confirmation(mutual=False)
        for response in (None, offer.credential.primary_field, answered(hospital)):
            with pytest.raises(NotConfirmed):
                offer.confirm(response)


def test_a_keytab_takes_the_place_of_a_user_and_leaves_the_users_tickets_alone(
    hospital: Hospital, tmp_path: Path
) -> None:
    hospital.realm.add_principal("ct1")
    hospital.realm.add_principal("ct2")
    keytab = hospital.realm.keytab("ct1", "ct2", file="modalities.keytab")
    validator = hospital.validator()
    for provider, subject in (
        (Kerberos(SERVICE, keytab=keytab), "ct1@HOSPITAL.TEST"),
        (Kerberos(SERVICE, keytab=str(keytab), principal="ct2@HOSPITAL.TEST"), "ct2@HOSPITAL.TEST"),
    ):
        for _ in range(2):
            with provider.offer(peer()) as offer:
                assert judge(validator, offer.credential).identity.subject == subject
    assert not (tmp_path / "nobody.cache").exists()


def test_every_association_gets_a_ticket_of_its_own(hospital: Hospital) -> None:
    provider = Kerberos(SERVICE, cache=hospital.alice)
    with provider.offer(peer()) as one, provider.offer(peer()) as other:
        assert one.credential.primary_field != other.credential.primary_field
        # The answers in the order of neither.
        validator = hospital.validator()
        answers = [judge(validator, offer.credential).server_response for offer in (one, other)]
        assert other.confirm(answers[1]).mutual
        assert one.confirm(answers[0]).mutual


def test_eight_threads_with_one_keytab_never_mix_their_tickets(hospital: Hospital) -> None:
    hospital.realm.add_principal("ws1")
    provider = Kerberos(SERVICE, keytab=hospital.realm.keytab("ws1"))
    validator = hospital.validator()
    confirmed: list[Confirmation] = []

    def associate() -> None:
        for _ in range(5):
            with provider.offer(peer()) as offer:
                confirmed.append(offer.confirm(judge(validator, offer.credential).server_response))

    threads = [threading.Thread(target=associate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert confirmed == [ACCEPTOR] * 40


def test_an_offer_that_ended_has_no_credential(hospital: Hospital) -> None:
    with Kerberos(SERVICE, cache=hospital.alice).offer(peer()) as offer:
        assert offer.credential.primary_field
    with pytest.raises(CredentialUnavailable):
        _ = offer.credential


def test_nobody_logged_in_is_told_before_connecting(hospital: Hospital) -> None:
    nobody = Kerberos(SERVICE)
    with pytest.raises(CredentialUnavailable, match="No Kerberos credentials available"), nobody.offer(peer()):
        pytest.fail("there was a ticket")


def test_a_service_the_kdc_does_not_know_is_told_before_connecting(hospital: Hospital) -> None:
    provider = Kerberos("dicom@nowhere.hospital.test", cache=hospital.alice)
    with pytest.raises(CredentialUnavailable, match="not found in Kerberos database"), provider.offer(peer()):
        pytest.fail("there was a ticket")


def test_an_expired_login_is_told_before_connecting(hospital: Hospital) -> None:
    with hospital.realm.serving_also("-2h") as past:
        cache = past.login("alice", PASSWORD, "-l", "1h", cache="expired", clock="-2h")
    with pytest.raises(CredentialUnavailable, match="expired"), Kerberos(SERVICE, cache=cache).offer(peer()):
        pytest.fail("there was a ticket")


def test_a_ticket_for_one_service_confirms_no_other(hospital: Hospital) -> None:
    ris = hospital.realm.keytab("dicom/ris.hospital.test")
    validator = hospital.validator(service=OTHER_SERVICE, keytab=ris)
    response = judge(validator, hospital.ticket(OTHER_SERVICE)).server_response
    with Kerberos(SERVICE, cache=hospital.alice).offer(peer()) as offer, pytest.raises(NotConfirmed):
        offer.confirm(response)


@pytest.mark.parametrize("service", ["", "dicom", "@host", "dicom@", "dicom/host@REALM", "dicom@a@b", "dicom@a b"])
def test_a_service_is_a_name_and_a_host(service: str) -> None:
    with pytest.raises(ConfigurationError, match=r"dicom@pacs\.example\.org"):
        Kerberos(service)


@pytest.mark.parametrize("wrong", [{"framing": "spnego"}, {"mutual": "no"}, {"mutual": False}])
def test_words_that_are_not_known_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="write one of"):
        Kerberos(SERVICE, **wrong)


def test_a_ticket_comes_from_one_place() -> None:
    with pytest.raises(ConfigurationError, match="one of them"):
        Kerberos(SERVICE, keytab="a", cache="b")


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_keytab_that_others_can_read_is_refused_with_the_chmod(hospital: Hospital, tmp_path: Path, mode: int) -> None:
    keytab = tmp_path / "user.keytab"
    keytab.write_bytes(hospital.keytab.read_bytes())
    keytab.chmod(0o600)
    Kerberos(SERVICE, keytab=keytab)
    keytab.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"chmod 600 {keytab}"):
        Kerberos(SERVICE, keytab=keytab)


def test_a_missing_keytab_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ktadd -k .*missing\.keytab"):
        Kerberos(SERVICE, keytab=tmp_path / "missing.keytab")


def test_no_secret_shows_in_a_repr(hospital: Hospital) -> None:
    provider = Kerberos(SERVICE, cache=hospital.alice)
    with provider.offer(peer()) as offer:
        ticket = offer.credential.primary_field
        shown = f"{provider!r} {offer!r} {offer.credential!r} {vars(offer)!r}"
    assert ticket.hex() not in shown
    assert repr(ticket)[2:-1] not in shown
