"""The understudy of Twilio's Programmable Voice: calls made of legs, signed callbacks, a list of calls,
recordings, text messages.

Written from Twilio's documentation alone: nothing of ours is imported. The REST side is Twilio's; everything under
`/_stage/` is for whoever directs the play:

    POST   /_stage/accounts    {sid, token, door_url, page?, numbers?: [{number, sms?}], verified?: [number]}: open an
                               account; one with verified numbers is on trial
    POST   /_stage/call        {sid, from, to, ring: ["client:201", ...], answered_by?, outcome?, by?: "client:201",
                                ring_seconds?, talk_seconds?, recorded?, voicemail?, shuffle?: seed, copies?, drop?}
    POST   /_stage/text        {sid, from, to, text?, media?: number, sent?: bool, outcome?: failed|refused, code?,
                                copies?, drop?}; a text STOP or START is obeyed
    POST   /_stage/next        {sid, outcome?}: how the next customer dialled by the REST side behaves
    POST   /_stage/next_text   {sid, outcome?, code?}: what becomes of the next text sent by the REST side
    POST   /_stage/send        {sid, form, times?, tamper?: signature|body|blank|address|secret}
    POST   /_stage/retry       {sid}: deliver once more what was never answered with 2xx
    GET    /_stage/cdr|deliveries|recordings|messages  ?sid=
    GET    /_stage/requests    what was asked of the REST side; DELETE forgets it
    POST   /_stage/faults      {match: "GET /2010-04-01", times, action: status|html|slow|drop_after, status?, seconds?,
                                retry_after?}; DELETE clears them
    POST   /_stage/clock       {advance: seconds}    POST /_stage/reset
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from flask import Flask

from integrations.telephony.sandbox import Json, Play, World, stage
from integrations.telephony.twilio.sandbox.rest import rest
from integrations.telephony.twilio.sandbox.world import message, play, post

SERVERS = ("twilio",)


def create_apps(origins: Mapping[str, str], now: Callable[[], float] = time.time) -> dict[str, Flask]:
    """Make Twilio's one app."""
    world, app = World(now), Flask("twilio")
    rest(app, world)
    stage(app, world, origins.get("twilio", ""), Play("sid", ("sid", "call_sid"), fresh, play, message, post))
    return {"twilio": app}


def fresh() -> Json:
    """What a new account has."""
    kept: Json = {"cdr": [], "recordings": {}, "messages": {}, "deliveries": [], "owed": [], "posted": 0, "page": 1000}
    return kept | {"numbers": [], "verified": None, "stopped": []}
