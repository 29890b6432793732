"""Bulk read: a module is written out while one waits, and fetched as a zip with one CSV file in it.

https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/overview.html. What stands in the file is what stood in the
module when the job was made: whatever changes later is in no file, which is the nastiest moment it can be.
"""

import csv
import io
import zipfile
from datetime import datetime
from typing import Any

from flask import Blueprint, Response

from integrations.zoho.sandbox.answers import Json, Refused, body
from integrations.zoho.sandbox.clock import DAY, MINUTE, at, show_time
from integrations.zoho.sandbox.exports import Exports, Job
from integrations.zoho.sandbox.gate import Caller, caller
from integrations.zoho.sandbox.metadata import MODULES, Module
from integrations.zoho.sandbox.records import table_of
from integrations.zoho.sandbox.tables import Row
from integrations.zoho.sandbox.world import DataCentre

SCOPE = "ZohoCRM.bulk.READ"
DOWNLOADS = 10  # a minute
NEVER = {"Notes"}  # modules that cannot be written out
STATES = ("ADDED", "QUEUED", "IN PROGRESS")  # what the first looks at a job see


def doors(dc: DataCentre) -> Blueprint:
    """Build the doors of one data centre."""
    blueprint, world = Blueprint("bulk", __name__, url_prefix="/crm/bulk/v8"), dc.world

    def job_of(who: Caller, job_id: str) -> Job:
        """Find a job of this organisation that is not a day old, if the scopes cover its module."""
        who.needs(SCOPE)
        job = world.exports.jobs.get(job_id)
        if job is None or job.org != who.org.name or world.clock.now() >= job.made_at + DAY:
            raise Refused(404, "RESOURCE_NOT_FOUND", "the requested resource does not exist", {"id": job_id})
        table_of(job.module.api_name, "READ", who)
        return job

    def state_of(job: Job) -> str:
        ends = job.made_at + world.knobs.bulk_seconds
        if job.looks < world.knobs.bulk_looks or world.clock.now() < ends:
            return STATES[min(job.looks, len(STATES) - 1)]
        return "FAILURE" if world.knobs.bulk_fails else "COMPLETED"

    @blueprint.post("/read")
    def begin() -> tuple[Json, int]:
        who, sent = caller(), body()
        who.needs(SCOPE)
        asked = sent.get("query")
        if not isinstance(asked, dict) or sent.get("file_type", "csv") != "csv":
            raise _wrong("query")
        named = asked.get("module")
        name = named.get("api_name") if isinstance(named, dict) else named
        if not isinstance(name, str) or name not in MODULES or name in NEVER:
            raise Refused(400, "INVALID_MODULE", "the module name given seems to be invalid", {"api_name": "module"})
        table = table_of(name, "READ", who)
        fields = asked.get("fields") or [one for one in table.module.fields if one != "id"]
        if not isinstance(fields, list) or not all(_known(table.module, one) for one in fields):
            raise _wrong("fields")
        page = _page_of(asked, world.exports)
        rows = list(table.rows.values())  # converted leads too
        most = world.knobs.bulk_rows
        chosen = rows[(page - 1) * most : page * most]
        job = Job(
            id=who.org.new_id(),
            org=who.org.name,
            module=table.module,
            fields=fields,
            rows=[_line(who, table.module, row, fields) for row in chosen],
            page=page,
            more=len(rows) > page * most,
            user={"id": who.user.id, "name": who.user.full_name},
            made_at=world.clock.now(),
        )
        world.exports.jobs[job.id] = job
        details = {"id": job.id, "operation": "read", "state": STATES[0], "created_by": job.user}
        details["created_time"] = show_time(at(job.made_at), who.user.zone)
        done = {"status": "success", "code": "ADDED_SUCCESSFULLY", "message": "Added successfully.", "details": details}
        return {"data": [done], "info": {}}, 201

    @blueprint.get("/read/<job_id>")
    def look(job_id: str) -> Json:
        who = caller()
        job = job_of(who, job_id)
        job.looks += 1
        told: Json = {
            "id": job.id,
            "operation": "read",
            "state": state_of(job),
            "query": {"module": {"api_name": job.module.api_name}, "page": job.page, "fields": job.fields},
            "created_by": job.user,
            "created_time": show_time(at(job.made_at), who.user.zone),
            "file_type": "csv",
        }
        if told["state"] == "COMPLETED":
            told["result"] = {
                "page": job.page,
                "count": len(job.rows),
                "download_url": f"/crm/bulk/v8/read/{job.id}/result",
                "per_page": world.knobs.bulk_rows,
                "more_records": job.more,
                "next_page_token": job.token if job.more else None,
            }
        return {"data": [told]}

    @blueprint.get("/read/<job_id>/result")
    def result(job_id: str) -> Response:
        who, now = caller(), world.clock.now()
        job = job_of(who, job_id)
        last = world.exports.fetched[who.org.name]
        while last and last[0] <= now - MINUTE:
            last.popleft()
        if len(last) >= DOWNLOADS:
            raise Refused(429, "TOO_MANY_REQUESTS", "too many requests. please try again after some time")
        if state_of(job) != "COMPLETED":
            raise Refused(400, "INVALID_DATA", "the job is not completed", {"id": job.id})
        last.append(now)
        headers = {"Content-Disposition": f"attachment; filename={job.id}.zip"}
        return Response(_packed(job), mimetype="application/zip", headers=headers)

    return blueprint


def _wrong(name: str) -> Refused:
    return Refused(400, "INVALID_DATA", "the given data is not valid", {"api_name": name})


def _page_of(asked: Json, exports: Exports) -> int:
    """Read which part is wanted: by number, or by the word the last part came with."""
    if token := asked.get("page_token"):
        if not any(job.more and job.token == token for job in exports.jobs.values()):
            raise _wrong("page_token")
        return int(str(token).partition(".")[2])
    page = asked.get("page", 1)
    if not isinstance(page, int) or page < 1:
        raise _wrong("page")
    return page


def _known(module: Module, name: object) -> bool:
    """Say whether a column may be asked for: a field, or a field of the record it points to."""
    if not isinstance(name, str):
        return False
    own, _, further = name.partition(".")
    column = module.fields.get(own)
    if column is None or not further:
        return column is not None
    return column.lookup in MODULES and further in MODULES[column.lookup].fields


def _line(who: Caller, module: Module, row: Row, fields: list[str]) -> list[str]:
    return [row.id, *(_cell(who, module, row, name) for name in fields)]


def _cell(who: Caller, module: Module, row: Row, name: str) -> str:
    """Write a value as the file does: a lookup by its id, a time as ISO 8601, nothing as nothing."""
    own, _, further = name.partition(".")
    value: Any = row.get(own)
    if further and isinstance(value, dict):
        there = who.org.find(value["id"], module.fields[own].lookup)
        value = there[1].get(further) if there else None
    if isinstance(value, dict):
        value = value["id"]
    if isinstance(value, datetime):
        return show_time(value, who.user.zone)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _packed(job: Job) -> bytes:
    text, packed = io.StringIO(newline=""), io.BytesIO()
    csv.writer(text).writerows([["Id", *job.fields], *job.rows])
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{job.id}.csv", text.getvalue())
    return packed.getvalue()
