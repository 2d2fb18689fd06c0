"""Every preflight check passes on a sound system, and its mutation, which breaks the system, turns it red."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tradewind.api.identities import open_identities
from tradewind.api.token import open_token
from tradewind.core.hashing import native_tables
from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.gateways.keys import ApiKey, Right
from tradewind.lab.preflight import CATALOGUE, Context, Result, Verdict, passed, run
from tradewind.lab.preflight.durability import flip_byte
from tradewind.lab.preflight.exchange import relaxed
from tradewind.trader.risk.profile import PROFILE_DIR
from tradewind.trader.strategies.market_making import DEMONSTRATION, MarketMaking
from tradewind.venues.protocol import CancelledAll

PARITY = 600
BALLAST = "ballast = bytearray(b'x') * (250 << 20); from tradewind.cli import main; main()"
EARLY = """
import sys, time
number = 0
while True:
    number += 1
    print(number, flush=True)
    time.sleep(0.001)
"""


def context(tmp_path: Path, **changes: Any) -> Context:
    scratch, data = tmp_path / "scratch", tmp_path / "data"
    scratch.mkdir()
    data.mkdir()
    fields: dict[str, Any] = {
        "env": "paper",
        "data": data,
        "scratch": scratch,
        "venue_url": "http://127.0.0.1:9",
    }
    fields["interfere"] = {"V28.events": lambda _: PARITY, "V28.plays": lambda plays: plays[:1]}
    extra = changes.pop("interfere", {})
    return Context(**{**fields, **changes, "interfere": {**fields["interfere"], **extra}})


async def verdict(name: str, where: Context) -> Result:
    [result] = await run(where, [name])
    return result


# ---- mutations: what is broken, and how
# ----------------------------------------------------------------------------


def halve_cancels(venue: Any) -> None:
    """A venue that drops half of what it was asked to cancel."""
    original = venue.cancel_all

    async def half(symbol: str | None, epoch: int) -> Any:
        orders = venue.account.open(symbol)
        answer = await original(symbol, epoch) if not orders else CancelledAll(())
        return answer

    venue.cancel_all = half


def zero_balances(venue: Any) -> None:
    original = venue.balances

    async def zeros() -> Any:
        return [msgspec.structs.replace(one, free=Decimal(0), held=Decimal(0)) for one in await original()]

    venue.balances = zeros


def disarmed(venue: Any) -> None:
    async def nothing(seconds: int, epoch: int) -> Any:
        return None

    venue.cancel_after = nothing


def bypass(trader: Any) -> None:
    """One path that asks another module than the one that was set to deny."""
    from tradewind.trader.risk.check import Path as RiskPath

    denying = trader.risk.check
    trader.risk.check = lambda order, snapshot: (
        [] if order.path is RiskPath.MANUAL else denying(order, snapshot)
    )


def wall_clock() -> MarketMaking:
    """A strategy whose decisions depend on the wall clock."""
    strategy = MarketMaking(("BTC/USDT",), DEMONSTRATION, environment="sim")
    original = strategy.on_book

    def on_book(context: Any, book: Any) -> Any:
        wishes = original(context, book)
        shift = time.perf_counter_ns() % 5
        return [
            msgspec.structs.replace(one, lots=one.lots + shift) if hasattr(one, "side") else one
            for one in wishes
        ]

    strategy.on_book = on_book  # type: ignore[method-assign]
    return strategy


def missing_event(tables: dict[str, Any]) -> dict[str, Any]:
    return {**tables, "events": {name: code for name, code in tables["events"].items() if name != "Trade"}}


def corrupt_frame(frames: list[bytes]) -> list[bytes]:
    document = json.loads(frames[3])
    document["data"][0]["bids"][0]["price"] -= 0.01
    return [*frames[:3], json.dumps(document).encode(), *frames[4:]]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def free(schedule: Any) -> Any:
    return msgspec.structs.replace(schedule, maker_bps=Decimal(0), taker_bps=Decimal(0))


def other_tick(instrument: Any) -> Any:
    return msgspec.structs.replace(instrument, tick=Decimal("0.005"))


def old_unit(mark: Path) -> None:
    """A state of milliseconds: thirteen digits."""
    mark.write_bytes(mark.read_bytes().replace(b'"high_water":', b'"high_water":1700000000000,"was":'))


def dropped_cancels(world: Any) -> None:
    rule = Rule(name="cancel_order", action=Fault.STATUS, status=502, when="before")
    world.exchange.faults.replace(Plan(rules=(rule,)))


def no_executions(_: Plan) -> Plan:
    return Plan(rules=(Rule(surface="stream", name="executions", action=Fault.DROP_FRAME),))


def unreconciled(world: Any) -> None:
    async def nothing() -> str:
        return ""

    world.venue._catch_up = nothing


class BrokenRouter:
    """A first sink that says it has taken what went nowhere."""

    name = "webhook"

    async def deliver(self, alert: Any) -> None:
        return None

    async def beat(self) -> None:
        return None

    async def close(self) -> None:
        return None


def with_withdrawals(key: ApiKey) -> ApiKey:
    return msgspec.structs.replace(key, rights=key.rights | {Right.WITHDRAW})


def unbound(key: ApiKey) -> ApiKey:
    return msgspec.structs.replace(key, addresses=())


def that_trades(key: ApiKey) -> ApiKey:
    return msgspec.structs.replace(key, rights=key.rights | {Right.TRADE})


def without_cancel(key: ApiKey) -> ApiKey:
    return msgspec.structs.replace(key, rights=frozenset({Right.READ}))


def elsewhere(key: ApiKey) -> ApiKey:
    """Bound to another machine: the venue refuses it here."""
    return msgspec.structs.replace(key, addresses=("192.0.2.1",))


INTERFERENCES: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("V02", "V02.written", lambda path: flip_byte(path, 900) and None),
    ("V05", "V05.locked", lambda path: (path / "writer.lock").unlink()),
    ("V06", "V06.killed", old_unit),
    ("V06", "V06.killed", lambda mark: mark.unlink()),
    ("V07", "V07.trading", with_withdrawals),
    ("V07", "V07.trading", unbound),
    ("V07", "V07.trading", elsewhere),
    ("V07", "V07.kill", that_trades),
    ("V07", "V07.kill", without_cancel),
    ("V08", "V08.world", dropped_cancels),
    ("V09", "V09.instrument", other_tick),
    ("V10", "V10.tier", lambda _: "pro"),
    ("V11", "V11.frames", corrupt_frame),
    ("V12", "V12.plan", no_executions),
    ("V13", "V13.venue", zero_balances),
    ("V14", "V14.venue", disarmed),
    ("V15", "V15.venue", halve_cancels),
    ("V17", "V17.world", unreconciled),
    ("V18", "V18.denials", lambda codes: [one for one in codes if one != "DailyLoss"]),
    ("V18", "V18.trader", bypass),
    ("V18", "V18.cases", lambda rows: [{**rows[0], "seen": ["Nothing"]}, *rows[1:]]),
    ("V18", "V18.cases", lambda rows: [one for one in rows if one["limit"] != "L17"]),
    ("V20", "V20.schedule", free),
    ("V21", "V21.url", lambda _: "http://127.0.0.1:9/"),
    ("V21", "V21.second", lambda _: BrokenRouter()),
    ("V22", "V22.snapshot", truncate),
    ("V23", "V23.profile", lambda _: relaxed(max_market_age_ms=3_600_000)),
    ("V24", "V24.reserve", lambda _: 0),
    ("V25", "V25.tables", missing_event),
    ("V25", "V25.requirements", lambda lines: [*lines, "no-such-package>=1"]),
    ("V25", "V25.requirements", lambda lines: [*lines, "msgspec>=999"]),
    ("V26", "V26.redact", lambda _: lambda text: text),
    ("V28", "V28.strategy", lambda _: wall_clock),
]


@pytest.mark.parametrize(("name", "moment", "interference"), INTERFERENCES)
async def test_a_broken_system_turns_its_check_red(
    tmp_path: Path, name: str, moment: str, interference: Callable[[Any], Any]
) -> None:
    result = await verdict(name, context(tmp_path, interfere={moment: interference}))
    assert result.verdict is Verdict.FAIL, result


async def test_a_typo_in_the_profile_turns_v01_red(tmp_path: Path) -> None:
    where = context(tmp_path)
    broken = tmp_path / "broken.toml"
    broken.write_text((PROFILE_DIR / "paper.toml").read_text().replace("daily_loss_pct", "dayly_loss_pct"))
    where.profile = broken
    result = await verdict("V01", where)
    assert result.verdict is Verdict.FAIL
    assert "dayly_loss_pct" in result.reason


async def test_a_damaged_configuration_turns_v01_red(tmp_path: Path) -> None:
    where = context(tmp_path)
    (where.data / "effective-config.json").write_text("{")
    assert (await verdict("V01", where)).verdict is Verdict.FAIL


async def test_a_full_volume_turns_v03_red(tmp_path: Path) -> None:
    where = context(tmp_path, free_bytes=lambda _: 100 << 20)
    assert (await verdict("V03", where)).verdict is Verdict.FAIL


class _VenueTime(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"serverTime": time.time_ns() // 1_000_000}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


async def test_a_clock_two_seconds_off_turns_v04_red_and_a_true_one_passes(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _VenueTime)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        where = context(tmp_path, venue_url=f"http://127.0.0.1:{server.server_port}")
        assert (await verdict("V04", where)).verdict is Verdict.PASS
        where.clock_ns = lambda: time.time_ns() + 2_000_000_000
        assert (await verdict("V04", where)).verdict is Verdict.FAIL
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_an_acknowledgement_before_the_sync_turns_v16_red(tmp_path: Path) -> None:
    liar = tmp_path / "liar.py"
    liar.write_text(EARLY)
    result = await verdict("V16", context(tmp_path, child=(sys.executable, str(liar))))
    assert result.verdict is Verdict.FAIL, result


async def test_a_signer_or_a_socket_turns_v19_red(tmp_path: Path) -> None:
    injected = tmp_path / "signer.py"
    for number, facts in enumerate(
        (
            {"connections": [], "signers": ["PaperVenue(signer)"], "orders": 3},
            {"connections": ["('10.0.0.1', 443)"], "signers": [], "orders": 3},
            {"connections": [], "signers": [], "orders": 0},
        )
    ):
        injected.write_text(f"print({json.dumps(json.dumps(facts))})")
        folder = tmp_path / str(number)
        folder.mkdir()
        result = await verdict("V19", context(folder, child=(sys.executable, str(injected))))
        assert result.verdict is Verdict.FAIL, result


def test_a_parameter_that_takes_a_signer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from tradewind.lab.preflight import child
    from tradewind.venues.paper import venue

    class Signing:
        def __init__(self, port: object, private_key: bytes) -> None:
            pass

    monkeypatch.setattr(venue, "PaperVenue", Signing)
    assert "Signing(private_key)" in child.signers()


def test_a_loaded_module_that_signs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from tradewind.lab.preflight import child
    from tradewind.security import attesting

    monkeypatch.setitem(sys.modules, attesting.__name__, attesting)
    assert attesting.__name__ in child.signers()
    assert "tradewind.security.publications" not in child.signers()


@pytest.mark.parametrize("place", ["logs/tradewind.jsonl", "effective-config.json", "reports/day.html"])
async def test_a_planted_key_turns_v26_red(tmp_path: Path, place: str) -> None:
    where = context(tmp_path)
    open_identities(where.data)
    open_token(where.data)
    assert (await verdict("V26", where)).verdict is Verdict.PASS
    target = where.data / place
    target.parent.mkdir(parents=True, exist_ok=True)
    for secret in (
        (where.data / "api.token").read_text().strip(),
        (where.data / "keys" / "trader.key").read_text().strip(),
        "AKIA" + "ABCDEFGHIJKLMNOP",
    ):
        target.write_text(json.dumps({"message": f"hello {secret}"}))
        result = await verdict("V26", where)
        assert result.verdict is Verdict.FAIL and place in result.reason


async def test_ballast_turns_v27_red_and_the_real_platform_passes(tmp_path: Path) -> None:
    heavy = await verdict("V27", context(tmp_path, command_line=(sys.executable, "-c", BALLAST)))
    assert heavy.verdict is Verdict.FAIL, heavy
    assert "MB resident" in heavy.reason


async def test_every_built_check_passes_on_a_sound_system(tmp_path: Path) -> None:
    results = {one.id: one for one in await run(context(tmp_path))}
    assert list(results) == [f"V{number:02}" for number in range(1, 29)]
    assert all(check.execute is not None for check in CATALOGUE), "nothing is left that is not built"
    assert results["V04"].verdict is Verdict.SKIP, "no venue answers here"
    rest = {name: one for name, one in results.items() if name != "V04"}
    assert {name: one.reason for name, one in rest.items() if one.verdict is not Verdict.PASS} == {}
    assert all(one.evidence for one in rest.values()), "a pass shows what was seen"


def test_every_built_check_has_a_mutation_here() -> None:
    text = Path(__file__).read_text()
    built = {check.id for check in CATALOGUE if check.execute is not None}
    assert {name for name in built if f'"{name}"' not in text} == set()


def test_only_passes_open_an_environment_and_a_skip_only_below_canary() -> None:
    def one(verdict: Verdict, *, required: bool = True) -> Result:
        return Result(id="V00", title="x", verdict=verdict, required=required)

    good = one(Verdict.PASS)
    assert passed([good], "paper")
    assert passed([good, one(Verdict.SKIP)], "paper") and not passed([good, one(Verdict.SKIP)], "canary")
    assert not passed([good, one(Verdict.FAIL, required=False)], "paper")
    assert not passed([good, one(Verdict.NOT_BUILT)], "paper")
    assert passed([good, one(Verdict.NOT_BUILT, required=False)], "paper")
    assert not passed([good, one(Verdict.NOT_BUILT, required=False)], "live")


def test_the_engines_tables_are_those_that_v25_compares() -> None:
    assert "Trade" in native_tables()["events"]  # type: ignore[operator]
