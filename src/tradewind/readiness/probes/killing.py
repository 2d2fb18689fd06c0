"""The parts of the kill drills: a platform and venues with many orders, and the pulls on both."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from tradewind.gateways.keys import Right, new_key
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probes.desk_venues import OUTSIDE
from tradewind.readiness.probes.desk_world import ACCOUNT, LocalVenue
from tradewind.readiness.probes.lost_core import Child, until
from tradewind.trader.risk.profile import PROFILE_DIR
from tradewind.venues.market_data import Side

ORDERS: Final = 200
START_S: Final = 60.0
PULL_S: Final = 40.0
NEVER_S: Final = 3_600.0
COOLED_S: Final = 1.5
MAX_BYTES: Final = 8 << 20
LOOSE: Final = {
    "max_open_orders_symbol_count = 20": "max_open_orders_symbol_count = 400",
    "max_open_orders_account_count = 60": "max_open_orders_account_count = 400",
    "max_messages_per_s = 10": "max_messages_per_s = 500",
    'max_position_notional_pct = "5"': 'max_position_notional_pct = "50"',
    'max_cluster_exposure_pct = "20"': 'max_cluster_exposure_pct = "50"',
    'max_beta_btc_pct = "40"': 'max_beta_btc_pct = "50"',
    "max_same_order_repeat_count = 3": "max_same_order_repeat_count = 400",
    "resume_cooldown_s = 300": "resume_cooldown_s = 1",
}
"""What the shipped profile would keep from being loaded with so many orders."""
KILL: Final = "from tradewind.cli.kill_process import main; main()"
COMMAND: Final = "from tradewind.cli import main; main()"


async def command(script: str, *arguments: str, prelude: str = "") -> tuple[int, str, float]:
    """Exit status, output and seconds of a command of ours; NEVER_S when it did not end."""
    began_s = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"{prelude}\n{script}", *arguments, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), PULL_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, "", NEVER_S
    return int(process.returncode or 0), output.decode(), time.monotonic() - began_s


class Platform:
    """A running `tradewind up` whose strategy trades, with a loose profile so that it can be loaded."""

    def __init__(self, data: Path, child: Child) -> None:
        self.data, self.child = data, child

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Platform]:
        """Raises CannotMeasureError when it does not begin to trade."""
        folder.mkdir(parents=True)  # noqa: ASYNC240 a drill of its own
        profile = folder / "loose.toml"
        text = (PROFILE_DIR / "paper.toml").read_text()
        for shipped, loose in LOOSE.items():
            text = text.replace(shipped, loose)
        profile.write_text(text)
        data = folder / "data"
        child = await Child.start(
            folder / "up.err", "-c", COMMAND, "up", "--data", str(data), "--port", "0", "--feed", "generated",
            "--profile", str(profile), "--json",
        )  # fmt: skip
        platform = cls(data, child)
        try:
            served = await until(lambda: (data / "run.json").exists() or child.process.returncode, START_S)
            if not served or child.process.returncode is not None or not await platform.trades():
                raise CannotMeasureError(f"the platform does not trade: {child.lines[-1:]}")
            yield platform
        finally:
            child.signal(signal.SIGCONT)
            child.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.process.wait(), 15.0)
            await child.end()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """One request to the API; status and document."""
        port = json.loads((self.data / "run.json").read_text())["port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PULL_S)
        token = (self.data / "api.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            payload = None if body is None else json.dumps(body).encode()
            connection.request(method, f"/api/v1{path}", payload, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read(MAX_BYTES))
        finally:
            connection.close()

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """The same without holding up the loop."""
        return await asyncio.to_thread(self.ask, method, path, body)

    async def working(self) -> int:
        """Orders of the trader that work."""
        status, found = await self.call("GET", "/orders?account=trader")
        if status != 200:
            raise CannotMeasureError(f"orders cannot be read: {found}")
        return len(found["orders"])

    async def load(self, orders: int) -> int:
        """Places orders far below the market until so many work; how many do."""
        await self.trades()
        status, market = await self.call("GET", "/markets/BTC/USDT")
        if status != 200:
            raise CannotMeasureError(f"the market cannot be read: {market}")
        bid = float(market["best_bid"])
        for number in range(2 * orders):
            if number >= orders and await self.working() >= orders:
                break
            price = f"{bid * 0.99 - number:.0f}"
            body = {
                "account": "trader", "market": "BTC/USDT", "side": "buy", "quantity": "0.0001",
                "price": price,
            }  # fmt: skip
            status, answer = await self.call("POST", "/orders", body)
            if status >= 300 and number < 3:
                raise CannotMeasureError(f"an order of the load was refused: {answer}")
        return await self.working()

    async def trades(self) -> bool:
        """Whether market data flows in time."""
        return await until_async(self._live, START_S)

    async def _live(self) -> bool:
        if self.child.process.returncode is not None:
            return False
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            status, market = await self.call("GET", "/markets/BTC/USDT")
            return status == 200 and bool(market.get("best_bid"))
        return False

    async def resume(self) -> None:
        """Back to trading, for the next pull. Raises CannotMeasureError."""
        await asyncio.sleep(COOLED_S)
        status, answer = await self.call("POST", "/kill/resume", {"reason": "next pull", "actor": "drill"})
        if status != 200:
            raise CannotMeasureError(f"not resumed: {answer}")


async def until_async(condition: Any, patience_s: float) -> bool:
    """Whether it became true in time."""
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        if await condition():
            return True
        await asyncio.sleep(0.05)
    return False


async def pull(platform: Platform, way: str, orders: int) -> dict[str, Any]:
    """One pull of the switch on a loaded platform, and what the platform shows afterwards."""
    before = await platform.load(orders)
    began_s = time.monotonic()
    verified, first_ms, duration_ms = False, None, None
    if way == "console":
        status, answer = await platform.call("POST", "/kill/halt", {"reason": "drill", "actor": "drill"})
        verified = status == 200 and answer["outcome"] in ("verified", "no_effect")
        first_ms, duration_ms = answer.get("first_cancel_ms"), answer.get("duration_ms")
        took_s = time.monotonic() - began_s
    elif way == "signal":
        platform.child.signal(signal.SIGUSR1)
        verified = await until_async(lambda: _empty(platform), PULL_S)
        took_s = time.monotonic() - began_s
        first_ms, duration_ms = 0, 0  # the signal asks nothing; the whole time is told instead
    else:
        script, verb = (COMMAND, ("halt",)) if way == "command" else (KILL, ())
        code, output, took_s = await command(script, *verb, "drill", "--data", str(platform.data), "--json")
        verified = code == 0
        with contextlib.suppress(ValueError, IndexError):
            document = json.loads(output if way == "command" else output.splitlines()[-1])
            first_ms, duration_ms = document.get("first_cancel_ms"), document.get("duration_ms")
    left = await platform.working()
    known = first_ms is not None and duration_ms is not None
    first_s = took_s - duration_ms / 1_000 + first_ms / 1_000 if known else NEVER_S  # type: ignore[operator]
    return {
        "way": f"paper, {way}",
        "orders_before": before,
        "first_cancel_s": first_s,
        "verified_s": took_s if verified and not left else NEVER_S,
        "said_done": verified,
        "left": left,
    }


async def _empty(platform: Platform) -> bool:
    return await platform.working() == 0


# ---- outside venues --------------------------------------------------------------------------------------


def kill_key(local: LocalVenue, folder: Path, rights: Sequence[Right] = (Right.READ, Right.CANCEL)) -> Path:
    """A file with a key that can cancel and not trade."""
    key = new_key(ACCOUNT, rights=rights)
    local.exchange.keys.add(key)
    secret = key.secret.decode() if local.site.name == "binance" else base64.b64encode(key.secret).decode()
    path = folder / f"kill-{key.key[:8]}.env"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as text:
        text.write(f"API_KEY={key.key}\nAPI_SECRET={secret}\n")
    return path


async def kill_at(
    local: LocalVenue, folder: Path, credentials: Path, *, prelude: str = ""
) -> tuple[int, dict[str, Any], float]:
    """`tradewind-kill` at a venue: exit status, its last line, seconds."""
    code, output, took_s = await command(
        KILL, "drill", "--venue", local.site.name, "--credentials", str(credentials), "--url",
        local.gateway.url, "--data", str(folder / "kill"), "--json", prelude=prelude,
    )  # fmt: skip
    lines = output.splitlines()
    return code, json.loads(lines[-1]) if lines else {}, took_s


@contextlib.asynccontextmanager
async def loaded(folder: Path, venue: str, orders: int) -> AsyncIterator[LocalVenue]:
    """A venue with so many orders of ours, while others trade."""
    folder.mkdir(parents=True)  # noqa: ASYNC240 a drill of its own
    local = await LocalVenue.open(folder / "exchange", venue, hurried=True)
    busy: asyncio.Task[None] | None = None
    try:
        price, lots = local.site.price_ticks, max(1, local.site.lots // 4)  # so that funds last for all
        for number in range(orders):
            await local.rest(ACCOUNT, Side.BUY, price - 10 * (number + 1), lots)
        busy = asyncio.create_task(_others(local))
        yield local
    finally:
        if busy is not None:
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)
        await local.close()


async def _others(local: LocalVenue) -> None:
    """Somebody else who never rests: orders far above, which nobody takes."""
    price = local.site.price_ticks
    number = 0
    while True:
        number += 1
        with contextlib.suppress(CannotMeasureError):
            await local.rest(OUTSIDE, Side.SELL, price * 2 + number % 100, 1 + local.site.lots)
        await asyncio.sleep(0.02)
