"""The doors to notification channels: open, renew, change, list and close them."""

from typing import Any

from flask import Blueprint, Response, request

from integrations.zoho.sandbox import outbound
from integrations.zoho.sandbox.answers import (
    ItemRefused,
    Json,
    Refused,
    batch_status,
    body,
    done,
    items_of,
    nothing,
    page_of,
)
from integrations.zoho.sandbox.channels import Channel
from integrations.zoho.sandbox.clock import HOUR, WEEK, at, parse_time, show_time
from integrations.zoho.sandbox.gate import Caller, caller
from integrations.zoho.sandbox.metadata import module_id
from integrations.zoho.sandbox.world import DataCentre

MOST_CHANNELS = 50
TOKEN_CHARS = 50
MOST_FIELDS = 10
OPERATIONS = {"create", "edit", "delete", "all"}
DONE = "Successfully {} for actions-watch of the given module"


def doors(dc: DataCentre) -> Blueprint:
    """Build the doors of one data centre."""
    blueprint, world = Blueprint("notifications", __name__, url_prefix="/crm/v8"), dc.world

    def place(channel_id: str) -> tuple[str, str, str]:
        return caller().user.zuid, caller().client.client_id, channel_id

    def existing(channel_id: str) -> Channel:
        world.notifier.living()
        channel = world.notifier.channels.get(place(channel_id))
        if channel is None:
            raise ItemRefused("NOT_SUBSCRIBED", "not subscribed to the given channel", {"channel_id": channel_id})
        return channel

    def each(change: Any, said: str, all_well: int) -> tuple[Json, int]:
        results = []
        for index, sent in enumerate(items_of(body(), "watch", MOST_CHANNELS)):
            try:
                channel = change(sent if isinstance(sent, dict) else {}, f"$.watch[{index}]")
                results.append(done(DONE.format(said), {"events": _details(caller(), channel)}))
            except ItemRefused as refused:
                results.append(refused.body)
        return {"watch": results}, batch_status(results, all_well)

    @blueprint.post("/actions/watch")
    def enable() -> tuple[Json, int]:
        caller().needs("ZohoCRM.notifications.CREATE")

        def change(sent: Json, path: str) -> Channel:
            channel = _read(dc, sent, path)
            world.notifier.channels[place(channel.channel_id)] = channel
            return channel

        return each(change, "subscribed", 201)

    @blueprint.put("/actions/watch")
    def replace() -> tuple[Json, int]:
        caller().needs("ZohoCRM.notifications.UPDATE")

        def change(sent: Json, path: str) -> Channel:
            existing(str(sent.get("channel_id")))
            channel = _read(dc, sent, path)
            world.notifier.channels[place(channel.channel_id)] = channel
            return channel

        return each(change, "updated", 200)

    @blueprint.patch("/actions/watch")
    def amend() -> tuple[Json, int]:
        caller().needs("ZohoCRM.notifications.UPDATE")

        def change(sent: Json, path: str) -> Channel:
            old = existing(str(sent.get("channel_id")))
            if sent.get("_delete_events") is True:
                doomed = set(sent.get("events") or ())
                old.events = [event for event in old.events if event not in doomed]
                if not old.events:
                    del world.notifier.channels[place(old.channel_id)]
                return old
            events = [*dict.fromkeys([*old.events, *(sent.get("events") or ())])]
            kept: Json = {
                "notify_url": old.notify_url,
                "token": old.token,
                "channel_expiry": show_time(at(old.expires_at), old.user.zone),
                "return_affected_field_values": old.with_values,
                "notify_on_related_action": old.related,
                "notification_condition": old.condition,
            }
            channel = _read(dc, {**kept, **sent, "events": events}, path)
            world.notifier.channels[place(channel.channel_id)] = channel
            return channel

        return each(change, "updated", 200)

    @blueprint.delete("/actions/watch")
    def disable() -> tuple[Json, int]:
        caller().needs("ZohoCRM.notifications.DELETE")
        ids = [each for each in request.args.get("channel_ids", "").split(",") if each]
        if not ids:
            details = {"param_name": "channel_ids"}
            raise Refused(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", details)
        results = []
        for channel_id in ids:
            try:
                channel = existing(channel_id)
            except ItemRefused as refused:
                results.append(refused.body)
                continue
            del world.notifier.channels[place(channel_id)]
            details = {
                name: _details(caller(), channel)[0][name] for name in ("resource_uri", "resource_id", "channel_id")
            }
            results.append(done("Successfully un-subscribed for actions-watch of the given module", details))
        return {"watch": results}, batch_status(results, 200)

    @blueprint.get("/actions/watch")
    def listing() -> Response | Json:
        who, args = caller(), request.args
        who.needs("ZohoCRM.notifications.READ")
        own = [channel for channel in world.notifier.living() if channel.user == who.user]
        own = [channel for channel in own if channel.client_id == who.client.client_id]
        rows = [
            row | {"notify_url": channel.notify_url, "token": channel.token, "events": channel.events}
            for channel in own
            if args.get("channel_id") in {None, channel.channel_id}
            for row in _details(who, channel)
            if args.get("module") in {None, row["resource_name"]}
        ]
        page, size = page_of()
        shown = rows[(page - 1) * size : page * size]
        if not shown:
            return nothing()
        info = {"per_page": size, "count": len(shown), "page": page, "more_records": len(rows) > page * size}
        return {"watch": shown, "info": info}

    return blueprint


def _read(dc: DataCentre, sent: Json, path: str) -> Channel:
    """Turn one item of `watch` into a channel, or refuse it."""

    def refuse(name: str, code: str = "INVALID_DATA", **details: Any) -> ItemRefused:
        message = "required field not found" if code == "MANDATORY_NOT_FOUND" else "invalid data"
        return ItemRefused(code, message, {"api_name": name, "json_path": f"{path}.{name}", **details})

    for name in ("channel_id", "events", "notify_url"):
        if sent.get(name) in (None, "", []):
            raise refuse(name, "MANDATORY_NOT_FOUND")
    channel_id, events, token = str(sent["channel_id"]), sent["events"], sent.get("token")
    if not channel_id.isdecimal():
        raise refuse("channel_id", expected_data_type="bigint")
    pairs = [str(event).rpartition(".") for event in events] if isinstance(events, list) else []
    known = caller().org.tables
    if not pairs or any(module not in known or what not in OPERATIONS for module, _, what in pairs):
        raise refuse("events")
    if not outbound.is_acceptable(sent["notify_url"]):
        raise refuse("notify_url")
    if token is not None and (not isinstance(token, str) or len(token) > TOKEN_CHARS):
        raise refuse("token", maximum_length=TOKEN_CHARS)
    now = dc.world.clock.now()
    expires_at = now + HOUR
    if (text := sent.get("channel_expiry")) is not None:
        moment = parse_time(text)
        if moment is None or moment.timestamp() <= now:  # a fraction of a second is enough to be refused
            raise refuse("channel_expiry", expected_data_type="datetime")
        if moment.timestamp() <= now + WEEK:  # asking for more silently gives the default
            expires_at = moment.timestamp()
    condition = sent.get("notification_condition")
    watched: dict[str, set[str]] = {}
    for each in condition or []:
        try:
            module, fields = (
                each["module"]["api_name"],
                [f["field"]["api_name"] for f in each["field_selection"]["group"]],
            )
        except (KeyError, TypeError):
            raise refuse("notification_condition") from None
        if len(fields) > MOST_FIELDS:
            raise refuse("notification_condition", "LIMIT_EXCEEDED", limit=MOST_FIELDS)
        watched[str(module)] = set(map(str, fields))
    return Channel(
        channel_id=channel_id,
        user=caller().user,
        client_id=caller().client.client_id,
        origin=dc.origin,
        events=list(events),
        notify_url=sent["notify_url"],
        token=token,
        expires_at=expires_at,
        with_values=bool(sent.get("return_affected_field_values")),
        related=bool(sent.get("notify_on_related_action", True)),
        condition=condition,
        watched=watched,
    )


def _details(who: Caller, channel: Channel) -> list[Json]:
    """Describe a channel, once for each module it listens to."""
    return [
        {
            "channel_expiry": show_time(at(channel.expires_at), who.user.zone),
            "resource_uri": f"{channel.origin}/crm/v8/{name}",
            "resource_id": module_id(who.org.prefix, name),
            "resource_name": name,
            "channel_id": channel.channel_id,
        }
        for name in dict.fromkeys(event.rpartition(".")[0] for event in channel.events)
    ]
