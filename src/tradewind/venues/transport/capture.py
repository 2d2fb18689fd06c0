"""Raw capture of received frames: `recv_ts_ns SP frame`, gzip, rotated by size; `RecordedFeed` reads it
back.
"""

from __future__ import annotations

import gzip
from pathlib import Path

MAX_FILE_BYTES = 256 * 1024 * 1024
DEFAULT_MAX_FILES = 64


class RawCapture:
    """Writes frames to `<directory>/<name>-<n>.gz`; sizes are before compression.

    At `max_files` files the oldest of this capture is removed, so a forgotten capture cannot fill a disk.
    Raises `OSError` from `write` when the disk refuses; the caller decides that a feed goes on without
    capture.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        max_file_bytes: int = MAX_FILE_BYTES,
        max_files: int = DEFAULT_MAX_FILES,
    ) -> None:
        if max_file_bytes < 1 or max_files < 1:
            raise ValueError("max_file_bytes and max_files must be at least 1")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.name = name
        self.max_file_bytes = max_file_bytes
        self.max_files = max_files
        self.frames = 0
        self.files: list[Path] = []
        self._number = len(sorted(directory.glob(f"{name}-*.gz")))
        self._written = 0
        self._stream: gzip.GzipFile | None = None

    def write(self, recv_ts_ns: int, frame: bytes) -> None:
        """Append one frame; line breaks inside JSON whitespace become spaces, so one frame stays one line."""
        line = b"%d %s\n" % (recv_ts_ns, frame.replace(b"\n", b" ").replace(b"\r", b" "))
        if self._stream is None or self._written + len(line) > self.max_file_bytes:
            self._rotate()
        assert self._stream is not None
        self._stream.write(line)
        self._written += len(line)
        self.frames += 1

    def _rotate(self) -> None:
        self.close()
        path = self.directory / f"{self.name}-{self._number:06d}.gz"
        self._stream = gzip.open(path, "wb", compresslevel=3)  # noqa: SIM115 closed by the next rotation
        self._number += 1
        self._written = 0
        self.files.append(path)
        while len(self.files) > self.max_files:
            self.files.pop(0).unlink(missing_ok=True)

    def close(self) -> None:
        """Finish the present file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
