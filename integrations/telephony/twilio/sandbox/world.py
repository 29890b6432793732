"""What the understudy remembers, how it words a call, and how it signs and posts what it tells."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlsplit
from xml.etree import ElementTree

from integrations.telephony.sandbox import Json, World, deliver

FINAL = ("completed", "busy", "no-answer", "failed", "canceled")
ENDS = {"missed": "no-answer", "no_answer": "no-answer", "busy": "busy", "failed": "failed", "cancelled": "canceled"}


def new(prefix: str) -> str:
    return prefix + secrets.token_hex(16)


def rfc2822(at: datetime | None) -> str | None:
    return format_datetime(at.astimezone(UTC)) if at else None


def leg(account: Json, caller: str, callee: str, direction: str, parent: str | None, started: datetime) -> Json:
    return {
        "sid": new("CA"),
        "parent_call_sid": parent,
        "account_sid": account["sid"],
        "from": caller,
        "to": callee,
        "direction": direction,
        "status": "queued",
        "start_time": started,
        "end_time": None,
        "duration": None,
        "steps": 0,
        "callback": (account["door_url"], ("completed",) if parent is None else ("ringing", "answered", "completed")),
    }


def callback(row: Json, status: str, at: datetime, talk: int = 0) -> Json:
    """Word one step of a leg as Twilio posts it; most of the places are known and empty."""
    form = {
        "CallSid": row["sid"],
        "AccountSid": row["account_sid"],
        "From": row["from"],
        "To": row["to"],
        "Caller": row["from"],
        "Called": row["to"],
        "CallStatus": status,
        "ApiVersion": "2010-04-01",
        "Direction": row["direction"],
        "FromCity": "",
        "ToCity": "",
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(row["steps"]),
        "Timestamp": rfc2822(at),
    }
    row["steps"] += 1
    row["status"] = status
    if row["parent_call_sid"]:
        form["ParentCallSid"] = row["parent_call_sid"]
    if status in FINAL:
        row["end_time"], row["duration"] = at, talk if status == "completed" else None
        form |= {"CallDuration": str(talk), "Duration": str(-(-talk // 60))}
    return form


def wanted(row: Json, form: Json) -> bool:
    step = {"in-progress": "answered"}.get(form["CallStatus"], form["CallStatus"])
    return bool(row["callback"][0]) and ("completed" if step in FINAL else step) in row["callback"][1]


def redirected(account: Json, row: Json, twiml: str, now: datetime) -> list[tuple[Json, Json]]:
    """Have a leg leave whomever it speaks with and dial somebody else, who answers; return what there is to tell."""
    dial = ElementTree.fromstring(twiml)[0]
    others = [
        one
        for one in account["cdr"]
        if one["status"] not in FINAL and (one["parent_call_sid"] == row["sid"] or one["sid"] == row["parent_call_sid"])
    ]
    told = [(one, callback(one, "completed", now, int((now - one["start_time"]).total_seconds()))) for one in others]
    noun = dial[0]
    whom = f"client:{noun.text}" if noun.tag == "Client" else noun.text or ""
    child = leg(account, dial.get("callerId") or row["from"], whom, "outbound-dial", row["sid"], now)
    child["callback"] = (noun.get("statusCallback", ""), (noun.get("statusCallbackEvent") or "").split())
    told += [(child, callback(child, status, now)) for status in ("ringing", "in-progress")]
    account["cdr"].append(child)
    return told


def recording(account: Json, row: Json, began: datetime, length: int, source: str, origin: str) -> Json:
    sid = new("RE")
    url = f"{origin}/2010-04-01/Accounts/{account['sid']}/Recordings/{sid}"
    account["recordings"][sid] = {"sid": sid, "call_sid": row["sid"], "media_url": url, "duration": str(length)}
    return {
        "AccountSid": account["sid"],
        "CallSid": row["sid"],
        "RecordingSid": sid,
        "RecordingUrl": url,
        "RecordingStatus": "completed",
        "RecordingDuration": str(length),
        "RecordingChannels": "1",
        "RecordingStartTime": rfc2822(began),
        "RecordingSource": source,
    }


def play(account: Json, wish: Json, now: datetime, origin: str) -> tuple[Json, list[Json]]:
    """Let a whole call happen that has just ended, or goes on; return its root and what is posted of it."""
    ring, talk = timedelta(seconds=wish.get("ring_seconds", 4)), timedelta(seconds=wish.get("talk_seconds", 60))
    outcome = wish.get("outcome", "answered")
    lasted = ring + (talk if outcome == "answered" or wish.get("voicemail") else timedelta())
    start, end = now - lasted, now
    root = leg(account, wish.get("by") or wish["from"], wish["to"], "inbound", None, start)
    told = []
    children = [
        leg(account, wish["from"], number, "outbound-dial", root["sid"], start)
        for number in wish.get("ring", [wish["to"]])
    ]
    for child in children:
        told.append((child, callback(child, "ringing", start)))
    answerer = wish.get("answered_by") or (children[0]["to"] if children else "")
    for child in children:
        if outcome == "answered" and child["to"] == answerer:
            told.append((child, callback(child, "in-progress", start + ring)))
            if not wish.get("going_on"):
                told.append((child, callback(child, "completed", end, int(talk.total_seconds()))))
        else:
            why = "no-answer" if outcome == "answered" else ENDS.get(outcome, "no-answer")
            told.append((child, callback(child, why, start + ring)))
    if wish.get("going_on"):
        root["status"] = "in-progress"
    else:
        told.append((root, callback(root, "completed", end, int(lasted.total_seconds()))))
    posted = [form for row, form in told if wanted(row, form)]
    length = int(talk.total_seconds())
    if wish.get("recorded"):
        posted.append(recording(account, root, start + ring, length, "DialVerb", origin))
    if wish.get("voicemail"):
        posted.append(recording(account, root, start + ring, length, "RecordVerb", origin))
    account["cdr"] += [root, *children]
    return root, posted


def message(account: Json, wish: Json, now: datetime, origin: str) -> list[Json]:
    """Keep a message that came, or that the account's own program sent; return what is posted of it."""
    sid = new("MM" if wish.get("media") else "SM")
    where = f"{origin}/2010-04-01/Accounts/{account['sid']}/Messages/{sid}/Media"
    media = [f"{where}/{new('ME')}" for _ in range(wish.get("media", 0))]
    sent, failed = wish.get("sent"), wish.get("outcome") in ("failed", "refused")
    steps = ("queued", *(("sent",) if wish.get("outcome") != "refused" else ()), _end(wish))
    account["messages"][sid] = {
        "sid": sid,
        "account_sid": account["sid"],
        "from": wish["from"],
        "to": wish["to"],
        "body": wish.get("text", ""),
        "num_media": str(len(media)),
        "num_segments": "1",
        "direction": "outbound-api" if sent else "inbound",
        "status": steps[-1] if sent else "received",
        "error_code": int(wish.get("code", 30008)) if failed else None,
        "date_created": rfc2822(now),
        "date_sent": rfc2822(now),
        "media": [link.rpartition("/")[2] for link in media],
    }
    form = {"MessageSid": sid, "SmsSid": sid, "AccountSid": account["sid"], "From": wish["from"], "To": wish["to"]}
    form |= {"ApiVersion": "2010-04-01", "MessagingServiceSid": ""}
    if sent:
        code = {"ErrorCode": str(wish.get("code", 30008))} if failed else {}
        told = [form | {"MessageStatus": step, "SmsStatus": step} for step in steps]
        return [*told[:-1], told[-1] | code]
    pair = [wish["to"], wish["from"]]
    if wish.get("text", "").strip().upper() in ("STOP", "START"):
        account["stopped"] = [one for one in account["stopped"] if one != pair]
        account["stopped"] += [pair] if wish["text"].strip().upper() == "STOP" else []
    form |= {"SmsMessageSid": sid, "SmsStatus": "received", "Body": wish.get("text", ""), "FromCity": ""}
    form |= {"NumSegments": "1", "NumMedia": str(len(media))}
    return [form | {f"MediaUrl{place}": link for place, link in enumerate(media)}]


def _end(wish: Json) -> str:
    """How far a message comes: not out of the house, not to the telephone, or all the way."""
    return {"refused": "failed", "failed": "undelivered"}.get(wish.get("outcome", ""), "delivered")


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """Sign as the documentation says: the address, then every parameter, sorted, name and value run together."""
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def post(world: World, account: Json, url: str, form: Json, tamper: str = "") -> int:
    """Sign and post one callback; return the door's status, 0 when there was no answer."""
    parts = urlsplit(url)
    with world.lock:
        account["posted"] += 1
        bare = parts._replace(fragment="").geturl()
        if account["posted"] % 2 and parts.port:  # the back end is of two minds about ports
            bare = bare.replace(f":{parts.port}", "", 1)
    token = secrets.token_hex(16) if tamper == "secret" else account["token"]
    signed = signature(token, bare + ("/elsewhere" if tamper == "address" else ""), form)
    sent = dict(form) | ({"To": "+15005550006"} if tamper == "body" else {})
    if tamper == "blank":  # as a proxy does that drops what is empty
        sent = {name: value for name, value in sent.items() if value}
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "X-Twilio-Signature": signed[::-1] if tamper == "signature" else signed,
        "I-Twilio-Idempotency-Token": secrets.token_hex(16),
    }
    what = tamper or form.get("CallStatus") or form.get("RecordingStatus") or form.get("MessageStatus") or "received"
    note = {"sid": form.get("CallSid") or form.get("MessageSid"), "what": what}
    return deliver(world, account, url, form, sent, headers, note, tamper)
