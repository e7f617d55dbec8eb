"""The matrix against Orthanc."""

from tests.interop.matrix.cells import CellsOfArchives


class TestOrthanc(CellsOfArchives):
    acceptor = "Orthanc"
