"""The matrix against our own server, which knows afterwards who it was."""

import pytest

from tests.interop.matrix.cells import CellsOfArchives
from tests.interop.matrix.conftest import Run
from tests.interop.matrix.hospital import SUBJECTS
from tests.interop.matrix.peers import Running
from tests.interop.matrix.table import RIGHT, UNSENT, WRONG, Identity
from tests.interop.test_oidc import SECRET
from useridentity.pynetdicom import identity_of


class TestOurs(CellsOfArchives):
    acceptor = "useridentity"

    @pytest.mark.parametrize("kind", SUBJECTS)
    def test_what_a_right_identity_does_is_done_by_its_subject(self, run: Run, peer: Running, kind: str) -> None:
        who = RIGHT.get(kind, Identity(kind))
        peer.served.clear()
        done = run("echo", who, "--json")
        assert (done.code, done.json["outcome"]) == (0, "confirmed"), done
        assert ("acceptor proved to be dicom/pacs.test@" in done.json["identity"]) == (kind == "kerberos")
        assert run("store", who).code == 0
        assert [identity_of(event).subject[-len(SUBJECTS[kind]) :] for event in peer.served] == [SUBJECTS[kind]] * 2

    @pytest.mark.parametrize("who", [*WRONG.values(), *UNSENT], ids=lambda who: who.word)
    def test_of_a_wrong_identity_nothing_is_done_and_no_secret_told(
        self, run: Run, peer: Running, who: Identity
    ) -> None:
        peer.served.clear()
        done = run("store", who)
        assert done.code != 0
        assert peer.served == []
        assert SECRET not in done.err
        assert "guessed" not in done.err
