"""`tradewind venue serve` as a process: what it prints, what it keeps to itself, how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_world import LIMITS

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration

DEADLINE_S = 60
TRADEWIND = [sys.executable, "-c", "from tradewind.cli import main; main()"]


class Served:
    """A running local venue. Standard error lies in a file, so that no pipe fills."""

    def __init__(self, data: Path, *options: str, venue: str = "kraken") -> None:
        self.data = data
        self.folder = data / f"gateway-{venue}"
        self.errors = data.parent / f"{data.name}.err"
        command = [*TRADEWIND, "venue", "serve", venue, "--data", str(data), "--port", "0", "--json"]
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(
                [*command, *options], stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.said = ""

    def announced(self) -> dict[str, Any]:
        """What it prints when it serves."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if line == "}\n":
                break
        document: dict[str, Any] = json.loads(self.said)
        return document

    def get(self, url: str) -> Any:
        with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
            return json.loads(answer.read())

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


Starter = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Starter]:
    started: list[Served] = []

    def begin(*options: str, venue: str = "kraken") -> Served:
        started.append(Served(tmp_path / "data", *options, venue=venue))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(DEADLINE_S)
        assert one.process.stdout is not None
        one.process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped_and_shows_no_secret(serve: Starter, number: signal.Signals) -> None:
    served = serve()
    said = served.announced()
    depth = served.get(said["url"] + "/0/public/Depth?pair=XBTUSD")["result"]["XXBTZUSD"]
    assert depth["asks"] and depth["bids"]
    keys, credentials = Path(said["keys"]), Path(said["credentials"])
    assert {stat.S_IMODE(path.stat().st_mode) for path in (keys, credentials)} == {0o600}
    [key] = json.loads(keys.read_bytes())
    assert f"API_SECRET={key['secret']}" in credentials.read_text()
    assert served.end(number) == 0
    told = served.said + served.errors.read_text()
    told += "".join(path.read_text() for path in (served.folder / "logs").iterdir())
    assert key["secret"] not in told and key["key"] not in told


def test_perpetual_markets_are_served_open_and_quoted(serve: Starter) -> None:
    served = serve(venue="binance-usdm")
    said = served.announced()
    depth = served.get(said["url"] + "/fapi/v1/depth?symbol=BTCUSDT&limit=5")
    assert depth["asks"] and depth["bids"]
    [row, _] = served.get(said["url"] + "/fapi/v1/exchangeInfo")["symbols"]
    assert row["status"] == "TRADING"
    assert served.end(signal.SIGTERM) == 0


def test_a_killed_venue_is_found_again_with_its_keys(serve: Starter) -> None:
    served = serve()
    before = Path(served.announced()["keys"]).read_bytes()
    served.end(signal.SIGKILL)
    asyncio.run(check_ledger(served.folder))
    again = serve("--liquidity", "none")
    said = again.announced()
    assert Path(said["keys"]).read_bytes() == before
    depth = again.get(said["url"] + "/0/public/Depth?pair=XBTUSD")["result"]["XXBTZUSD"]
    # As the killed one left it: nobody quotes now.
    assert depth["asks"] and depth["bids"]


async def check_ledger(folder: Path) -> None:
    exchange = await Exchange.open(folder, ExchangeConfiguration(venue="kraken", limits=LIMITS))
    exchange.views.ledger.check()
    await exchange.close()


def test_a_second_one_on_the_same_directory_ends_with_75(serve: Starter) -> None:
    serve().announced()
    assert serve().process.wait(DEADLINE_S) == 75


def test_a_bad_plan_is_refused_before_anything_is_made(serve: Starter, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[[rules]]\naction = "explode"')
    served = serve("--misbehave", str(plan))
    assert served.process.wait(DEADLINE_S) == 2
    assert not served.folder.exists()


def test_a_plan_makes_it_misbehave(serve: Starter, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[[rules]]\naction = "status"\nstatus = 503\nname = "*Time"\n')
    said = serve("--misbehave", str(plan), "--liquidity", "none").announced()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(said["url"] + "/0/public/Time", timeout=DEADLINE_S)
    assert refused.value.code == 503
