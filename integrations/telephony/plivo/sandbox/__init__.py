"""The understudy of Plivo's Voice API: calls made of legs, signed callbacks, a list of calls, recordings,
text messages.

Written from Plivo's documentation and samples alone: nothing of ours is imported. The REST side is Plivo's; everything
under `/_stage/` is for whoever directs the play:

    POST   /_stage/accounts    {auth_id, token, door_url, zone_minutes?, page?, numbers?: [{number, sms?}],
                                verified?: [number]}: open an account; one with verified numbers is on trial
    POST   /_stage/call        {auth_id, from, to, direction?, ring?: ["sip:201@phone.plivo.com", ...], answered_by?,
                                outcome?, cause?, ring_seconds?, talk_seconds?, recorded?, dial_times?: bool,
                                shuffle?: seed, copies?, drop?}: a whole call
    POST   /_stage/text        {auth_id, from, to, text?, media?: number, sent?: bool, outcome?: failed|refused, code?,
                                copies?, drop?}; a text STOP or START is obeyed
    POST   /_stage/next_text   {auth_id, outcome?, code?}: what becomes of the next text sent by the REST side
    POST   /_stage/send        {auth_id, form, times?, tamper?: signature|body|blank|address|secret|nonce|v2}
    POST   /_stage/retry       {auth_id}: deliver once more what was never answered with 2xx
    GET    /_stage/cdr|deliveries|recordings|messages  ?auth_id=
    GET    /_stage/requests    what was asked of the REST side; DELETE forgets it
    POST   /_stage/faults      {match: "GET /v1/Account", times, action: status|html|slow|drop_after, status?, seconds?,
                                retry_after?}; DELETE clears them
    POST   /_stage/clock       {advance: seconds}    POST /_stage/reset
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from flask import Flask

from integrations.telephony.plivo.sandbox.rest import rest
from integrations.telephony.plivo.sandbox.world import message, play, post
from integrations.telephony.sandbox import Json, Play, World, stage

SERVERS = ("plivo",)


def create_apps(origins: Mapping[str, str], now: Callable[[], float] = time.time) -> dict[str, Flask]:
    """Make Plivo's one app: its API, and the host its recordings are fetched from."""
    world, app = World(now), Flask("plivo")
    rest(app, world)
    how = Play("auth_id", ("call_uuid", "call_uuid"), fresh, play, message, post)
    stage(app, world, origins.get("plivo", ""), how)
    return {"plivo": app}


def fresh() -> Json:
    """What a new account has; its clock is ahead of UTC by `zone_minutes`."""
    kept: Json = {"cdr": [], "live": {}, "recordings": {}, "messages": {}, "deliveries": [], "owed": []}
    return kept | {"zone_minutes": 0, "page": 20, "numbers": [], "verified": None, "stopped": []}
