"""`tradewind watchdog` refuses what would make it useless, and says what it sees on its metrics port."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "trader"))

from watchdog_world import ACCOUNT, venue

from tradewind.cli.exit_codes import ExitCode
from tradewind.gateways.keys import Right


def credentials(path: Path, pair: tuple[str, str], mode: int = 0o600) -> Path:
    path.write_text(f"# of the watchdog\nAPI_KEY={pair[0]}\nAPI_SECRET={pair[1]}\nURL=elsewhere\n")
    path.chmod(mode)
    return path


def arguments(folder: Path, file: Path, url: str, *more: str) -> list[str]:
    return [
        sys.executable, "-c", "from tradewind.cli import main; main()", "watchdog", "kraken",
        "--account", ACCOUNT, "--heartbeat", str(folder / "beat"), "--credentials", str(file),
        "--purpose", "timer", "--url", url, "--data", str(folder / "data"), "--json", *more,
    ]  # fmt: skip


async def ran(command: list[str]) -> Any:
    import asyncio

    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=False, env=os.environ
    )


@pytest.mark.parametrize(
    ("rights", "more", "mode", "code"),
    [
        ((Right.READ, Right.CANCEL), (), 0o600, "NO_PAGE_URL"),
        ((Right.READ, Right.CANCEL), ("--no-page",), 0o640, "CREDENTIALS_EXPOSED"),
        (tuple(Right), ("--no-page",), 0o600, "KEY_MAY_TRADE"),
        ((Right.READ,), ("--no-page",), 0o600, "KEY_CANNOT_CANCEL"),
    ],
)
async def test_a_watchdog_that_would_be_useless_or_too_mighty_does_not_start(
    rights: tuple[Right, ...], more: tuple[str, ...], mode: int, code: str, tmp_path: Path
) -> None:
    async with venue("kraken", tmp_path / "exchange") as world:
        pair = world.key(rights)
        file = credentials(tmp_path / "key.env", pair, mode)
        done = await ran(arguments(tmp_path, file, world.gateway.url, *more))
        assert done.returncode == ExitCode.CONFIG
        assert code in done.stdout + done.stderr
        assert pair[1] not in done.stdout + done.stderr
