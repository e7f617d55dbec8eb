"""URLs of stores: what each opens, and what is said about the rest."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.state.builders import NOW, once
from useridentity.errors import ConfigurationError
from useridentity.state import open_store
from useridentity.state.memory import MemoryReplayStore
from useridentity.state.redis import RedisStore
from useridentity.state.redis_url import RedisServer, parse
from useridentity.state.sqlite import SqliteStore

SECRET = "hush-4711"


def problem(url: str, folder: Path) -> str:
    with pytest.raises(ConfigurationError) as wrong:
        open_store(url, folder)
    return str(wrong.value)


def test_each_scheme_opens_its_store(tmp_path: Path) -> None:
    assert isinstance(open_store("memory:", tmp_path), MemoryReplayStore)
    with (
        closing(open_store("redis://127.0.0.1", tmp_path)) as redis,
        closing(open_store("sqlite:a.db", tmp_path)) as db,
    ):
        assert isinstance(redis, RedisStore)
        assert isinstance(db, SqliteStore)


def test_a_file_is_relative_to_the_folder_or_absolute(tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    for url in ("sqlite:one.db", f"sqlite:{tmp_path}/two.db"):
        with closing(open_store(url, tmp_path / "policy")) as store:
            assert store.spend([once()], NOW)
    assert (tmp_path / "policy" / "one.db").is_file()
    assert (tmp_path / "two.db").is_file()


@pytest.mark.parametrize("url", ["", "memory", "memory:x", "sqlite:", "sqlite", "postgres://x", f"redsi://:{SECRET}@x"])
def test_other_urls_are_answered_with_those_there_are(url: str, tmp_path: Path) -> None:
    assert problem(url, tmp_path) == "is no place for state; write memory:, sqlite:FILE, redis://HOST or rediss://HOST"


@pytest.mark.parametrize("url", ["sqlite://x.db", "sqlite:///x.db", "sqlite:////x.db"])
def test_a_file_is_no_host(url: str, tmp_path: Path) -> None:
    """Elsewhere a URL of SQLite has slashes, and here it would name a file at the root."""
    assert (
        problem(url, tmp_path) == "is no place for state: a file is named right after the colon, as in sqlite:state.db"
    )


def test_a_redis_url_without_the_package_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "useridentity.state.redis")
    monkeypatch.setitem(sys.modules, "redis", None)
    assert problem("redis://127.0.0.1", tmp_path) == "redis is not installed: pip install 'useridentity[redis]'"


def test_a_redis_url_is_read_whole(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    files = "ca=ca.pem&certificate=cert.pem&key=key.pem"
    assert parse(f"rediss://dicom:p%23%40ss@redis.example.org:6390/3?{files}", tmp_path) == RedisServer(
        "redis.example.org", 6390, 3, "dicom", "p#@ss", tls=True,
        ca=tmp_path / "ca.pem", certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem",
    )  # fmt: skip


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_this_machine_is_called_without_tls(host: str, tmp_path: Path) -> None:
    assert not parse(f"redis://{host}", tmp_path).tls


def test_another_machine_is_called_without_tls_only_where_that_is_said(tmp_path: Path) -> None:
    assert "would call 10.0.0.1 without TLS" in problem("redis://10.0.0.1", tmp_path)
    assert parse("redis://10.0.0.1?plaintext=allow", tmp_path).host == "10.0.0.1"
    assert parse("rediss://10.0.0.1", tmp_path).tls


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("//", "redis://HOST"),
        ("//:6379", "redis://HOST"),
        (f"//:{SECRET}#more@localhost", "in a password write %23"),
        (f"//:{SECRET}@localhost:none", "the port should be a number"),
        (f"//:{SECRET}@localhost:70000", "the port should be a number"),
        (f"//:{SECRET}@[::1", "[ ] are for IPv6 addresses"),
        ("//localhost/main", "should end in /NUMBER"),
        ("//localhost/1/2", "should end in /NUMBER"),
        ("//localhost?tls", "write NAME=VALUE"),
        ("//localhost?passwordfile=x", 'unknown option "passwordfile"; did you mean "password_file"?'),
        ("//localhost?ssl_cert_reqs=none", 'unknown option "ssl_cert_reqs"'),
        ("//localhost?plaintext=allow&plaintext=allow", "is there twice"),
        ("//localhost?plaintext=yes", 'plaintext may only be "allow"'),
        ("//localhost?password_file=", "without a value"),
        ("//localhost?ca=ca.pem", "is for rediss://"),
        (f"//:{SECRET}@localhost?password_file=secret", "names several passwords"),
        (f"//:{SECRET}@localhost?password_env=HOME", "names several passwords"),
        ("//localhost?password_file=secret&password_env=HOME", "names several passwords"),
        (f"//localhost?password_file={SECRET}", "password_file: names no file"),
        (f"//localhost?password_env={SECRET}", "password_env: is no name of a variable"),
        ("//localhost?password_env=UNSET_4711", "password_env: the environment variable UNSET_4711 is not set"),
    ],
)
def test_each_mistake_in_a_redis_url_is_named_without_the_password(rest: str, said: str, tmp_path: Path) -> None:
    answer = problem(f"redis:{rest}", tmp_path)
    assert said in answer
    assert SECRET not in answer


@pytest.mark.parametrize(
    ("options", "said"),
    [("certificate=cert.pem", "needs both"), ("ca=missing.pem", "ca=missing.pem: there is no file")],
)
def test_each_mistake_in_tls_options_is_named(options: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").touch()
    assert said in problem(f"rediss://localhost?{options}", tmp_path)


def test_a_password_file_must_be_private(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o644)
    assert "chmod 600" in problem("redis://localhost?password_file=secret", tmp_path)
    secret.chmod(0o600)
    server = parse("redis://localhost?password_file=secret", tmp_path)
    assert server.password == SECRET
    assert SECRET not in repr(server) + str(server)


def test_a_password_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", SECRET)
    server = parse("redis://dicom@localhost?password_env=REDIS_PASSWORD", tmp_path)
    assert (server.username, server.password) == ("dicom", SECRET)
    assert SECRET not in repr(server) + str(server)
    monkeypatch.setenv("REDIS_PASSWORD", "")
    said = "password_env: the environment variable REDIS_PASSWORD is empty"
    assert problem("redis://dicom@localhost?password_env=REDIS_PASSWORD", tmp_path) == said
