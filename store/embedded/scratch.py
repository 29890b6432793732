"""Short-lived folders outside the data folder, removed at stop and, after a kill -9, at the next start."""

import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "linekeeper-"


class Scratch:
    """Make temporary folders and remember them in a file: no end of ours, however sudden, leaves them for good."""

    def __init__(self, record: Path) -> None:
        self._record = record

    def make(self, where: Path | None = None) -> Path:
        """Make a folder of ours alone (0700), written down before it is used."""
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
        with self._record.open("a") as record:
            record.write(f"{folder}\n")
        return folder

    def sweep(self) -> None:
        """Remove every folder on record; one that is not plainly ours (its name, its owner) is left alone."""
        if not self._record.exists():
            return
        for line in self._record.read_text().splitlines():
            folder = Path(line)
            if folder.name.startswith(PREFIX) and folder.is_dir() and folder.lstat().st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)  # safe against symbolic links; ends at once on one
        self._record.unlink()
