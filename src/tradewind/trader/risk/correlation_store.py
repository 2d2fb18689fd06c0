"""Versions of the correlation matrix on disk: shadow for a day, then in force; the last one can come back.

The version in force is a pointer that is replaced atomically. Without a folder everything stays in memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .correlation import BadMatrix, Correlation, check, constant, stressed
from .groups import PRIOR_RHO

HOUR_NS = 3_600 * 10**9
SHADOW_NS = 24 * HOUR_NS
LAST_GOOD_NS = 7 * 24 * HOUR_NS
MAX_VERSIONS = 64
MAX_BYTES = 4 << 20
POINTER = "active.json"


class Pointer(msgspec.Struct, kw_only=True):
    """Version numbers; 0 is none."""

    active: int = 0
    previous: int = 0
    shadow: int = 0
    shadow_since_ns: int = 0
    newest: int = 0


class CorrelationStore:
    """What is in force, what is in shadow, and what was in force before."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.problem = ""
        self._versions: dict[int, Correlation] = {}
        self.pointer = Pointer()
        if folder is not None:
            self._read(folder)

    # ---- what is in force ----------------------------------------------------------------------------

    def in_force(self, symbols: Sequence[str], now_ns: int) -> Correlation:
        """The matrix that counts: the active version while it is at most seven days old, behind that all
        pairs at 0.9; the prior before there was any.
        """
        active = self._versions.get(self.pointer.active)
        if active is None:
            if self.problem:
                return stressed(symbols, now_ns)
            return constant(symbols, PRIOR_RHO, "prior", now_ns)
        if now_ns - active.created_ns > LAST_GOOD_NS:
            return stressed(symbols, now_ns)
        return active

    def shadow(self) -> Correlation | None:
        """The version that waits, if any."""
        return self._versions.get(self.pointer.shadow)

    # ---- changes ---------------------------------------------------------------------------------------

    def propose(self, found: Correlation, now_ns: int) -> bool:
        """A new matrix: it waits in shadow for a day, and a shadow that has waited comes in force. True when
        the version in force changed. Raises `BadMatrix`; then the last good one stays.
        """
        if found.kind != "measured":
            return False
        check(found.rho)
        changed = False
        pointer = self.pointer
        if pointer.shadow and now_ns - pointer.shadow_since_ns >= SHADOW_NS:
            pointer.previous, pointer.active = pointer.active, pointer.shadow
            pointer.shadow = 0
            changed = True
        if not pointer.shadow:
            pointer.newest += 1
            pointer.shadow, pointer.shadow_since_ns = pointer.newest, now_ns
            self._versions[pointer.newest] = msgspec.structs.replace(found, version=pointer.newest)
            self._write_version(pointer.newest)
        self._forget()
        self._write_pointer()
        return changed

    def revert(self) -> int:
        """The version before comes back in force, and the one in force is dropped. Raises `BadMatrix` when
        there is none before.
        """
        if not self.pointer.previous:
            raise BadMatrix("there is no earlier version to go back to")
        self.pointer.active, self.pointer.previous, self.pointer.shadow = self.pointer.previous, 0, 0
        self._write_pointer()
        return self.pointer.active

    def _forget(self) -> None:
        named = {self.pointer.active, self.pointer.previous, self.pointer.shadow}
        while len(self._versions) > MAX_VERSIONS:
            old = min(number for number in self._versions if number not in named)
            del self._versions[old]
            if self.folder is not None:
                self._path(old).unlink(missing_ok=True)

    # ---- files -----------------------------------------------------------------------------------------

    def _path(self, version: int) -> Path:
        assert self.folder is not None
        return self.folder / f"correlation-{version:06}.json"

    def _read(self, folder: Path) -> None:
        """Whatever cannot be read counts as not there, and says so: then all pairs are at 0.9."""
        try:
            pointer = msgspec.json.decode(_content(folder / POINTER), type=Pointer)
            for version in {pointer.active, pointer.previous, pointer.shadow} - {0}:
                found = msgspec.json.decode(_content(self._path(version)), type=Correlation)
                check(found.rho)
                self._versions[version] = found
            self.pointer = pointer
        except FileNotFoundError:
            if (folder / POINTER).exists():
                self.problem = "a version that the pointer names is missing"
        except (OSError, msgspec.DecodeError, BadMatrix) as error:
            self.problem = str(error)
        if self.problem:
            self._versions.clear()
            self.pointer = Pointer()

    def _write_version(self, version: int) -> None:
        if self.folder is not None:
            _replace(self._path(version), msgspec.json.encode(self._versions[version]))

    def _write_pointer(self) -> None:
        self.problem = ""
        if self.folder is not None:
            _replace(self.folder / POINTER, msgspec.json.encode(self.pointer))


def _content(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise BadMatrix(f"{path.name} has more than {MAX_BYTES} bytes")
    return path.read_bytes()


def _replace(path: Path, data: bytes) -> None:
    """Atomically and durably."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
