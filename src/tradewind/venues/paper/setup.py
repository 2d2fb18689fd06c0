"""What a paper venue needs in its engine: assets, accounts, funds and one spot market per symbol.
Idempotent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import lcm

import msgspec

from tradewind.core import commands as build
from tradewind.core.enums import MarketKind, Role
from tradewind.core.events import Result
from tradewind.core.native import derive_account_id

from ..market_data import Instrument
from ..protocol import FeeSchedule, OrderType, TimeInForce
from .filters import Rules
from .mirror import MirrorConfig
from .port import Port
from .schedule import fee_e6bp

MICRO = 1_000_000
MIRROR_FUNDS_MICRO = 10**17
"""Each mirror account gets this much of each asset: 10^11 units, out of `world`."""
MIRROR_SALT = "mirror"
MAX_NOTIONAL_MICRO = 10**15
BAND_BP = 1_000
SLIPPAGE_BP = 100
ENGINE_MIN_NOTIONAL_MICRO = 1
MAX_OPEN_ORDERS = 200
WEIGHTS = {"USDC": (10_000,) * 4, "USDT": (9_500, 9_700, 10_500, 10_200)}
COIN_WEIGHTS = (8_000, 9_000, 12_000, 11_000)
OTHER_WEIGHTS = (5_000, 7_500, 15_000, 12_500)


class SetupRefused(Exception):
    """The engine refused a set-up command for a reason other than that it was done already."""

    code = "SetupRefused"


class PaperKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Public keys of the parties. The mirror principals hold SYSTEM, `operator` holds OPERATOR, `trader`
    nothing.
    """

    system: bytes
    operator: bytes
    mirror_maker: bytes
    mirror_taker: bytes
    trader: bytes

    @classmethod
    def derive(cls, seed: str) -> PaperKeys:
        """Keys for simulation and tests, derived from a word. Nothing is ever signed with them."""
        names = cls.__struct_fields__
        return cls(
            **{name: hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=32).digest() for name in names}
        )

    def grants(self, expiry_ns: int) -> list[tuple[bytes, int, int]]:
        """The genesis grants that the paper venue relies on."""
        system, operator = int(Role.SYSTEM), int(Role.OPERATOR)
        return [
            (self.system, system, expiry_ns),
            (self.mirror_maker, system, expiry_ns),
            (self.mirror_taker, system, expiry_ns),
            (self.operator, operator, expiry_ns),
        ]


class MarketSetup(msgspec.Struct, frozen=True, kw_only=True):
    """One paper market: the instrument as it is traded here, and how it maps to the feed's."""

    rules: Rules
    market: int
    base_asset: int
    quote_asset: int
    mirror: MirrorConfig

    @property
    def instrument(self) -> Instrument:
        """The paper instrument."""
        return self.rules.instrument


class PaperSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Handles of everything that was set up."""

    keys: PaperKeys
    fees: FeeSchedule
    assets: dict[str, int]
    accounts: dict[str, int]
    account_ids: dict[str, bytes]
    markets: dict[str, MarketSetup]


def paper_instrument(outside: Instrument) -> tuple[Instrument, int]:
    """The instrument as the engine can hold it, and how many of the outside lots make one of its lots.

    Money is whole micro-units, so tick x lot must be a multiple of one micro-unit of the quote asset
    (protocol P1.4.2). Where the venue's lot is finer than that (BTC/USDT: 0.01 x 0.00001 = 0.1 micro), the
    paper lot is coarser. Orders then pass the venue's own filters too, since every paper size is also a size
    of the venue.
    """
    tick_micro, lot_micro = outside.tick * MICRO, outside.lot * MICRO
    if tick_micro % 1 or tick_micro < 1:
        raise ValueError(f"{outside.symbol}: tick {outside.tick} is finer than one micro-unit")
    ratio = 1 if lot_micro >= 1 else int(1 / lot_micro)
    lot_units = int(lot_micro * ratio)
    unit = int(tick_micro) * lot_units
    factor = lcm(unit, MICRO) // unit
    ratio *= factor
    lot = outside.lot * ratio
    low = outside.min_quantity
    minimum = lot if low is None or low < lot else low
    coarser = msgspec.structs.replace(
        outside, lot=lot, min_quantity=minimum, source=f"{outside.source}+paper"
    )
    return coarser, ratio


async def set_up(
    port: Port,
    keys: PaperKeys,
    fees: FeeSchedule,
    instruments: Sequence[Instrument],
    cash: Mapping[str, Decimal],
    *,
    mirror: MirrorConfig | None = None,
) -> PaperSetup:
    """Create what is missing. `cash` states the paper account's starting funds per asset; there is no
    default.
    """
    runner = _Runner(port, keys)
    ids = {
        name: derive_account_id(getattr(keys, name))
        for name in PaperKeys.__struct_fields__
        if name != "system"
    }
    accounts = {name: await runner.open_account(getattr(keys, name)) for name in ids}
    symbols = sorted({asset for one in instruments for asset in (one.base, one.quote)} | set(cash))
    assets = {symbol: await runner.register_asset(symbol) for symbol in symbols}
    for symbol, number in assets.items():
        for name in ("mirror_maker", "mirror_taker"):
            await runner.deposit(ids[name], number, MIRROR_FUNDS_MICRO, f"{MIRROR_SALT}/{name}/{symbol}")
    for symbol, amount in cash.items():
        micro = amount * MICRO
        if micro % 1 or micro <= 0:
            raise SetupRefused(f"starting funds {amount} {symbol} are not a positive multiple of 0.000001")
        await runner.deposit(ids["trader"], assets[symbol], int(micro), f"cash/{symbol}")
    traded = {instrument.base for instrument in instruments}
    if bought := sorted(traded & set(cash)):
        raise SetupRefused(
            f"starting funds in {bought}: positions are built by trading, so that each has a cost"
        )
    markets = {}
    for outside in sorted(instruments, key=lambda one: one.symbol):
        instrument, ratio = paper_instrument(outside)
        handle = await runner.create_market(ids["operator"], instrument, assets, fees)
        config = msgspec.structs.replace(mirror or MirrorConfig(), lots_ratio=ratio)
        rules = Rules(
            instrument=instrument,
            max_open_orders=MAX_OPEN_ORDERS,
            order_types=frozenset(OrderType),
            times_in_force=frozenset(TimeInForce),
        )
        markets[instrument.symbol] = MarketSetup(
            rules=rules,
            market=handle,
            base_asset=assets[instrument.base],
            quote_asset=assets[instrument.quote],
            mirror=config,
        )
    return PaperSetup(
        keys=keys, fees=fees, assets=assets, accounts=accounts, account_ids=ids, markets=markets
    )


def market_nonce(symbol: str) -> int:
    """The creator's nonce of a symbol's market: the same in every run, whatever other symbols there are."""
    return int.from_bytes(hashlib.blake2b(symbol.encode(), digest_size=8).digest(), "little")


class _Runner:
    """Sends set-up commands one by one; "done already" is a success that names the handle."""

    def __init__(self, port: Port, keys: PaperKeys) -> None:
        self.port = port
        self.keys = keys

    async def _run(self, data: bytes, done_already: str) -> Result:
        result = (await self.port.submit([data]))[0]
        if not result.accepted and result.name != done_already:
            raise SetupRefused(f"{result.name}: {result.message}")
        return result

    async def _handle(self, data: bytes) -> int:
        result = await self._run(data, "ALREADY_EXISTS")
        return result.value if result.accepted else result.given

    async def open_account(self, owner: bytes) -> int:
        return await self._handle(
            build.open_account(principal=self.keys.system, client_key=build.NO_KEY, owner_key=owner)
        )

    async def register_asset(self, symbol: str) -> int:
        weights = WEIGHTS.get(symbol, COIN_WEIGHTS if symbol in {"SOL", "BTC", "ETH"} else OTHER_WEIGHTS)
        return await self._handle(
            build.register_asset(
                principal=self.keys.operator,
                client_key=_key(f"asset/{symbol}"),
                symbol=symbol,
                initial_asset_bp=weights[0],
                maintenance_asset_bp=weights[1],
                initial_liability_bp=weights[2],
                maintenance_liability_bp=weights[3],
            )
        )

    async def deposit(self, account_id: bytes, asset: int, amount_micro: int, name: str) -> None:
        reference = hashlib.blake2b(f"paper/{name}".encode(), digest_size=32).digest()
        data = build.deposit(
            principal=self.keys.system,
            account=account_id,
            asset=asset,
            amount=amount_micro,
            external_id=reference,
        )
        await self._run(data, "DUPLICATE_DEPOSIT")

    async def create_market(
        self, operator_id: bytes, instrument: Instrument, assets: Mapping[str, int], fees: FeeSchedule
    ) -> int:
        nonce = market_nonce(instrument.symbol)
        return await self._handle(
            build.create_market(
                principal=self.keys.operator,
                account=operator_id,
                client_key=_key(f"market/{instrument.symbol}"),
                nonce=nonce,
                market_kind=int(MarketKind.SPOT),
                outcome_count=1,
                base=assets[instrument.base],
                quote=assets[instrument.quote],
                tick_size=int(instrument.tick * MICRO),
                lot_size=int(instrument.lot * MICRO),
                band_bp=BAND_BP,
                slippage_bp=SLIPPAGE_BP,
                taker_fee_e6bp=fee_e6bp(fees.taker_bps),
                maker_fee_e6bp=fee_e6bp(fees.maker_bps),
                min_notional=ENGINE_MIN_NOTIONAL_MICRO,
                max_notional=MAX_NOTIONAL_MICRO,
            )
        )


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
