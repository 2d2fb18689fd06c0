"""Back to paper by taking away what signs (T1.11): every trading key of an installation is put out of use.

A running core signs nothing more from that moment, because its lane looks before each signature; a new one
cannot. Keys of the watchdog and of the kill process stay: what cancels must go on.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from tradewind.venues.transport import quarantine
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose
from tradewind.venues.transport.lease import holder_of

REASON = "Failsafe"


class Switched(msgspec.Struct, frozen=True, kw_only=True):
    """What was read back. `left`: keys that may still sign."""

    keys: tuple[str, ...]
    out_of_use: tuple[str, ...]
    left: tuple[str, ...]
    kept: tuple[str, ...]
    """Keys that cancel or look, and stay."""
    holders: tuple[int, ...]
    """Processes that hold a trading key; they cannot sign any more."""
    took_s: float

    @property
    def verified(self) -> bool:
        """Whether nothing here can sign an order."""
        return not self.left


def to_paper(data: Path, *, actor: str, reason: str) -> Switched:
    """Takes the trading keys of a data directory out of use. May be repeated.

    Raises:
        OSError: the folder of keys cannot be read. NonceStateLost: a record of a key is damaged.
    """
    began_s = time.monotonic()
    folder = KeyFolder(data)
    records = folder.records()
    trading = [one for one in records if one.purpose is KeyPurpose.TRADING]
    places = {
        one.fingerprint: quarantine.place_of(folder.folder / f"{one.fingerprint}.lock") for one in trading
    }
    for place in places.values():
        if quarantine.read(place) is None:
            quarantine.write(place, f"{REASON} by {actor}: {reason}")
    out = tuple(name for name, place in places.items() if quarantine.read(place) is not None)
    held = [holder_of(folder.folder, name) for name in places]
    return Switched(
        keys=tuple(places),
        out_of_use=out,
        left=tuple(name for name in places if name not in out),
        kept=tuple(one.fingerprint for one in records if one.purpose is not KeyPurpose.TRADING),
        holders=tuple(one.pid for one in held if one is not None),
        took_s=time.monotonic() - began_s,
    )
