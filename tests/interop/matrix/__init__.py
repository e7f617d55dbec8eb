"""The requestor's command line against real acceptors: `table` says what is to come out, the tests that it does."""

import pytest

pytest.register_assert_rewrite("tests.interop.matrix.cells")
