"""The matrix against DCMTK's dcmqrscp."""

from tests.interop.matrix.cells import CellsOfArchives


class TestDcmqrscp(CellsOfArchives):
    acceptor = "DCMTK dcmqrscp"
