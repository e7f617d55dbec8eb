"""Files are read whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from useridentity import whole_file
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.certificate import read_issuers
from useridentity.mechanisms.jwt.key_source import FileKeys
from useridentity.mechanisms.saml.signature import read
from useridentity.tls import client_context
from useridentity.tls.crl import RevocationLists, authorities


def test_a_file_may_have_so_many_bytes_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert whole_file.content(path, 5) == b"12345"
    with pytest.raises(OSError, match="has more than 4 bytes"):
        whole_file.content(path, 4)


@pytest.mark.parametrize(
    "of",
    [
        read_issuers,
        FileKeys,
        read,
        client_context,
        authorities,
        lambda path: RevocationLists.read(path, "ca.pem"),
    ],
)
def test_what_is_configured_is_not_read_from_a_device_without_end(
    of: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_file.content, "__defaults__", (2**20,))
    with pytest.raises(ConfigurationError, match=r"/dev/zero: .*has more than 1048576 bytes"):
        of(Path("/dev/zero"))
