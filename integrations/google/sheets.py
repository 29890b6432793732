"""A spreadsheet of ours in a user's own Drive: made, found again by its name, added to, and read back.

`drive.file` reaches the files we made and no others (https://developers.google.com/workspace/drive/api/guides/api-specific-auth).
What is written stands as text and figures, never as a formula (`valueInputOption=RAW`). Adding rows is not idempotent:
whoever gets no answer reads the last column back, where each row has its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from domain.errors import NotAllowed, Refused
from integrations.google.discovery import leaf
from integrations.google.remedy import NotThere, is_ours
from integrations.google.transport import UserHttp, execute

TAB = "Calls"
KIND = "application/vnd.google-apps.spreadsheet"
LAST = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Cell = str | int


class SheetGone(Refused):
    """The spreadsheet was deleted, or is ours to write in no more."""

    code = "sheet.gone"


class SheetChanged(Refused):
    """The spreadsheet no longer has the tab or the column we write in."""

    code = "sheet.changed"


class GoogleSheets:
    """The spreadsheets we made for one Google user."""

    def __init__(self, user: UserHttp, root: str = "") -> None:
        self._user = user
        self._files = leaf(root, "drive", "v3", "files")
        self._sheets = leaf(root, "sheets", "v4", "spreadsheets")
        self._values = leaf(root, "sheets", "v4", "spreadsheets.values")

    def find(self, title: str) -> str:
        """The id of the spreadsheet of ours with this title that is in no bin, or ""."""
        wanted = f"name = '{title}' and mimeType = '{KIND}' and trashed = false"
        found = execute(self._files.list(q=wanted, fields="files(id)", pageSize=1), self._user).get("files") or [{}]
        return str(found[0].get("id", ""))

    def create(self, title: str, columns: Sequence[str], zone: str) -> str:
        """Make a spreadsheet with one tab and a row that names the columns. After Unanswered `find` it."""
        bold = {"textFormat": {"bold": True}}
        header = [{"userEnteredValue": {"stringValue": one}, "userEnteredFormat": bold} for one in columns]
        tab = {
            "properties": {"title": TAB, "gridProperties": {"frozenRowCount": 1}},
            "data": [{"startRow": 0, "startColumn": 0, "rowData": [{"values": header}]}],
        }
        body = {"properties": {"title": title, "timeZone": zone}, "sheets": [tab]}
        made = execute(self._sheets.create(body=body, fields="spreadsheetId"), self._user)
        return str(made.get("spreadsheetId", ""))

    def append(self, sheet: str, rows: Sequence[Sequence[Cell]]) -> None:
        """Add rows below the last. Raises SheetGone, SheetChanged; after Unanswered ask `ids`."""
        asked = self._values.append(
            spreadsheetId=sheet,
            range=f"{TAB}!A1:{LAST[len(rows[0]) - 1]}1",
            valueInputOption="RAW",
            insertDataOption="INSERT_ROWS",
            body={"majorDimension": "ROWS", "values": [[*row] for row in rows]},
        )
        self._do(asked)

    def ids(self, sheet: str, columns: Sequence[str]) -> set[str]:
        """What stands in the last column below its name. Raises SheetGone, SheetChanged."""
        last = LAST[len(columns) - 1]
        asked = self._values.get(spreadsheetId=sheet, range=f"{TAB}!{last}1:{last}", majorDimension="COLUMNS")
        (told,) = self._do(asked).get("values") or [[]]
        if not told or told[0] != columns[-1]:
            raise SheetChanged
        return {str(one) for one in told[1:]}

    def _do(self, asked: Any) -> dict[str, Any]:
        try:
            return execute(asked, self._user)
        except NotThere:
            raise SheetGone from None
        except NotAllowed as error:
            if is_ours(error):
                raise
            raise SheetGone from None
        except Refused as error:
            raise SheetChanged(str(error)) from None


def address(sheet: str) -> str:
    """Where people open it."""
    return f"https://docs.google.com/spreadsheets/d/{quote(sheet, safe='')}/edit"
