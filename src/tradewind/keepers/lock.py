"""One running worker per identity and kind: a lock on a file that ends with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

FOLDER: Final = "keepers"
DIRECTORY_MODE: Final = 0o700


class WorkerLocked(Exception):
    """Another process runs this worker already."""


class WorkerLock:
    """Holds `DATA/keepers/NAME.lock` while it is open. The operating system gives it back with the
    process."""

    def __init__(self, data: Path, name: str) -> None:
        folder = data / FOLDER
        folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        self.path = folder / f"{name.replace(':', '-')}.lock"
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._handle, 32).decode(errors="replace").strip()
            os.close(self._handle)
            raise WorkerLocked(f"{name} runs already in process {holder or 'unknown'}") from error
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Lets another process run the worker; the file stays."""
        os.close(self._handle)
