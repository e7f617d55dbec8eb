"""What is shown of each acceptor: its cells of the matrix, moves to ourselves, and TLS that is looked at by both."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar

import pytest
from pydicom import dcmread

from tests.cli.requestor.conftest import Command, Done
from tests.interop.matrix.conftest import Run
from tests.interop.matrix.peers import Running
from tests.interop.matrix.table import ACCEPTORS, ENDS, RIGHT, Cell
from tests.lib.certificates import Certificates


class Cells:
    """Derive a class for each acceptor, named as in the table."""

    acceptor: ClassVar[str]

    def test_a_cell_ends_as_the_table_says(
        self, run: Run, peer: Running, transport: str, cell: Cell, image: Path, tmp_path: Path
    ) -> None:
        peer.elsewhere.requests.clear()
        done = run(cell.command, cell.identity, "--confirmation", cell.confirmation)
        assert done.code == cell.code, done
        pattern = ENDS[cell.command if cell.code == 0 else cell.code].format(
            peer=peer.where,
            became=cell.became,
            tls="no TLS" if transport == "TCP" else "TLSv1.[23]",
            rejects=ACCEPTORS[self.acceptor].rejects,
        )
        result, other = (done.out, done.err) if cell.code == 0 else (done.err, done.out)
        assert fnmatchcase(result.partition("\n")[0], pattern)
        assert other == ""
        arrived = cell.command if cell.code == 0 else ""
        assert peer.elsewhere.requests == (["C_STORE"] if arrived == "move" else [])
        got = [dcmread(path).PixelData for path in tmp_path.glob("got/*.dcm")]
        assert got == ([dcmread(image).PixelData] if arrived == "get" else [])

    @pytest.mark.parametrize("transport", ["mutual TLS"], indirect=True, scope="class")
    def test_over_tls_both_sides_are_looked_at(
        self, command: Command, peer: Running, certificates: Certificates
    ) -> None:
        """Without our certificate, or with a stranger's, nobody lets us in; nor do we talk to a stranger."""

        def echoed(ca: Path, *more: object) -> Done:
            options = ("--ca", ca, *more, "--confirmation", "wanted", "--identity", "username:alice")
            return command("echo", *replace(peer.archive, options=()).peer, *options)

        (cert, key), foreign = certificates.server, certificates.foreign_client
        assert echoed(certificates.ca, "--cert", cert, "--key", key).code == 0
        assert echoed(certificates.ca).code in (4, 7)  # TLS 1.3 tells of a missing certificate only later
        assert echoed(certificates.ca, "--cert", foreign.cert, "--key", foreign.key).code in (4, 7)
        done = echoed(certificates.foreign_ca, "--cert", cert, "--key", key)
        assert done.code == 4
        assert "certificate verify failed" in done.err


class CellsOfArchives(Cells):
    """Of acceptors that move what they have."""

    def test_a_move_comes_here(self, run: Run, peer: Running, transport: str, image: Path, tmp_path: Path) -> None:
        here = ["--to", "WS_1", "--receive", str(peer.archive.workstation), "--output", "here"]
        if (self.acceptor, transport) == ("Orthanc", "mutual TLS"):  # the only one that stores over TLS
            here.append("--receive-tls")
        done = run("move", RIGHT["username"], *here, "--confirmation", "wanted", "--json")
        assert (done.code, done.json["completed"]) == (0, 1), done
        (file,) = done.json["files"]
        assert dcmread(tmp_path / "here" / file).PixelData == dcmread(image).PixelData
