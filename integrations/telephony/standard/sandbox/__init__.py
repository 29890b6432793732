"""The understudy of a `standard` platform: a small PBX that also plays the sender.

It answers and signs as `openapi.json` and the Standard Webhooks specification say, from those texts alone: nothing of
ours is imported. The REST side is the platform's; everything under `/_stage/` is for whoever directs the play:

    POST   /_stage/accounts    {key, door_url, secret, agents: [{extension, email}], page?, records?}: open an
                               account; with `records`, answered calls that are hung up here leave a recording
    POST   /_stage/send        {key, event: {type, timestamp?, data}, id?, times?, tamper?: signature|body|stale|secret}
    POST   /_stage/call        {key, call_id?, from, to, agent, direction, outcome, ring_seconds, talk_seconds, queue?,
                                recording_url?, record?: seconds of sound, started_at?, shuffle?: seed, copies?: n,
                                drop?: fraction}: a whole call
    POST   /_stage/answer      {key, call_id}: a call that rings is answered
    POST   /_stage/recordings  {key, call_id, seconds?}: keep a recording, return its address; no event tells of it
    POST   /_stage/retry       {key}: deliver once more what was never answered with 2xx, as a sender does
    POST   /_stage/entries     {key, entries: [{id?, name, company, numbers, emails}]}: somebody types entries in, or
                               edits them, as they please; DELETE {key, ids} takes them out
    GET    /_stage/phonebook   ?key=: what was put; likewise typed (in), cdr, deliveries (ids, types, statuses), live,
                               recordings
    GET    /_stage/requests    what was asked of the REST side; DELETE forgets it
    POST   /_stage/faults      {match: "PUT /contacts", times, action: status|slow|hang_after|drop_after|html,
                                status?, seconds?, retry_after?}; DELETE clears them and lets go of what hangs
    POST   /_stage/clock       {advance: seconds}    POST /_stage/reset
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from flask import Flask

from integrations.telephony.standard.sandbox.rest import rest
from integrations.telephony.standard.sandbox.stage import stage
from integrations.telephony.standard.sandbox.world import World

SERVERS = ("pbx",)


def create_apps(origins: Mapping[str, str], now: Callable[[], float] = time.time) -> dict[str, Flask]:
    """Make the platform's one app. `origins` is what every understudy gets; this one hands out no address."""
    world = World(now)
    app = Flask("standard_pbx")
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    rest(app, world)
    stage(app, world)
    return {"pbx": app}
