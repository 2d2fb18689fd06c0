"""Where campaigns live: `DATA/campaigns/NAME`, and which one is the present one."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from .series import write_atomically
from .state import CampaignRefused, CampaignState, Identity, load, save

FOLDER: Final = "campaigns"
CURRENT: Final = "current"
MAX_CAMPAIGNS: Final = 1_000
_NAME: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")
FIXED: Final = ("hours", "provenance", "environment", "symbol", "strategy", "profile", "config_hash")
"""What may not change within a campaign."""


def new_name(now_ns: int, config_hash: str) -> str:
    """A name that sorts by time: `20261122-053000-1a2b`."""
    moment = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    tail = hashlib.blake2b(f"{now_ns} {config_hash}".encode(), digest_size=2).hexdigest()
    return f"{moment:%Y%m%d-%H%M%S}-{tail}"


def campaigns(data: Path) -> list[str]:
    """Names of all campaigns of a data directory, oldest first."""
    folder = data / FOLDER
    if not folder.is_dir():
        return []
    return sorted(one.name for one in folder.iterdir() if one.is_dir() and _NAME.fullmatch(one.name))


def find(data: Path, name: str | None = None) -> Path:
    """The folder of a campaign; without a name the present or else the newest one.

    Raises:
        CampaignRefused: there is none, or none of this name.
    """
    known = campaigns(data)
    if name is not None:
        if name not in known:
            shown = ", ".join(known[-3:]) or "none"
            raise CampaignRefused("NO_CAMPAIGN", f"{data} has no campaign {name!r}; the latest: {shown}")
        return data / FOLDER / name
    if not known:
        raise CampaignRefused("NO_CAMPAIGN", f"{data} has no campaign; begin one with: tradewind paper start")
    chosen = current_name(data)
    return data / FOLDER / (chosen if chosen in known else known[-1])


def current_name(data: Path) -> str | None:
    """Name of the campaign that a start would continue, finished or not."""
    try:
        return (data / FOLDER / CURRENT).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def open_or_create(data: Path, identity: Identity, now_ns: int) -> tuple[Path, CampaignState]:
    """The unfinished campaign of this data directory, or a new one.

    Raises:
        CampaignRefused: an unfinished campaign was begun with something else, or there are too many.
    """
    name = current_name(data)
    if name is not None and name in campaigns(data):
        folder = data / FOLDER / name
        state = load(folder)
        if state is not None and not state.finished:
            check_same(state.identity, identity)
            return folder, state
    if len(campaigns(data)) >= MAX_CAMPAIGNS:
        raise CampaignRefused("TOO_MANY_CAMPAIGNS", f"{data} has {MAX_CAMPAIGNS} of them: move some away")
    folder = data / FOLDER / identity.name
    folder.mkdir(parents=True, mode=0o700)
    state = CampaignState(identity=identity, created_ns=now_ns)
    save(folder, state)
    write_atomically(data / FOLDER / CURRENT, identity.name.encode("ascii"))
    return folder, state


def check_same(begun: Identity, now: Identity) -> None:
    """Whether a start may continue a campaign. Raises `CampaignRefused` naming every difference."""
    differences = [
        f"{name}: begun with {getattr(begun, name)}, now {getattr(now, name)}"
        for name in FIXED
        if getattr(begun, name) != getattr(now, name)
    ]
    if differences:
        raise CampaignRefused(
            "CAMPAIGN_CONFLICT",
            f"campaign {begun.name} is not finished ({'; '.join(differences)}); continue it unchanged, "
            "or end it with: tradewind paper stop --end",
        )
