"""The first story, told from start to end in a running house: every step through the real doors, over HTTP.

`tell` prints a line for each thing it saw, with a tick or, with the reason in words, a cross.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from sandbox import cast
from sandbox.acts import calls, cards, connecting, console, contacts, mail, reconciling
from sandbox.browser import NoSuchThing
from sandbox.people import ZOE
from sandbox.scene import Amiss, House, Scene

Step = Callable[[Scene], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Act:
    """A part of the story; `needs` names the acts it builds on."""

    name: str
    title: str
    steps: tuple[Step, ...]
    needs: tuple[str, ...] = ()


ACTS = (
    Act("install", "Two companies install Linekeeper from Zoho's marketplace", (connecting.install,)),
    Act("google", "Alice connects Google, with one permission less", (connecting.connect_google,), ("install",)),
    Act("phones", "Both connect their phone systems", (connecting.connect_phones,), ("google",)),
    Act("contacts", "Contacts meet", (contacts.meet, contacts.again, contacts.change), ("phones",)),
    Act("calls", "The phone rings", (calls.ring, calls.next_door, calls.forged), ("contacts",)),
    Act("cards", "Bob opens a message in Gmail", (cards.opens,), ("calls",)),
    Act("mail", "Mail beside the call", (mail.arrives,), ("calls",)),
    Act("crash", "The worker is killed at the worst moment", (calls.crash,), ("calls",)),
    Act("lost", "The phone system loses webhooks", (reconciling.lost,), ("calls",)),
    Act("forget", "Nothing is kept longer than promised", (mail.goes, mail.disconnect), ("mail",)),
    Act("console", "The console shows it", (console.shows,), ("crash", "lost", "forget")),
)
UNREADABLE = (NoSuchThing, RuntimeError, ValueError, LookupError, TypeError)  # an answer that is not what it should be


def tell(house: House, say: Callable[[str], None] = print, *, stop: threading.Event | None = None) -> bool:
    """Tell the whole story; return whether everything went as it should."""
    scene = Scene.open(house, stop or threading.Event())
    began = time.monotonic()
    failed: set[str] = set()
    lines = 0
    for number, act in enumerate(ACTS, 1):
        if scene.stop.is_set():
            break
        say(f"{number}  {act.title}")
        if missing := failed.intersection(act.needs):
            say(f"   –          not told: it builds on “{missing.pop()}”")
            failed.add(act.name)
            continue
        for step in act.steps:
            if not (told := _perform(scene, step, say, began)):
                failed.add(act.name)
                break
            lines += told
    if failed or scene.stop.is_set():
        say(f"The story did not go as it should. The logs are in {house.log_dir}.")
        return False
    say(f"All {lines} as promised, in {time.monotonic() - began:.0f} s.")
    for line in signposts(house):
        say(line)
    return True


def signposts(house: House) -> Iterator[str]:
    """Say where to look while everything stays up."""
    console, pbx = f"{house.origin}/console", house.stage["pbx"]
    data = {"call_id": "again", "direction": "inbound", "from": ZOE.number.e164, "agent": {"extension": "201"}}
    event = {"key": cast.ALICE_LTD.pbx_key, "event": {"type": "call.ringing", "data": data}}
    yield f"Console   {console}/  (sign in with Zoho; choose {cast.ALICE} on the consent page)"
    yield f"Panel     {console}/panel  (choose {cast.BOB}; {cast.CHARLIE} is next door)"
    yield f"Ring Bob  curl {pbx}/_stage/send -H 'Content-Type: application/json' -d '{json.dumps(event)}'"
    yield f"Stage     {', '.join(f'{name} {urlsplit(origin).netloc}' for name, origin in house.stage.items())}"
    yield "          (what each heard: GET /_stage/requests; what else it can do: the docstring of its sandbox)"
    yield f"Logs      {house.log_dir}"


def _perform(scene: Scene, step: Step, say: Callable[[str], None], began: float) -> int:
    """Do one step; return how many things were seen, 0 when something was amiss."""
    seen = 0

    def line(sign: str, words: str) -> None:
        say(f"   {sign} {time.monotonic() - began:5.1f} s  {words}")

    try:
        for words in step(scene):
            line("✓", words)
            seen += 1
    except Amiss as error:
        line("✗", str(error))
        return 0
    except requests.RequestException as error:
        line("✗", f"somebody did not answer: {type(error).__name__} for {error.request.url if error.request else '?'}")
        return 0
    except UNREADABLE as error:
        line("✗", f"an answer was not as expected: {type(error).__name__}: {error}")
        return 0
    return seen
