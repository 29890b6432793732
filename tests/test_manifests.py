"""What the marketplaces read comes from the code: what is kept is what is rendered, and what is wrong is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app import COMMANDS, PARTS
from commands.cli import cli
from integrations.google import hosts, manifest
from integrations.google.scopes import AUTH, SCOPES
from jobs import marketplaces
from jobs.marketplaces import DEPLOYMENT, EXAMPLE, faults, read, rendered

KEPT = Path(__file__).parent.parent / "manifests"
DESK = "zoho/desk/plugin-manifest.json"
Files = dict[str, str]


def types(*words: str) -> tuple[int, str]:
    cli.rooms = COMMANDS
    done = CliRunner().invoke(cli, ["manifests", *words], obj=PARTS)
    return done.exit_code, done.output


def test_what_is_kept_is_what_the_code_renders() -> None:
    """After a change: python -m app manifests render."""
    assert rendered(EXAMPLE) == read(KEPT)
    assert [] == faults(read(KEPT), EXAMPLE)


def test_every_host_is_in_it_and_one_address_answers() -> None:
    """Gmail to Slides in the deployment, Chat on the sheet; without the mailbox tier nothing is restricted."""
    document = manifest.deployment(EXAMPLE)
    parts = document["addOns"]
    restricted = {one.name for one in SCOPES if one.level == "restricted"}

    assert {host.slug for host in hosts.HOSTS} - {"chat"} == parts.keys() - {"common", "httpOptions"}
    assert f"{EXAMPLE}/addon/google" == parts["gmail"]["contextualTriggers"][0]["onTriggerFunction"]
    assert f"{EXAMPLE}/addon/google |" in rendered(EXAMPLE)["google/marketplace.md"]
    assert set() == restricted & set(document["oauthScopes"])
    assert restricted == restricted & set(manifest.deployment(EXAMPLE, mailbox=True)["oauthScopes"])
    assert [] == faults(rendered(EXAMPLE, mailbox=True), EXAMPLE, mailbox=True)


def changed(path: str, change: Callable[[Any], Any]) -> Callable[[Files], None]:
    """One JSON file, changed by hand."""

    def apply(files: Files) -> None:
        document = json.loads(files[path])
        change(document)
        files[path] = json.dumps(document, indent=2) + "\n"

    return apply


def deployed(change: Callable[[Any], Any]) -> Callable[[Files], None]:
    return changed(DEPLOYMENT, change)


def desk(change: Callable[[Any], Any]) -> Callable[[Files], None]:
    return changed(DESK, change)


WRONG: dict[str, tuple[Callable[[Files], Any], str]] = {
    "a scope too many": (
        deployed(lambda d: d["oauthScopes"].append(AUTH + "drive")),
        "The manifest lists https://www.googleapis.com/auth/drive, which nothing asks for.",
    ),
    "a scope too few": (
        deployed(lambda d: d["oauthScopes"].remove(AUTH + "gmail.send")),
        "The manifest leaves out https://www.googleapis.com/auth/gmail.send, which consent asks for.",
    ),
    "a host without its scope": (
        deployed(lambda d: d["oauthScopes"].remove(AUTH + "calendar.addons.execute")),
        f"calendar needs the scope {AUTH}calendar.addons.execute, which oauthScopes leaves out.",
    ),
    "a name with a trademark": (
        deployed(lambda d: d["addOns"]["common"].update(name="Linekeeper for Gmail")),
        "The name holds somebody else's trademark.",
    ),
    "a name too long": (
        deployed(lambda d: d["addOns"]["common"].update(name="L" * 51)),
        "The name has 51 characters; 1 to 50 are allowed.",
    ),
    "a logo as SVG": (
        deployed(lambda d: d["addOns"]["common"].update(logoUrl=f"{EXAMPLE}/logo.svg")),
        "The logo needs an https address, and is no SVG.",
    ),
    "two addresses": (
        deployed(lambda d: d["addOns"]["drive"]["homepageTrigger"].update(runFunction=f"{EXAMPLE}/other")),
        "Every trigger leads to one address; these are 2.",
    ),
    "links by http": (
        deployed(lambda d: d["addOns"]["common"].update(openLinkUrlPrefixes=["http://a.example/"])),
        "openLinkUrlPrefixes holds http://a.example/, which is not https.",
    ),
    "Chat among the hosts": (
        deployed(lambda d: d["addOns"].update(chat={})),
        "addOns has no host chat: Chat is configured on its own page.",
    ),
    "a trigger there is not": (
        deployed(lambda d: d["addOns"]["docs"].update(eventOpenTrigger={})),
        "addOns.docs has no field eventOpenTrigger.",
    ),
    "all or nothing": (
        deployed(lambda d: d["addOns"]["httpOptions"].update(granularOauthPermissionSupport="OPT_OUT")),
        "granularOauthPermissionSupport has to be OPT_IN: every HTTP add-on must live with unticked permissions.",
    ),
    "no deployment": (
        lambda files: files.update({DEPLOYMENT: "[]"}),
        "google/deployment.json is missing, or is no deployment.",
    ),
    "a sentence changed by hand": (
        lambda files: files.update({"google/listing.md": "The best."}),
        "google/listing.md is not what the code renders.",
    ),
    "a file gone": (lambda files: files.pop("google/scopes.md"), "google/scopes.md is missing."),
    "a file of somebody's": (
        lambda files: files.update({"zoho/crm/app/note.txt": ""}),
        "zoho/crm/app/note.txt is nothing we render.",
    ),
    "what the packer leaves out": (
        lambda files: files.update({"zoho/crm/app/photo.webp": ""}),
        "zoho/crm: app/photo.webp is of a kind that is left out of the package without a word.",
    ),
    "a name the packer refuses": (
        lambda files: files.update({"zoho/crm/app/a b.html": ""}),
        "zoho/crm: app/a b.html has a name the packer refuses.",
    ),
    "a widget by http": (
        lambda files: files.update({"zoho/widgets.md": files["zoho/widgets.md"].replace("https://", "http://")}),
        "zoho/widgets.md is missing, or names no https address for the widget.",
    ),
    "no English": (desk(lambda d: d.update(locale=["de"])), "zoho/desk: locale has to hold en."),
    "a language without words": (
        desk(lambda d: d.update(locale=["en", "de"])),
        "zoho/desk: app/translations/de.json is missing.",
    ),
    "too much to configure": (
        desk(lambda d: d.update(config=[{}] * 21)),
        "zoho/desk: config holds more than 20 entries.",
    ),
    "a domain by http": (
        desk(lambda d: d.update(whiteListedDomains=["http://a.example"])),
        "zoho/desk: whiteListedDomains holds http://a.example, which is not https.",
    ),
    "a callback by http": (
        desk(lambda d: d["callbackListener"].update(onUninstall="http://a.example/")),
        "zoho/desk: callbackListener holds http://a.example/, which is not https.",
    ),
    "a callback without a secret": (
        desk(lambda d: d.pop("secret")),
        "zoho/desk: A manifest with a callbackListener needs a secret.",
    ),
    "a widget without its page": (
        desk(lambda d: d["modules"]["widgets"][0].update(url="/app/gone.html")),
        "zoho/desk: A widget names /app/gone.html, which is not in the package.",
    ),
    "a manifest that is none": (
        lambda files: files.update({DESK: "{"}),
        "zoho/desk: plugin-manifest.json is missing or is no JSON object.",
    ),
}


@pytest.mark.parametrize(("spoil", "sentence"), WRONG.values(), ids=WRONG)
def test_the_check_says_what_is_wrong(spoil: Callable[[Files], Any], sentence: str) -> None:
    """In one sentence for each fault, whoever made it."""
    files = rendered(EXAMPLE)
    assert sentence not in faults(files, EXAMPLE)
    spoil(files)

    assert sentence in faults(files, EXAMPLE)


def test_a_scope_without_a_reason_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marketplaces, "SCOPES", SCOPES[1:])

    assert "The code asks for openid, and nobody has justified it." in faults(rendered(EXAMPLE), EXAMPLE)


def test_an_operator_renders_for_their_own_address(tmp_path: Path) -> None:
    """And checks it; for another address it is not right, and an address that is none is refused."""
    folder, own = str(tmp_path / "out"), "https://calls.alice.example"
    assert (0, f"15 files written to {folder}.\n") == types("render", folder, "--base-url", own)
    assert (0, "Nothing is wrong with them.\n") == types("check", folder, "--base-url", own)
    assert f"{own}/addon/google" in (tmp_path / "out" / DEPLOYMENT).read_text("utf-8")

    code, said = types("check", folder)
    assert (1, True) == (code, "google/deployment.json is not what the code renders." in said)
    assert 1 == types("check", str(tmp_path / "nowhere"))[0]
    for address in ("http://calls.alice.example", "https://a.example/path", "nonsense"):
        assert 2 == types("render", folder, "--base-url", address)[0]
