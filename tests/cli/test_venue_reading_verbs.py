"""`tradewind venue status|symbols|balances|orders|positions NAME` as programs, on venues of our own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.cli.failure import CommandFailure
from tradewind.cli.venue_reading import position_row, read_file, variable
from tradewind.venues import connectors
from tradewind.venues.binance.assemble import open_binance
from tradewind.venues.binance.connector import BinanceOptions
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import SPOT
from tradewind.venues.market_data import Instrument, Known, Side, Unknown
from tradewind.venues.polymarket import wallet
from tradewind.venues.protocol import Acked, NewOrder, Position
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose, fingerprint
from tradewind.venues.transport.lease import KeyLock

from .conftest import Running

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
RUN = "import sys; from tradewind.cli import main; sys.exit(main())"
DEADLINE_S = 60.0
VENUES = ["kraken", "binance", "binance-usdm", "polymarket"]
SYMBOL = {
    "kraken": "BTC/USD",
    "binance": "BTC/USDT",
    "binance-usdm": "BTC/USDT-PERP",
    "polymarket": "RAIN-TOMORROW-YES/USDC",
}
FUNDS = {
    "kraken": ("USD", 1_000_000),
    "binance": ("USDT", 1_000_000),
    "binance-usdm": ("USDT", 1_000_000),
    "polymarket": ("USDC", 100_000),
}


class Ran:
    def __init__(self, *words: str | Path, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIND_")}
        done = subprocess.run(
            [sys.executable, "-c", RUN, *map(str, words)],
            env=kept | environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def failure(self) -> tuple[int, str]:
        return self.code, self.json["error"]["code"]


class Served:
    """One of our venues as a process, with the file that it wrote for clients."""

    def __init__(self, name: str, data: Path) -> None:
        self.name = name
        words = ["venue", "serve", name, "--port", "0", "--liquidity", "none", "--data", data, "--json"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, self.process.communicate()
            text += line
        about = json.loads(text)
        self.url, self.file = about["url"], Path(about["credentials"])
        self.secrets = read_file(self.file, None)

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=DEADLINE_S)


@pytest.fixture(scope="module", params=VENUES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if request.param == "polymarket" and not wallet.available():
        pytest.skip(f"the packages of {wallet.EXTRA} are not installed")
    one = Served(request.param, tmp_path_factory.mktemp(request.param))
    yield one
    one.close()


@pytest.fixture(scope="module")
def binance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    one = Served("binance", tmp_path_factory.mktemp("venue"))
    yield one
    one.close()


def test_status_and_symbols_need_no_key_and_leave_nothing_behind(served: Served, tmp_path: Path) -> None:
    where = ("--url", served.url, "--data", tmp_path / "data")
    status = Ran("venue", "status", served.name, *where, "--json")
    assert (status.code, status.json["state"]) == (0, "online"), status.err
    assert status.json["symbols"][SYMBOL[served.name]] == "online"
    symbols = Ran("venue", "symbols", served.name, *where, "--json")
    assert symbols.code == 0
    row = next(one for one in symbols.json["symbols"] if one["symbol"] == SYMBOL[served.name])
    assert Decimal(row["tick"]) > 0
    assert Decimal(row["lot"]) > 0
    assert "online" in Ran("venue", "status", served.name, *where).out
    assert not (tmp_path / "data").exists()


def test_a_node_of_ours_is_read_with_a_token_that_only_reads(platform: Running, tmp_path: Path) -> None:
    token = {"TRADEWIND_NATIVE_API_TOKEN": (platform.data / "api.read.token").read_text().strip()}
    where = (
        "native",
        "--account",
        "trader",
        "--url",
        json.loads((platform.data / "run.json").read_text())["url"],
        "--data",
        tmp_path,
        "--json",
    )
    status = Ran("venue", "status", *where, **token)
    assert (status.code, status.json["state"]) == (0, "online"), status.out + status.err
    symbols = {one["symbol"]: one for one in Ran("venue", "symbols", *where, **token).json["symbols"]}
    assert symbols["BTC/USDT"]["status"] == "online"
    balances = {one["asset"]: one for one in Ran("venue", "balances", *where, **token).json["balances"]}
    assert Decimal(balances["USDT"]["total"]) > 0
    orders = Ran("venue", "orders", *where, **token)
    assert (orders.code, orders.json["unknown"]) == (0, None)
    assert Ran("venue", "status", *where).failure == (2, "NO_TOKEN"), "another data directory has no token"
    nearby = Ran("venue", "balances", "native", "--data", platform.data, "--json")
    assert "USDT" in {one["asset"] for one in nearby.json["balances"]}


def test_balances_and_orders_of_a_key_for_tools(served: Served, tmp_path: Path) -> None:
    where = ("--credentials", served.file, "--data", tmp_path)
    balances = Ran("venue", "balances", served.name, *where, "--json")
    assert balances.code == 0, balances.out + balances.err
    asset, amount = FUNDS[served.name]
    found = {one["asset"]: one for one in balances.json["balances"]}
    assert (Decimal(found[asset]["free"]), Decimal(found[asset]["held"])) == (amount, 0)
    orders = Ran("venue", "orders", served.name, *where, "--json")
    assert (orders.code, orders.json["orders"], orders.json["unknown"]) == (0, [], None)
    assert asset in Ran("venue", "balances", served.name, *where).out
    [record] = KeyFolder(tmp_path).records()
    assert record.purpose is KeyPurpose.TOOLS


def test_positions_are_listed_where_there_are_any_and_unknown_elsewhere(
    served: Served, tmp_path: Path
) -> None:
    words = ("venue", "positions", served.name, "--credentials", served.file, "--data", tmp_path)
    ran = Ran(*words, "--json")
    if served.name == "binance-usdm":
        assert (ran.code, ran.json["positions"], ran.json["unknown"]) == (0, [], None)
    else:
        assert (ran.code, ran.json["positions"], ran.json["unknown"]) == (
            2,
            None,
            "the venue has no positions",
        )


def test_what_is_not_known_of_a_position_is_no_number() -> None:
    instrument = Instrument(
        venue="v", symbol="BTC/USDT-PERP", venue_symbol="BTCUSDT", base="BTC", quote="USDT",
        tick=Decimal("0.1"), lot=Decimal("0.001"), price_decimals=1, quantity_decimals=3, source="test",
    )  # fmt: skip
    nothing = Unknown("the venue names none")
    position = Position(
        symbol="BTC/USDT-PERP", lots=-1_500, entry_price=Known(Decimal("60000.5"), 1, "test"),
        mark_price=nothing, unrealised=Known(Decimal("-0.25"), 1, "test"), margin=nothing,
        maintenance_margin=nothing, liquidation_price=nothing, margin_asset="USDT", as_of_ns=1,
    )  # fmt: skip
    row = position_row(position, instrument)
    assert (row["quantity"], row["entry"], row["unrealised"]) == ("-1.500", "60000.5", "-0.25")
    assert {row[name] for name in ("mark", "margin", "maintenance", "liquidation")} == {None}


def test_secrets_come_from_the_environment_too_and_are_never_shown(served: Served, tmp_path: Path) -> None:
    needed = connectors.connector(served.name).needs
    environment = {variable(served.name, name): served.secrets[name] for name in needed}
    words = ("venue", "balances", served.name, "--url", served.url, "--data", tmp_path, "--json")
    good = Ran(*words, **environment)
    assert good.code == 0, good.out + good.err
    secret = variable(served.name, "API_SECRET")
    bad = Ran(*words, **{**environment, secret: environment[secret][::-1]})
    assert bad.code != 0
    lacking = Ran(*words, **{name: value for name, value in environment.items() if name != secret})
    assert lacking.failure == (78, "NO_CREDENTIALS")
    assert secret in lacking.out
    for ran in (good, bad, lacking):
        for name in needed:
            if name != "API_KEY":
                assert environment[variable(served.name, name)] not in ran.out + ran.err
    assert bad.json.get("balances") is None, "a refusal is not an empty list"


def test_the_trading_key_is_refused_and_its_open_order_is_shown_to_a_key_for_tools(
    binance: Served, tmp_path: Path
) -> None:
    """T3.7. What is traded with a key is looked at with another one, or from another installation."""
    price_ticks = 6_000_000

    async def trade() -> None:
        options = BinanceOptions(
            endpoints=SPOT.__class__(
                **{name: getattr(SPOT, name) for name in SPOT.__struct_fields__}
                | {"rest_url": binance.url, "websocket_url": binance.secrets["SOCKET_URL"]}
            ),
            private_url=f"{binance.secrets['SOCKET_URL']}/ws-api/v3",
            symbols=("BTC/USDT",),
        )
        key = BinanceKey(binance.secrets["API_KEY"], binance.secrets["API_SECRET"])
        async with open_binance(
            key, KeyFolder(tmp_path / "trader"), account="demo", options=options
        ) as venue:
            assert await venue.open()
            order = NewOrder(
                client_id="tools-1", symbol="BTC/USDT", side=Side.BUY, price_ticks=price_ticks, lots=20
            )
            assert isinstance(await venue.submit(order, 1), Acked)

    asyncio.run(trade())
    words = ("--credentials", binance.file, "--json")
    refused = Ran("venue", "orders", "binance", *words, "--data", tmp_path / "trader")
    assert refused.failure == (78, "WrongPurpose")
    tools = tmp_path / "tools"
    shown = Ran("venue", "orders", "binance", *words, "--data", tools)
    assert shown.code == 0, shown.out + shown.err
    [row] = shown.json["orders"]
    assert (row["client_id"], row["symbol"], row["side"], row["status"]) == (
        "tools-1", "BTC/USDT", "buy", "working"
    )  # fmt: skip
    assert (Decimal(row["price"]), Decimal(row["quantity"]), Decimal(row["filled"])) == (
        Decimal("60000"), Decimal("0.002"), 0
    )  # fmt: skip
    balances = Ran("venue", "balances", "binance", *words, "--data", tools).json["balances"]
    assert next(Decimal(one["held"]) for one in balances if one["asset"] == "USDT") >= 120


def test_a_key_that_another_process_uses_is_busy(binance: Served, tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    keys.register("binance", binance.secrets["API_KEY"], purpose=KeyPurpose.TOOLS)
    with contextlib.closing(_Held(keys.folder, binance.secrets["API_KEY"])):
        ran = Ran("venue", "orders", "binance", "--credentials", binance.file, "--data", tmp_path, "--json")
    assert ran.failure == (75, "KeyBusy")


class _Held:
    def __init__(self, folder: Path, key: str) -> None:
        self.lock = KeyLock(folder, fingerprint("binance", key))

    def close(self) -> None:
        self.lock.release()


def test_what_cannot_be_asked_is_unknown_and_never_empty(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        status = Ran("venue", "status", "kraken", "--url", url, "--data", tmp_path, "--json")
        assert (status.code, status.json["state"]) == (2, "unknown")
        assert status.json["reason"]
        environment = {"TRADEWIND_BINANCE_API_KEY": "k", "TRADEWIND_BINANCE_API_SECRET": "s"}
        words = ("venue", "balances", "binance", "--url", url, "--data", tmp_path)
        balances = Ran(*words, "--json", **environment)
        assert (balances.code, balances.json["balances"]) == (2, None)
        assert balances.json["unknown"]


def test_files_that_others_can_read_and_wrong_wishes_have_their_exit_status(tmp_path: Path) -> None:
    file = tmp_path / "client.env"
    file.write_text("API_KEY=a\nAPI_SECRET=b\n")
    file.chmod(0o644)
    words = ("--credentials", file, "--data", tmp_path, "--json")
    assert Ran("venue", "balances", "kraken", *words).failure == (78, "CREDENTIALS_EXPOSED")
    file.chmod(0o600)
    assert Ran("venue", "balances", "mtgox", *words).failure == (2, "UnknownVenue")
    assert Ran("venue", "balances", "kraken", *words, "--account", "x").failure == (2, "BAD_CREDENTIALS")
    # the secret of this venue is base64, and this is none; what it was is not repeated
    assert Ran("venue", "balances", "kraken", *words).failure == (78, "BadSecret")
    missing = ("--credentials", tmp_path / "nowhere", "--data", tmp_path, "--json")
    assert Ran("venue", "orders", "kraken", *missing).failure == (2, "BAD_CREDENTIALS")


NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,15}", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9+/=_-]{1,40}", fullmatch=True)


ROWS = st.dictionaries(NAMES, VALUES, min_size=1)


@given(accounts=st.dictionaries(st.text("abcdef", min_size=1, max_size=8), ROWS, min_size=1, max_size=4))
@patient
def test_every_account_of_a_file_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, accounts: dict[str, dict[str, str]]
) -> None:
    file = tmp_path_factory.mktemp("file") / "client.env"
    lines = []
    for account, rows in accounts.items():
        lines += [f"# account {account}", *(f"{name}={value}" for name, value in rows.items()), ""]
    file.write_text("\n".join(lines))
    file.chmod(0o600)
    for account, rows in accounts.items():
        assert read_file(file, account) == rows
    if len(accounts) > 1:
        with pytest.raises(CommandFailure, match="choose with --account"):
            read_file(file, None)


@given(secret=st.text("abcdefghijklmnop", min_size=12, max_size=20))
@patient
def test_a_line_that_cannot_be_read_is_named_and_not_shown(
    tmp_path_factory: pytest.TempPathFactory, secret: str
) -> None:
    file = tmp_path_factory.mktemp("file") / "client.env"
    file.write_text(f"API_KEY=x\n{secret}\n")
    file.chmod(0o600)
    with pytest.raises(CommandFailure) as failure:
        read_file(file, None)
    assert secret not in failure.value.message
    assert ":2 " in failure.value.message
