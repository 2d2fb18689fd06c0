"""A small exchange for tests: keys, a genesis, and the commands that set up one spot market."""

from __future__ import annotations

from dataclasses import dataclass, field

from tradewind import _core
from tradewind.core import commands
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import Role, Side

START_NS = 1_700_000_000_000_000_000
DAY_NS = 86_400 * 10**9
SYSTEM, OPERATOR, EMERGENCY = bytes([1] * 32), bytes([2] * 32), bytes([3] * 32)
BTC, USDC = 0, 1
TICK_SIZE, LOT_SIZE = 10_000, 1_000
"""0.01 USDC and 0.001 BTC: one tick times one lot is 10 micro-USDC."""


def genesis(time_ns: int = START_NS) -> GenesisConfig:
    expiry_ns = time_ns + 360 * DAY_NS
    roles = {SYSTEM: Role.SYSTEM, OPERATOR: Role.OPERATOR, EMERGENCY: Role.EMERGENCY}
    return GenesisConfig(time_ns, [Grant(key, role, expiry_ns) for key, role in roles.items()])


def owner_key(number: int) -> bytes:
    """Public key of the `number`-th trader."""
    return (1_000 + number).to_bytes(32, "big")


@dataclass
class World:
    """Builds commands and hands out client keys."""

    next_key: int = 1
    accounts: dict[int, bytes] = field(default_factory=dict)

    def key(self) -> bytes:
        self.next_key += 1
        return self.next_key.to_bytes(16, "little")

    def account(self, number: int) -> bytes:
        if number not in self.accounts:
            self.accounts[number] = _core.derive_account_id(owner_key(number))
        return self.accounts[number]

    def setup(
        self, traders: int = 2, *, taker_fee_e6bp: int = 2_500_000, maker_fee_e6bp: int = 1_000_000
    ) -> list[bytes]:
        """Two assets, the operator's account, market 0 (BTC/USDC), and funded traders."""
        operator_account = _core.derive_account_id(OPERATOR)
        made = [
            commands.register_asset(principal=OPERATOR, client_key=self.key(), symbol="BTC"),
            commands.register_asset(principal=OPERATOR, client_key=self.key(), symbol="USDC"),
            commands.open_account(principal=OPERATOR, client_key=self.key(), owner_key=OPERATOR),
            commands.create_market(
                principal=OPERATOR,
                account=operator_account,
                client_key=self.key(),
                nonce=1,
                base=BTC,
                quote=USDC,
                tick_size=TICK_SIZE,
                lot_size=LOT_SIZE,
                taker_fee_e6bp=taker_fee_e6bp,
                maker_fee_e6bp=maker_fee_e6bp,
            ),
        ]
        for number in range(traders):
            made.append(
                commands.open_account(
                    principal=owner_key(number), client_key=self.key(), owner_key=owner_key(number)
                )
            )
            for asset, amount in ((BTC, 1_000 * 10**6), (USDC, 100_000_000 * 10**6)):
                external_id = (number * 10 + asset + 1).to_bytes(32, "big")
                made.append(
                    commands.deposit(
                        principal=SYSTEM,
                        account=self.account(number),
                        asset=asset,
                        amount=amount,
                        external_id=external_id,
                    )
                )
        return made

    def order(self, trader: int, side: Side, price: int, lots: int, **more: int) -> bytes:
        key = more.pop("client_key", None) or self.key()
        return commands.place_order(
            principal=owner_key(trader),
            account=self.account(trader),
            client_key=key,
            market=0,
            side=side,
            price=price,
            lots=lots,
            **more,
        )

    def cancel(self, trader: int, order: int) -> bytes:
        return commands.cancel_order(principal=owner_key(trader), account=self.account(trader), order=order)
