"""ccxt as an optional library: the platform without it, and what is changed in its exchange objects."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tradewind.venues.ccxt_adapter import library
from tradewind.venues.ccxt_adapter.assemble import open_ccxt
from tradewind.venues.ccxt_adapter.connector import CapsInsufficient
from tradewind.venues.ccxt_adapter.library import (
    CcxtCredentials,
    IncompatibleLibrary,
    MissingExtra,
    UnknownExchange,
    exchange_of,
)
from tradewind.venues.ccxt_adapter.options import CcxtOptions
from tradewind.venues.connectors import connector, names
from tradewind.venues.protocol import Environment, OrderType
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.lease import KeyBusy

CREDENTIALS = CcxtCredentials(api_key="an-api-key", secret="YW4tYXBpLXNlY3JldA==")
WITHOUT = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ccxt":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing())
import tradewind, tradewind.cli, tradewind.venues.connectors
import tradewind.venues.ccxt_adapter.connector, tradewind.venues.ccxt_adapter.assemble
from tradewind.venues.ccxt_adapter.library import MissingExtra, load
assert "ccxt" not in sys.modules
try:
    load()
except MissingExtra as error:
    print(error)
from tradewind.cli import main
sys.argv = ["tradewind", "venue", "status", "ccxt:okx", "--json"]
sys.exit(main())
"""


def test_the_platform_imports_without_ccxt_and_says_which_extra_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout.count("pip install 'tradewind[ccxt]'") == 2
    assert '"MissingExtra"' in done.stdout


def test_what_is_not_installed_and_what_does_not_fit_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    options = CcxtOptions(exchange="kraken")

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    with monkeypatch.context() as patch, pytest.raises(MissingExtra, match=r"tradewind\[ccxt\]"):
        patch.setattr(library.importlib, "import_module", missing)
        exchange_of(options, CREDENTIALS)
    bare = type("kraken", (), {})
    with monkeypatch.context() as patch, pytest.raises(IncompatibleLibrary, match="on_json_response"):
        patch.setattr(library, "load", lambda: SimpleNamespace(exchanges=["kraken"], kraken=bare))
        exchange_of(options, CREDENTIALS)


def test_credentials_are_not_shown() -> None:
    assert "an-api-key" not in repr(CREDENTIALS) + str(CREDENTIALS)


class TestWithCcxt:
    """Needs the extra."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("ccxt", reason="the extra `ccxt` is not installed")

    def test_an_exchange_that_ccxt_does_not_have_is_named(self) -> None:
        with pytest.raises(UnknownExchange, match="mtgox"):
            exchange_of(CcxtOptions(exchange="mtgox"), CREDENTIALS)

    @pytest.mark.parametrize(
        "exchange", ["kraken", "binance", "okx", "coinbase", "bitstamp", "gate", "kucoin"]
    )
    async def test_an_exchange_object_is_exact_and_never_repeats(self, exchange: str) -> None:
        one = exchange_of(CcxtOptions(exchange=exchange, rest_url="http://127.0.0.1:1"), CREDENTIALS)
        assert (one.number, one.enableRateLimit, one.options["maxRetriesOnFailure"]) == (str, False, 0)
        assert one.on_json_response('{"a": 0.1}') == {"a": "0.1"}
        assert logging.getLogger(library.NOISY).getEffectiveLevel() >= logging.WARNING
        nonces = [one.nonce() for _ in range(100)]
        assert nonces == sorted(set(nonces))
        await one.close()

    @pytest.mark.parametrize("horizon_s", [None, 1.0, 9.0])
    async def test_the_venue_is_told_the_horizon_that_absence_is_proven_with(
        self, horizon_s: float | None
    ) -> None:
        options = CcxtOptions(exchange="binance", horizon_s=horizon_s, settings={"recvWindow": 60_000})
        one = exchange_of(options, CREDENTIALS)
        assert one.options["recvWindow"] == int((horizon_s or 3) * 1_000)
        await one.close()

    async def test_every_address_is_ours_when_one_is_given(self) -> None:
        options = CcxtOptions(
            exchange="binance", rest_url="http://127.0.0.1:1", socket_url="ws://127.0.0.1:2"
        )
        one = exchange_of(options, CREDENTIALS)
        found: list[str] = []

        def walk(urls: Any) -> None:
            for url in urls.values():
                walk(url) if isinstance(url, dict) else found.append(url)

        walk(one.urls["api"])
        assert len(found) > 10
        assert {url.split("/")[2] for url in found} == {"127.0.0.1:1", "127.0.0.1:2"}
        assert {url.split("/")[2] for url in found if url.startswith("ws")} == {"127.0.0.1:2"}
        await one.close()

    async def test_real_money_needs_more_than_an_unknown_venue_has(self, tmp_path: Path) -> None:
        keys = KeyFolder(tmp_path)

        async def build(exchange: str, environment: Environment) -> None:
            options = CcxtOptions(exchange=exchange, rest_url="http://127.0.0.1:1")
            async with open_ccxt(
                CREDENTIALS, keys, account="a", options=options, environment=environment
            ) as venue:
                caps = venue.capabilities()
                assert OrderType.LIMIT in caps.order_types
                assert not caps.amend
                assert "an-api-key" not in repr(venue)

        for environment in (Environment.CANARY, Environment.LIVE):
            with pytest.raises(CapsInsufficient, match="client order ids"):
                await build("bitstamp", environment)
            await build("kraken", environment)
        await build("bitstamp", Environment.TESTNET)

    async def test_a_key_has_one_user(self, tmp_path: Path) -> None:
        options = CcxtOptions(exchange="kraken", rest_url="http://127.0.0.1:1")
        async with open_ccxt(CREDENTIALS, KeyFolder(tmp_path), account="a", options=options):
            with pytest.raises(KeyBusy):
                async with open_ccxt(CREDENTIALS, KeyFolder(tmp_path), account="a", options=options):
                    pass
        async with open_ccxt(CREDENTIALS, KeyFolder(tmp_path), account="a", options=options):
            pass

    async def test_nobody_there_is_unknown_everywhere(self, tmp_path: Path) -> None:
        options = CcxtOptions(exchange="kraken", rest_url="http://127.0.0.1:1", call_timeout_s=5.0)
        async with open_ccxt(CREDENTIALS, KeyFolder(tmp_path), account="a", options=options) as venue:
            assert not await venue.open(timeout_s=0.5)
            status = await venue.status()
            assert (status.state, bool(status.reason)) == ("unknown", True)
            for answer in (await venue.balances(), await venue.open_orders(None), await venue.fills(0)):
                assert not isinstance(answer, list)


def test_every_named_connector_can_be_imported_and_says_what_it_needs() -> None:
    for name in [*names(), "ccxt:okx"]:
        one = connector(name)
        assert one.name == name
        assert set(one.needs) == set(one.placeholder)
