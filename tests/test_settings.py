"""Settings are read once, every fault is named at once, and no fault repeats a secret."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from settings import BadSettings, Settings, describe, read

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(1, 33))).decode()
PRODUCTION = {
    "ENVIRONMENT": "production",
    "KEYRING": f"k1:{KEY}",
    "BASE_URL": "https://linekeeper.alice.example",
    "DATABASE_URL": "postgresql://app@db.alice.example/linekeeper",
    "REDIS_URL": "rediss://work.alice.example",
    "MAIL_REDIS_URL": "rediss://mail.alice.example",
}
ADDRESSES = [name for name, _, _ in describe() if name.endswith(("_URI", "SERVERINFO_URL", "API_ROOT"))] + ["BASE_URL"]


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(BadSettings) as bad:
        read(environ)
    return bad.value.problems


def named(environ: dict[str, str]) -> list[str]:
    """Which settings are complained about."""
    return [problem.split()[0] for problem in problems(environ)]


def test_nothing_set_is_a_development_on_this_machine() -> None:
    """Embedded servers, loopback, the real Zoho and Google."""
    settings = read({})

    assert Settings() == settings
    assert settings.development
    assert ("", "", "") == (settings.database_url, settings.redis_url, settings.mail_redis_url)
    assert "http://127.0.0.1:8000" == settings.origin
    assert "http://127.0.0.1:9000" == read({"PORT": "9000"}).origin
    assert 86_400 == settings.mail_cache_seconds


def test_every_fault_is_named_at_once() -> None:
    """Nobody should have to start us five times to learn of five mistakes."""
    wrong = {
        "ENVIRONMENT": "staging",
        "PORT": "no port",
        "BASE_URL": "ftp://alice.example",
        "MAIL_CACHE_SECONDS": "86401",
        "KEYRING": "k1:short",
        "GOOGLE_TOKEN_URI": "http://token.example",
        "REDIS_URL_FILE": "/nowhere/at/all",
        "ZOHO_CLIENT_SECRET_EU_FILE": "/nowhere/either",
    }

    assert {name.removesuffix("_FILE") for name in wrong} == set(named(wrong))
    with pytest.raises(BadSettings, match="PORT must be a whole number from 1 to 65535; "):
        read(wrong)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("PORT", ["1", "65535", " 8080 "], ["0", "65536", "-1", "8000.0", "1e3", "0x50", "²", "٣٣²"]),
        ("MAIL_CACHE_SECONDS", ["1", "86399", "86400"], ["86401", "0", "-1", "864000000000000000000", "1 day"]),
        ("WEB_PROCESSES", ["1", "64"], ["0", "65"]),
        ("WEB_THREADS", ["1", "64"], ["0", "65"]),
        ("CONTACTS_SYNC_SECONDS", ["1", "86400"], ["0", "86401"]),
        ("REQUEST_TIMEOUT_SECONDS", ["1", "120"], ["0", "121"]),
        ("ENVIRONMENT", ["development", " production\n"], ["Production", "test", "prod"]),
        ("LINEKEEPER_EMBEDDED", ["path", "wheel", ""], ["docker"]),
    ],
)
def test_what_a_setting_may_be(name: str, good: list[str], bad: list[str]) -> None:
    """The last value that is allowed and the first that is not."""
    for value in good:
        assert read(PRODUCTION | {name: value})
    for value in bad:
        assert [name] == named({name: value}), value


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "address",
    [
        "http://alice.example",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "http://10.0.0.1",
        "http://[::2]",
        "http://[::1",
        "https://",
        "//alice.example",
        "alice.example",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ],
)
def test_http_is_for_loopback_only(name: str, address: str) -> None:
    """Secrets and tokens travel to these addresses."""
    assert [name] == named({name: address})


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9101", "http://localhost:1/x", "http://[::1]:8000", "https://a.b"]
)
def test_an_address_loses_its_last_slash(address: str) -> None:
    """So that paths can be put behind it."""
    assert address == read({"BASE_URL": f" {address}/ "}).base_url


def test_the_first_key_seals_and_the_others_open() -> None:
    """Order, spaces and newlines as people write them."""
    ring = read({"KEYRING": f" new:{KEY} ,\n old:{OTHER},"}).keyring

    assert (("new", bytes(range(32))), ("old", bytes(range(1, 33)))) == ring


KEYRINGS = {
    "no id": KEY,
    "empty id": f":{KEY}",
    "no key": "k1:",
    "a word for a key": "k1:secret",
    "16 bytes": "k1:" + base64.b64encode(bytes(16)).decode(),
    "31 bytes": "k1:" + base64.b64encode(bytes(31)).decode(),
    "33 bytes": "k1:" + base64.b64encode(bytes(33)).decode(),
    "hexadecimal": "k1:" + bytes(range(32)).hex(),
    "padding lost": "k1:" + KEY.rstrip("="),
    "a stray character": f"k1:{KEY[:10]}!{KEY[10:]}",
    "id and key swapped": f"{KEY}:k1",
    "an id of 33 characters": f"{'k' * 33}:{KEY}",
    "one id twice": f"k1:{KEY},k1:{OTHER}",
    "a second one that is bad": f"k1:{KEY},k2:{OTHER[:-8]}",
    "only commas": " , ,",
}


@pytest.mark.parametrize("value", KEYRINGS.values(), ids=KEYRINGS)
def test_a_bad_key_ring_is_refused_without_repeating_it(value: str) -> None:
    """The complaint names the key by its id or its place; whatever might be key material stays out of it."""
    (problem,) = problems({"KEYRING": value})

    assert problem.startswith("KEYRING ")
    for secret in {KEY, OTHER, KEY.rstrip("="), bytes(range(32)).hex(), *value.replace(",", ":").split(":")}:
        assert len(secret) < 8 or secret not in problem


@pytest.mark.parametrize("missing", sorted(PRODUCTION.keys() - {"ENVIRONMENT"}))
def test_production_names_each_thing_it_lacks(missing: str) -> None:
    """It runs on no development default."""
    assert read(PRODUCTION).environment == "production"

    assert [f"{missing} must be set in production"] == problems(PRODUCTION | {missing: ""})


def test_production_names_everything_it_lacks_at_once() -> None:
    """And a loopback address is none for the world."""
    assert PRODUCTION.keys() - {"ENVIRONMENT"} == set(named({"ENVIRONMENT": "production"}))
    assert ["BASE_URL must be https in production"] == problems(PRODUCTION | {"BASE_URL": "http://127.0.0.1"})


def test_a_setting_may_lie_in_a_file(tmp_path: Path) -> None:
    """Most secret stores hand them over so; the newline an editor left is not part of it."""
    for name, value in {
        "ring": f"k1:{KEY}",
        "port": "9000",
        "dir": "data",
        "zoho": "s3cret",
        "eu": "s3cret-eu",
    }.items():
        (tmp_path / name).write_text(f"{value}\n", encoding="utf-8")

    settings = read(
        {
            "KEYRING_FILE": str(tmp_path / "ring"),
            "PORT_FILE": str(tmp_path / "port"),
            "PORT": "1",
            "DATA_DIR_FILE": str(tmp_path / "dir"),
            "ZOHO_CLIENT_SECRET_FILE": str(tmp_path / "zoho"),
            "ZOHO_CLIENT_SECRET_EU_FILE": str(tmp_path / "eu"),
            "ZOHO_CLIENT_SECRET_IN": "s3cret-in",
            "ZOHO_CLIENT_SECRET_JP": "",
        }
    )

    assert (("k1", bytes(range(32))),) == settings.keyring
    assert (9000, Path("data"), "s3cret") == (settings.port, settings.data_dir, settings.zoho_client_secret)
    assert {"eu": "s3cret-eu", "in": "s3cret-in"} == settings.zoho_client_secrets


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The setting and the file, and why."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    (missing,) = problems({"KEYRING_FILE": str(tmp_path / "ring")})
    (binary,) = problems({"PORT_FILE": str(tmp_path / "binary")})

    assert missing.startswith("KEYRING ")
    assert str(tmp_path / "ring") in missing
    assert "PORT is not UTF-8 text" == binary


def test_private_hosts_are_a_list() -> None:
    """Comma separated, as people write them."""
    assert (
        frozenset({"pbx.local", "10.0.0.5"})
        == read({"ALLOWED_PRIVATE_HOSTS": "pbx.local, 10.0.0.5,"}).allowed_private_hosts
    )


def test_every_setting_says_why_it_exists() -> None:
    """The README's table is made of these."""
    assert {"KEYRING", "MAIL_CACHE_SECONDS", "ZOHO_CLIENT_SECRET"} <= {name for name, _, _ in describe()}
    assert [] == [name for name, _, why in describe() if len(why) < 10]
