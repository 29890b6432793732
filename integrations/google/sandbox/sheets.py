"""Google Sheets as far as a call log needs it: a spreadsheet is made, added to and read, and found again in Drive.

An application with `drive.file` sees the files it made and no others. Rows go below the table the range names
(https://developers.google.com/workspace/sheets/api/guides/values#appending_values); what looks like a formula becomes
one under `USER_ENTERED` and stays text under `RAW`.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from flask import Flask

from .api import Api, Call, Json
from .control import Unclear, body, text
from .errors import GoogleError, bad, not_found
from .scopes import scopes
from .spreadsheet import Sheet
from .world import World

WRITE = scopes("drive", "drive.file", "spreadsheets")
READ = WRITE | scopes("drive.readonly", "spreadsheets.readonly")
FIND = scopes("drive", "drive.file", "drive.readonly", "drive.metadata.readonly")
RANGE = re.compile(r"([A-Za-z ]+)!([A-Z])(\d*)(?::([A-Z])(\d*))?")
NAMED = re.compile(r"name = '([^']*)' and mimeType = '([^']*)' and trashed = false")
KIND = "application/vnd.google-apps.spreadsheet"
MOST_CELLS = 10_000_000


def install(app: Flask, world: World) -> None:
    """Open the methods, and the stage's side of them."""
    drive = Api(app, world, "www.googleapis.com", "/drive/v3")
    sheets = Api(app, world, "sheets.googleapis.com", "/v4")

    @drive.method("GET", "/files", FIND)
    def find(call: Call) -> Json:
        asked = NAMED.fullmatch(call.text("q"))
        if asked is None:
            raise bad("Invalid Value: q")
        found = [
            {"id": id, "name": one.title, "mimeType": KIND, "kind": "drive#file"}
            for id, one in world.sheets.items()
            if one.user == call.user.email and one.shared and not one.trashed
            if (one.title, KIND) == (asked[1], asked[2])
        ]
        return {"kind": "drive#fileList", "files": found}

    @sheets.method("POST", "/spreadsheets", WRITE)
    def create(call: Call) -> Json:
        asked = call.body()
        tab = (asked.get("sheets") or [{}])[0]
        given = [row for part in tab.get("data", ()) for row in part.get("rowData", ())]
        rows = [[cell.get("userEnteredValue", {}).get("stringValue", "") for cell in row["values"]] for row in given]
        named = tab.get("properties", {}).get("title", "Sheet1")
        made = secrets.token_urlsafe(32)
        world.sheets[made] = Sheet(call.user.email, asked.get("properties", {}).get("title", ""), named, rows)
        return {"spreadsheetId": made, "spreadsheetUrl": f"{world.origin}/spreadsheets/d/{made}/edit"}

    @sheets.method("POST", "/spreadsheets/<sheet>/values/<where>", WRITE)
    def append(call: Call, sheet: str, where: str) -> Json:
        one, (first, _) = opened(call, sheet), place(world, sheet, where.removesuffix(":append"))
        how = call.text("valueInputOption")
        if how not in ("RAW", "USER_ENTERED"):
            raise bad("'valueInputOption' is required but not specified")
        rows = call.body().get("values", [])
        if sum(map(len, [*one.rows, *rows])) > MOST_CELLS:
            raise bad("This action would increase the number of cells in the workbook above the limit.")
        one.rows += [[entered(cell, how) for cell in row] for row in rows]
        return {"spreadsheetId": sheet, "updates": {"updatedRows": len(rows), "updatedRange": f"{one.tab}!{first}"}}

    @sheets.method("GET", "/spreadsheets/<sheet>/values/<where>", READ)
    def get(call: Call, sheet: str, where: str) -> Json:
        one, (first, last) = opened(call, sheet), place(world, sheet, where)
        cells = [row[ord(first) - 65 : ord(last) - 64] for row in one.rows]
        if call.text("majorDimension") == "COLUMNS":
            cells = [[row[at] if at < len(row) else "" for row in cells] for at in range(ord(last) - ord(first) + 1)]
        return {"range": where, "values": cells} if one.rows else {"range": where}

    def opened(call: Call, sheet: str) -> Sheet:
        one = world.sheets.get(sheet)
        if one is None or one.user != call.user.email:
            raise not_found()
        if not one.shared:
            raise GoogleError(403, "The caller does not have permission", "forbidden")
        return one

    @app.get("/_stage/sheets")
    def show_sheets() -> Json:
        return {"sheets": {id: {"title": one.title, "rows": one.rows} for id, one in world.sheets.items()}}

    @app.post("/_stage/sheets")
    def change_sheet() -> Json:
        asked = body()
        one = world.sheets.get(text(asked, "id"))
        if one is None:
            raise Unclear("there is no such spreadsheet")
        match asked.get("do"):
            case "delete":
                del world.sheets[text(asked, "id")]
            case "unshare":
                one.shared = False
            case "rename tab":
                one.tab = "Mine"
            case "write":
                one.rows[int(asked["row"])] = asked["cells"]
            case _:
                raise Unclear("do is delete, unshare, rename tab or write")
        return {}


def place(world: World, sheet: str, where: str) -> tuple[str, str]:
    """The first and last column of a range."""
    found = RANGE.fullmatch(where)
    if found is None or found[1] != world.sheets[sheet].tab:
        raise bad(f"Unable to parse range: {where}")
    return found[2], found[4] or found[2]


def entered(cell: Any, how: str) -> Any:
    """A cell as it stands there then."""
    return {"formula": cell} if how == "USER_ENTERED" and isinstance(cell, str) and cell.startswith("=") else cell
