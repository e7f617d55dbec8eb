"""The matrix against DCMTK's storescp."""

from tests.interop.matrix.cells import Cells


class TestStorescp(Cells):
    acceptor = "DCMTK storescp"
