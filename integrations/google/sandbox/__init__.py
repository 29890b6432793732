"""Google's understudy: the OAuth pages, Gmail, People and Pub/Sub push that Linekeeper talks to, played on one origin.

It imports Flask and the standard library only, so it cannot share a mistake of ours, and production code never knows of
it: only `GOOGLE_AUTH_URI`, `GOOGLE_TOKEN_URI`, `GOOGLE_REVOKE_URI`, `GOOGLE_CERTS_URI` and `GOOGLE_API_ROOT` differ. It
keeps state, holds callers to the documented scopes, limits and error bodies, signs with a key of its own making, and
misbehaves on request. Facts come from the pages of Google named beside each rule and from the discovery documents
gmail.v1 and people.v1.

    accounts, grants, scopes, tokens    consent, codes and tokens, what scopes open, RS256
    api, quota, masks, batch            what all methods share: the gate, the price, `fields`, multipart batches
    gmail, mailbox, query, mime, push   mail and the notifications about it
    people, phonebook, persons          contacts and their sync
    hosts, workspace, drawing           add-on hosts: events, one file, one's own calendar, cards as people see them
    calendar                            when somebody is busy
    chat                                messages the app sends by itself, as its service account
    sheets                              spreadsheets an application made
    risc                                what Google says of accounts (Cross-Account Protection)
    streams                             where they are sent, as a service account tells it
    robots, marketplace, licences       service accounts; who installed an application, and their licences
    frontdoor, faults, knobs, control   the stage's side: what goes wrong, what can be turned, `/_stage/`

Not played here: uploads and drafts.

The stage drives it under `/_stage/` (JSON in and out; `GET` looks, `POST` acts):

    POST reset                          empty everything
    POST clock      {advance}           turn the clock forward by seconds
    POST clients    {client_id, client_secret, redirect_uris, project?}
    POST users      {email, name, hd?, admin_blocks_app?}
    POST account    {user, event}       consent_withdrawn, password_changed, access_expired, disabled, enabled
    POST contacts   {user, contacts, other?}; contacts/edit {user, resourceName, person};
                    contacts/delete {user, resourceName | resourceNames}; contacts/rename {user, resourceName}
    GET  contacts   ?user=&other=
    POST mail       {user, from, to?, cc?, subject?, text?, html?, date?, headers?, labels?, attachments?, message_id?,
                    in_reply_to?}; mail/delete {user, id}; mail/labels {user, id, add?, remove?}
    GET  mail, sent, tokens             ?user=
    POST addon      {client_id, service_account}; whose tokens the hosts bring
    POST addon/event {user, host, endpoint, scopes, message?, parameters?, formInputs?, on?, ...}: a request to post
    POST addon/answers {name, answer}: what Google would not show of it; DELETE; GET addon/cards draws them all
    POST files      {user, id, kind, text}; a file the user lets us see
    GET  appointments ?user=
    POST busy       {user, times: [[start, end], ...], error?}: what their calendar says
    POST chat/space {user}: they add the app; chat/leave {space}; GET chat: what the app said
    POST sheets     {id, do}: delete, unshare, rename tab, write {row, cells}; GET: what stands in them
    POST pubsub     {topic, endpoint, audience?, service_account, subscription?}; GET; DELETE ?subscription=
    GET  stream                         the registered one, and how its tests were answered
    POST risc       {event, user, endpoint, audience?, reason?, algorithm?, state?, jti?, times?, claims?}; GET
    POST service-account {email, n, e, roles?}: a public key of one
    POST marketplace {application, whom: a domain or an address, by: admin, user or billing, installed?, scopes?}
    POST keys/rotate                    sign with a new key from now on
    POST knobs      {name: value}; GET  see `knobs.py`
    POST faults     {match, action, times?, status?, seconds?, body?, headers?}; GET; DELETE releases what hangs
    GET  requests                       counts per "METHOD /path/{template}" and the last ones; DELETE
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from flask import Flask

from . import accounts, api, batch, calendar, chat, control, gmail, licences, people, risc, sheets, streams, workspace
from .frontdoor import FrontDoor
from .world import World

SERVERS = ("google",)


def create_apps(origins: Mapping[str, str], now: Callable[[], float] = time.time) -> dict[str, Flask]:
    """Build the understudy for the origin it will be served from."""
    world = World(origins["google"], now)
    app = Flask("google-understudy", static_folder=None)
    api.install_errors(app)
    accounts.install(app, world)
    gmail.install(app, world)
    people.install(app, world)
    workspace.install(app, world)
    batch.install(app)
    control.install(app, world)
    risc.install(app, world)
    licences.install(app, world)
    streams.install(app, world)
    calendar.install(app, world)
    chat.install(app, world)
    sheets.install(app, world)
    app.wsgi_app = FrontDoor(app, world)  # type: ignore[method-assign]  # Flask documents wrapping it in place
    return {"google": app}


__all__ = ["SERVERS", "create_apps"]
