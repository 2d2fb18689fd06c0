"""A small exchange on the real engine for the probes: named principals, funded traders, one spot market.

The clock is virtual, hence what is measured here has the provenance ``virtual``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from tradewind.core import commands, events
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import AssetFlag, Role, Side
from tradewind.core.errors import name_of
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch, Engine
from tradewind.readiness.errors import CannotMeasureError

START_NS: Final = 1_700_000_000_000_000_000
SECOND_NS: Final = 10**9
DAY_NS: Final = 86_400 * SECOND_NS
BASE, QUOTE, MARKET = 0, 1, 0
TICK_SIZE, LOT_SIZE = 10_000, 1_000
MAX_SETUP_BATCH: Final = 1_000


def key_of(name: str) -> bytes:
    """A public key (32 bytes) that belongs to a name only."""
    return hashlib.sha256(name.encode()).digest()


STAFF: Final = {role: key_of(role.name.lower()) for role in Role}
Send = Callable[[Any, bytes, int], Batch]


def honest(engine: Any, frames: bytes, now_ns: int) -> Batch:
    """Hands the commands to the engine as they are."""
    batch: Batch = engine.apply(frames, now_ns)
    return batch


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine said: ``code`` is empty when accepted."""

    code: str
    value: int
    bound: int
    given: int
    duplicate: bool


def genesis(extra: Iterable[Grant] = ()) -> GenesisConfig:
    """One principal for each role, and ``extra`` grants."""
    expiry_ns = START_NS + 360 * DAY_NS
    staff = [Grant(key, role, expiry_ns) for role, key in STAFF.items()]
    return GenesisConfig(START_NS, [*staff, *extra])


class Exchange:
    """An engine without journal and the way to it; ``send`` is where a mutation breaks the path."""

    def __init__(
        self, send: Send = honest, extra: Iterable[Grant] = (), *, reference_book: bool = False
    ) -> None:
        self.engine: Any = Engine(genesis(extra).encode(), reference_book=reference_book)
        self.send = send
        self.now_ns = START_NS + SECOND_NS
        self._keys = 0

    def key(self) -> bytes:
        """A client key that was not used before."""
        self._keys += 1
        return self._keys.to_bytes(16, "little")

    def run(self, *frames: bytes) -> tuple[list[Answer], list[events.Event]]:
        """Applies commands as one batch."""
        batch = self.send(self.engine, b"".join(frames), self.now_ns)
        answers = [
            Answer(
                "" if item.accepted else name_of(item.code),
                item.value,
                item.bound,
                item.given,
                item.duplicate,
            )
            for item in events.decode_results(batch.input_results())
        ]
        return answers, list(events.decode_events(batch))

    def ask(self, frame: bytes) -> Answer:
        """Applies one command."""
        return self.run(frame)[0][0]

    def must(self, frame: bytes) -> Answer:
        """Applies one command of the set-up. Raises CannotMeasureError when it is refused."""
        answer = self.ask(frame)
        if answer.code:
            raise CannotMeasureError(f"the set-up was refused with {answer.code}")
        return answer

    def hash(self) -> str:
        """State hash in hexadecimal."""
        return bytes(self.engine.state_hash()).hex()

    def open_market(self, **parameters: int) -> Answer:
        """Two assets, the operator's account, and a market. Raises as ``must``."""
        operator = STAFF[Role.OPERATOR]
        for symbol, flags in (("BASE", AssetFlag(0)), ("QUOTE", AssetFlag.SETTLEMENT)):
            self.must(
                commands.register_asset(
                    principal=operator, client_key=self.key(), symbol=symbol, asset_flags=flags
                )
            )
        self.open_account(operator)
        return self.must(self.market_command(1, **parameters))

    def market_command(self, nonce: int, **parameters: int) -> bytes:
        """CreateMarket with the usual values where none are given."""
        fields = {"tick_size": TICK_SIZE, "lot_size": LOT_SIZE, "taker_fee_e6bp": 2_500_000, **parameters}
        operator = STAFF[Role.OPERATOR]
        return commands.create_market(
            principal=operator,
            account=account_id(operator),
            client_key=self.key(),
            nonce=nonce,
            base=BASE,
            quote=QUOTE,
            **fields,
        )

    def open_account(self, owner: bytes) -> bytes:
        """Opens the account of ``owner`` and returns its id."""
        self.must(commands.open_account(principal=owner, client_key=self.key(), owner_key=owner))
        return account_id(owner)

    def fund(self, owner: bytes, base: int = 10**12, quote: int = 10**15) -> bytes:
        """Opens an account with micro-units of both assets and returns its id."""
        account = self.open_account(owner)
        for asset, amount in ((BASE, base), (QUOTE, quote)):
            self.must(self.deposit(account, asset, amount))
        return account

    def deposit(self, account: bytes, asset: int, amount: int, reference: bytes | None = None) -> bytes:
        """Deposit by custody with a fresh external reference unless one is given."""
        external_id = reference or hashlib.sha256(self.key()).digest()
        return commands.deposit(
            principal=STAFF[Role.SYSTEM], account=account, asset=asset, amount=amount, external_id=external_id
        )

    def order(self, owner: bytes, side: Side, price: int, lots: int, **more: Any) -> bytes:
        """PlaceOrder in the market, with a fresh client key unless one is given."""
        fields = {"client_key": self.key(), "market": MARKET, **more}
        return commands.place_order(
            principal=owner, account=account_id(owner), side=side, price=price, lots=lots, **fields
        )
