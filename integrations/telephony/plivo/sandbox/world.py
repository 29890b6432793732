"""What the understudy remembers, how it words a call, and how it signs and posts what it tells."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from integrations.telephony.sandbox import Json, World, deliver

ENDS = {  # outcome: CallStatus, HangupCause, HangupCauseCode, HangupCauseName
    "answered": ("completed", "NORMAL_CLEARING", 4000, "Normal Hangup"),
    "missed": ("no-answer", "NO_ANSWER", 6010, "Ring Timeout Reached"),
    "busy": ("busy", "USER_BUSY", 3010, "Busy Line"),
    "rejected": ("busy", "CALL_REJECTED", 3020, "Rejected"),
    "cancelled": ("cancel", "ORIGINATOR_CANCEL", 6000, "Cancelled"),
    "failed": ("failed", "UNKNOWN", 2000, "Failed"),
}


def local(account: Json, at: datetime) -> str:
    """Write a time as callbacks do: on the account's clock, whole seconds, no offset."""
    return f"{at.astimezone(timezone(timedelta(minutes=account['zone_minutes']))):%Y-%m-%d %H:%M:%S}"


def leg(caller: str, callee: str, direction: str, parent: str | None, started: datetime) -> Json:
    return {
        "call_uuid": str(uuid.uuid4()),
        "parent_call_uuid": parent,
        "from_number": caller,
        "to_number": callee,
        "call_direction": direction,
        "initiation_time": started,
        "answer_time": None,
        "end_time": None,
    }


def ended(row: Json, outcome: str, end: datetime, answered: datetime | None) -> None:
    _, _, code, name = ENDS[outcome]
    talk = int((end - answered).total_seconds()) if answered else 0
    row |= {"answer_time": answered, "end_time": end, "call_duration": talk, "bill_duration": -(-talk // 60) * 60}
    row |= {"hangup_cause_code": code, "hangup_cause_name": name, "call_state": "ANSWER" if answered else "NO_ANSWER"}


def common(account: Json, row: Json, event: str, status: str) -> Json:
    return {
        "CallUUID": row["call_uuid"],
        "RequestUUID": row["call_uuid"],
        "From": row["from_number"],
        "To": row["to_number"],
        "Direction": row["call_direction"],
        "Event": event,
        "CallStatus": status,
        "CallerName": row.get("caller_name", ""),
        "ParentAuthID": account["auth_id"],
        "STIRVerification": "Not Applicable",
        "SessionStart": f"{row['initiation_time'] + timedelta(milliseconds=1900):%Y-%m-%d %H:%M:%S.%f}",
    }


def hangup(account: Json, row: Json, outcome: str) -> Json:
    """Word the last callback of a first leg, in the account's own time; the A leg is named once it was answered."""
    status, cause, code, name = ENDS[outcome]
    answered = row["answer_time"]
    form = common(account, row, "Hangup", status) | {
        "HangupCause": cause,
        "HangupCauseCode": str(code),
        "HangupCauseName": name,
        "HangupSource": "Callee",
        "StartTime": local(account, row["initiation_time"]),
        "AnswerTime": local(account, answered) if answered else "",
        "EndTime": local(account, row["end_time"]),
        "Duration": str(row["call_duration"]),
        "BillDuration": str(row["bill_duration"]),
        "TotalCost": "0.00000",
    }
    return form | ({"ALegUUID": row["call_uuid"], "ALegRequestUUID": row["call_uuid"]} if answered else {})


def dial(account: Json, root: Json, child: Json, event: str, *, times: bool) -> Json:
    action = event.removeprefix("Dial").lower()
    form = common(account, root, event, "in-progress") | {
        "DialAction": action,
        "DialALegUUID": root["call_uuid"],
        "DialBLegUUID": child["call_uuid"],
        "DialBLegStatus": action,
        "DialBLegFrom": child["from_number"],
        "DialBLegTo": child["to_number"],
    }
    if event == "DialHangup":
        form |= {"DialBLegDuration": str(child["call_duration"]), "DialBLegHangupCause": "NORMAL_CLEARING"}
        if not child["answer_time"]:
            form["DialBLegHangupCause"] = "NO_ANSWER"
    if times and child["answer_time"]:
        form |= {
            "StartTime": local(account, root["initiation_time"]),
            "AnswerTime": local(account, child["answer_time"]),
        }
    return form


def recording(account: Json, row: Json, origin: str) -> Json:
    """Keep a recording of a leg and word the API's own callback, which spells its fields in lower case."""
    id, began, end = str(uuid.uuid4()), row["answer_time"] or row["initiation_time"], row["end_time"]
    url = f"{origin}/v1/Account/{account['auth_id']}/Recording/{id}.mp3"
    account["recordings"][id] = {"recording_id": id, "recording_url": url, "call_uuid": row["call_uuid"]}
    return {
        "api_id": str(uuid.uuid4()),
        "call_uuid": row["call_uuid"],
        "record_url": url,
        "recording_id": id,
        "recording_duration": str(int((end - began).total_seconds())),
        "recording_start_ms": str(int(began.timestamp() * 1000)),
        "recording_end_ms": str(int(end.timestamp() * 1000)),
    }


def play(account: Json, wish: Json, now: datetime, origin: str) -> tuple[Json, list[Json]]:
    """Let a whole call happen that has just ended; return its first leg and what is posted of it."""
    ring, talk = timedelta(seconds=wish.get("ring_seconds", 4)), timedelta(seconds=wish.get("talk_seconds", 60))
    outcome, direction = wish.get("outcome", "answered"), wish.get("direction", "inbound")
    spoke = outcome == "answered"
    start = now - ring - (talk if spoke else timedelta())
    picked = start + ring if spoke else None
    root = leg(wish["from"], wish["to"], direction, None, start)
    children = [leg(wish["from"], number, "outbound", root["call_uuid"], start) for number in wish.get("ring", [])]
    ended(root, outcome, now, picked)
    answerer = wish.get("answered_by") or (children[0]["to_number"] if children else "")
    told = [common(account, root, "Ring", "ringing")] if direction == "outbound" else []
    times = wish.get("dial_times", True)
    for child in children:
        won = spoke and child["to_number"] == answerer
        ended(child, outcome if won or not spoke else "missed", now if won else start + ring, picked if won else None)
        if won:
            told.append(dial(account, root, child, "DialAnswer", times=times))
    told += [dial(account, root, child, "DialHangup", times=times) for child in children]
    told.append(hangup(account, root, outcome))
    if wish.get("recorded"):
        told.append(recording(account, root, origin))
    account["cdr"] += [root, *children]
    return root, told


def message(account: Json, wish: Json, now: datetime, origin: str) -> list[Json]:
    """Note a message that came, or that the account's own program sent; return what is posted of it."""
    id, media = str(uuid.uuid4()), wish.get("media", 0)
    sides = {"From": wish["from"].lstrip("+"), "To": wish["to"].lstrip("+")}
    account["messages"][id] = {  # as in Plivo's records: what it says is not kept
        "message_uuid": id,
        "message_time": local(account, now),
        "message_direction": "outbound" if wish.get("sent") else "inbound",
        "message_type": "mms" if media else "sms",
        "from_number": sides["From"],
        "to_number": sides["To"],
        "at": now.isoformat(),
    }
    form = sides | {"MessageUUID": id, "Type": "mms" if media else "sms", "Units": "1", "TotalRate": "0"}
    if wish.get("sent"):
        end = {"refused": "failed", "failed": "undelivered"}.get(wish.get("outcome", ""), "delivered")
        steps = ("queued", *(("sent",) if end != "failed" else ()), end)
        form |= {"MessageTime": f"{now:%Y-%m-%d %H:%M:%S.%f}", "ErrorCode": "", "MCC": "214"}
        told = [form | {"Status": step, "Sequence": str(place)} for place, step in enumerate(steps, 1)]
        account["messages"][id]["message_state"] = end
        return [*told[:-1], told[-1] | ({"ErrorCode": str(wish.get("code", 1000))} if end != "delivered" else {})]
    pair, word = [sides["To"], sides["From"]], wish.get("text", "").strip().upper()
    if word in ("STOP", "START"):
        account["stopped"] = [one for one in account["stopped"] if one != pair] + ([pair] if word == "STOP" else [])
    form |= {"MessageIntent": "", "PowerpackUUID": "", "Body" if media else "Text": wish.get("text", "")}
    if media:
        form["MediaCount"] = str(media)
    return [form | {f"Media{place}": f"{origin}/media/{id}-{place}.jpg" for place in range(1, media + 1)}]


def signature(token: str, url: str, form: Mapping[str, str], nonce: str) -> str:
    """Sign a POST the V3 way: address, query, form sorted and run together, nonce."""
    address, _, query = url.partition("?")
    text = address
    if query or form:
        text += "?" + "&".join(sorted(query.split("&"))) if query else "?"
    if query and form:
        text += "."
    text += "".join(name + form[name] for name in sorted(form)) + "." + nonce
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha256).digest()).decode()


def post(world: World, account: Json, url: str, form: Json, tamper: str = "") -> int:
    """Sign and post one callback; return the door's status, 0 when there was no answer."""
    nonce = str(secrets.randbelow(10**20))
    token = secrets.token_hex(20) if tamper == "secret" else account["token"]
    signed = signature(token, url + ("/elsewhere" if tamper == "address" else ""), form, nonce)
    retired = signature("retired", url, form, nonce)  # one for each active token: the one being retired stands first
    sent = dict(form) | ({"To": "15005550006"} if tamper == "body" else {})
    if tamper == "blank":  # as a proxy does that drops what is empty
        sent = {name: value for name, value in sent.items() if value}
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Plivo-Signature-V3": ",".join((retired, signed[::-1] if tamper == "signature" else signed)),
        "X-Plivo-Signature-Ma-V3": signature("of the main account", url, form, nonce),
        "X-Plivo-Signature-V3-Nonce": nonce[::-1] + "1" if tamper == "nonce" else nonce,
    }
    if tamper == "v2":
        headers = {"X-Plivo-Signature-V2": signed, "X-Plivo-Signature-V2-Nonce": nonce}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    what = tamper or form.get("Event") or form.get("Status") or ("Text" if "MessageUUID" in form else "Record")
    note = {"call_uuid": form.get("CallUUID") or form.get("call_uuid"), "what": what}
    return deliver(world, account, url, form, sent, headers, note, tamper)
