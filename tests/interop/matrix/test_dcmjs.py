"""The matrix against dcmjs-dimse."""

from tests.interop.matrix.cells import CellsOfArchives


class TestDcmjs(CellsOfArchives):
    acceptor = "dcmjs-dimse"
