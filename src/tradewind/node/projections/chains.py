"""Chains as the log shows them: linked steps that one command did and another one undoes (protocol P15.9)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal

import msgspec

from tradewind.core.event_types import ChainCharged, ChainClosed, ChainOpened, ChainStepped
from tradewind.core.events import Event

KINDS: Final = {
    "pool_buy": 1,
    "pool_sell": 2,
    "add_liquidity": 3,
    "vault_deposit": 4,
    "stake": 5,
    "mint_set": 6,
    "book_buy": 7,
    "book_sell": 8,
    "flash_borrow": 10,
}
"""Steps by name: the numbers of the engine's `wire::chains::chain_step`."""
NAMES: Final = {number: name for name, number in KINDS.items()}
OF_MARKETS: Final = frozenset({"pool_buy", "pool_sell", "add_liquidity", "mint_set", "book_buy", "book_sell"})
"""Steps that name a market."""
FEE_BP: Final = 50
CROSS_VERSE_FEE_BP: Final = 100
FLASH_FEE_BP: Final = 200
WHOLE_BP: Final = 10_000
OVER_KEPT: Final = 1_000
"""Chains that are over and still shown."""


def fee_of(amount: int, bp: int) -> int:
    """Micro-units of a fee, rounded up (P8.10)."""
    return -(-amount * bp // WHOLE_BP)


class Step(msgspec.Struct):
    """A step as it was done; `done` is what undoing it gives back: shares, lots, or a lot's number."""

    kind: str
    market: int
    outcome: int
    detail: int
    amount: int
    limit: int
    done: int


class Chain(msgspec.Struct):
    """One chain. Amounts in micro-units of the settlement asset, leverage in hundredths."""

    number: int
    account: int
    sub: int
    opened_ns: int
    base: int
    fee: int
    rate_bp: int
    verses: int
    steps: list[Step]
    cap_e2: int = 0
    exposure: int = 0
    equity: int = 0
    state: Literal["open", "closed", "released"] = "open"


class ChainsView:
    """Open chains by number, and the last ones that are over."""

    def __init__(self) -> None:
        self.open: dict[int, Chain] = {}
        self.over: OrderedDict[int, Chain] = OrderedDict()

    def on_event(self, event: Event) -> None:
        if isinstance(event, ChainOpened):
            self.open[event.chain] = Chain(
                event.chain,
                event.account,
                event.sub,
                event.time_ns,
                event.base,
                event.fee,
                event.rate_bp,
                event.verses,
                [],
            )
        elif isinstance(event, ChainStepped):
            step = Step(
                NAMES[event.kind],
                event.market,
                event.outcome,
                event.detail,
                event.amount,
                event.limit,
                event.done,
            )
            self.open[event.chain].steps.append(step)
        elif isinstance(event, ChainCharged):
            chain = self.open[event.chain]
            chain.cap_e2, chain.exposure, chain.equity = event.cap_e2, event.exposure, event.equity
        elif isinstance(event, ChainClosed):
            self._closed(event)

    def _closed(self, event: ChainClosed) -> None:
        chain = self.open.pop(event.chain)
        chain.state = "released" if event.released else "closed"
        self.over[event.chain] = chain
        if len(self.over) > OVER_KEPT:
            self.over.popitem(last=False)

    def find(self, number: int) -> Chain | None:
        """A chain that is open or was until lately."""
        return self.open.get(number) or self.over.get(number)

    def of_account(self, account: int) -> list[Chain]:
        """Open chains of an account, ascending."""
        return [chain for chain in self.open.values() if chain.account == account]
