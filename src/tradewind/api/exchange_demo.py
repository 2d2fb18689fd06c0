"""A leveraged market to look at: `tradewind up --exchange-demo`. Made once per installation, by the usual
commands.

It stands beside the paper trader and touches none of its assets' funds: a settlement asset USD of its own,
a feed of the traded symbol with the three local sources, a perpetual market, two funded accounts, a keeper,
and an account that puts play money into the vault: without it coverage would refuse leveraged positions.
The market becomes active when its feed was valid for a minute, about two minutes later. A dollar of
this market is one unit of the symbol's quote asset: nothing converts between them.
"""

from __future__ import annotations

from typing import Final

import structlog

from tradewind.api import exchange_requests as exchange
from tradewind.api import requests as req
from tradewind.api.desk import Desk
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.vault_desk import DepositVault, VaultDesk

log = structlog.get_logger("tradewind.demo")

SETTLEMENT: Final = "USD"
STAKING: Final = "MMT"
ACCOUNTS: Final = ("demo-1", "demo-2")
KEEPER: Final = "keeper-1"
FUNDS: Final = "25000"
STAKE: Final = "1500"
PROVIDER: Final = "demo-vault"
COVER: Final = "200000"
"""What the vault needs so that the demonstration's stage is FULL and leveraged positions are covered."""
SOURCES: Final = (("oracle-1", 34), ("oracle-2", 33), ("oracle-3", 33))


class ExchangeDemo:
    """Makes what is missing; a second start finds everything."""

    def __init__(self, desk: Desk, symbol: str) -> None:
        self._desk, self._exchange = desk, ExchangeDesk(desk)
        self._views = desk.views
        self._base = symbol.partition("/")[0]
        self._feed = symbol.replace("/", "-")

    async def prepare(self) -> None:
        """
        Raises:
            ApiFailure: the engine refused a step; what was made stays and the next start goes on from there.
        """
        await self._assets()
        await self._prices()
        await self._market()
        for name in ACCOUNTS:
            await self._account(name, SETTLEMENT, FUNDS)
        await self._vault()
        await self._keeper()
        log.info("exchange_demo_ready", market=f"{self._base}-PERP", feed=self._feed, accounts=ACCOUNTS)

    @property
    def _settlement(self) -> str:
        """The installation's settlement asset: there is at most one."""
        found = next((one.symbol for one in self._views.assets.by_number.values() if one.settles), None)
        return found or SETTLEMENT

    async def _assets(self) -> None:
        known = self._views.assets.by_symbol
        if self._settlement not in known:
            await self._desk.register_asset(
                req.RegisterAsset(symbol=SETTLEMENT, settlement=True, stable=True)
            )
        if STAKING not in known:
            await self._desk.register_asset(req.RegisterAsset(symbol=STAKING, stake=True))

    async def _prices(self) -> None:
        if self._views.feeds.find(self._feed) is None:
            await self._exchange.register_feed(exchange.RegisterFeed(symbol=self._feed))
        feed = self._exchange.feed(self._feed)
        for name, weight in SOURCES:
            if self._desk.identities.key(name) not in feed.sources:
                body = exchange.SetFeedSource(source=name, weight=weight)
                await self._exchange.set_source(self._feed, body)

    async def _market(self) -> None:
        if any(one.symbol == f"{self._base}-PERP" for one in self._desk.directory.markets()):
            return
        await self._desk.create_market(
            req.CreateMarket(
                kind="perpetual",
                feed=self._feed,
                base=self._base,
                quote=self._settlement,
                tick_size="0.1",
                lot_size="0.0001",
                taker_fee_bps="5",
                maker_fee_bps="1",
            )
        )

    async def _account(self, name: str, asset: str, amount: str) -> None:
        """An account that was funded once, under a name of its own for the transfer."""
        asset = self._settlement if asset == SETTLEMENT else asset
        key = self._desk.identities.public.get(name.replace("-", "_"))
        if key is not None and key in self._views.accounts.by_owner:
            return
        await self._desk.open_account(req.OpenAccount(name=name))
        body = req.Deposit(account=name, asset=asset, amount=amount, external_id=f"exchange-demo {name}")
        await self._desk.deposit(body)

    async def _vault(self) -> None:
        """A vault that covers what the two accounts may lose (P9.3), by a liquidity provider of its own."""
        await self._account(PROVIDER, SETTLEMENT, COVER)
        owner = self._views.accounts.by_owner[self._desk.identities.key(PROVIDER)]
        if not self._views.vault.shares.get(owner.account):
            await VaultDesk(self._exchange).deposit(DepositVault(account=PROVIDER, amount=COVER))

    async def _keeper(self) -> None:
        await self._account(KEEPER, STAKING, STAKE)
        owner = self._views.accounts.by_owner[self._desk.identities.key(KEEPER)]
        if owner.account not in self._views.keepers.by_account:
            body = exchange.RegisterKeeper(
                account=KEEPER, capabilities=["liquidate", "crank", "trigger"], stake=STAKE
            )
            await self._exchange.register_keeper(body)
