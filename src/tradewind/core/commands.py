"""Builders of commands: typed keyword arguments in, one 192-byte record out.

Every builder takes `principal` (public key of the sender,
32 bytes) and most take `account` (derived id of the
account acted on, 32 bytes) and `client_key` (idempotency key and client order id,
16 bytes). `valid_until_ns` 0 means
60 s from the moment of sequencing. Sequence and time are stamped by the sequencer.

    place_order(principal=key, account=account_id, client_key=key16, market=0, side=Side.BUY, price=6_400,
    lots=5)

Raises of every builder: `InvalidField` when a value does not fit its field.
"""

from __future__ import annotations

import struct

from tradewind import _core
from tradewind.core.enums import ALL, ALL_MARKETS, OrderFlag, OrderType, SelfTradePrevention, TimeInForce
from tradewind.core.errors import InvalidField
from tradewind.core.records import codec, struct_code, struct_format

COMMAND_SIZE = _core.COMMAND_SIZE
NO_KEY = bytes(16)
NO_ACCOUNT_ID = bytes(32)
_TAG = 0x80
_VERSION = 1
_ENVELOPE = ("kind", "shard", "sub", "op", "principal", "account", "client_key", "valid_until_ns")


class CommandBuilder:
    """Packs one kind of command in a single call."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind, self.op, self.payload_name = _core.command_kinds()[name]
        self.payload_fields = [
            row for row in codec(self.payload_name).fields if not row[0].startswith("reserved")
        ]
        envelope = codec("Command").fields
        payload_offset = next(offset for field, offset, _ in envelope if field == "payload")
        head = [row for row in envelope if row[0] in ("tag", "version", "length", *_ENVELOPE)]
        body = [(field, offset + payload_offset, kind) for field, offset, kind in self.payload_fields]
        self._fields = head + body
        self._widths = {field: int(kind[2:]) for field, _, kind in self._fields if kind.startswith("|V")}
        self.struct = struct.Struct(struct_format(self._fields, COMMAND_SIZE))

    def pack(  # noqa: PLR0917 - the hot path: a tuple of fields, no names
        self,
        principal: bytes,
        account: bytes,
        sub: int,
        client_key: bytes,
        valid_until_ns: int,
        shard: int,
        *payload: int | bytes,
    ) -> bytes:
        """The command; `payload` in the order of `payload_fields`."""
        if len(principal) != 32 or len(account) != 32 or len(client_key) != 16:
            raise self._wrong_length(principal=principal, account=account, client_key=client_key)
        try:
            return self.struct.pack(
                _TAG, _VERSION, COMMAND_SIZE, self.kind, shard, sub, self.op,
                principal, account, client_key, valid_until_ns, *payload,
            )  # fmt: skip
        except struct.error as error:
            values = (_TAG, _VERSION, COMMAND_SIZE, self.kind, shard, sub, self.op)
            raise self._misfit((*values, principal, account, client_key, valid_until_ns, *payload)) from error

    def _wrong_length(self, **keys: bytes) -> InvalidField:
        for field, value in keys.items():
            if len(value) != self._widths[field]:
                return InvalidField(self.name, field, value, f"{self._widths[field]} bytes")
        raise AssertionError("one of the keys has the wrong length")

    def _misfit(self, values: tuple[int | bytes, ...]) -> InvalidField:
        for (field, _, numpy_type), value in zip(self._fields, values, strict=True):
            try:
                struct.pack("<" + struct_code(numpy_type), value)
            except struct.error as error:
                return InvalidField(self.name, field, value, str(error))
        return InvalidField(self.name, "", None, "the values do not fit together")


_BUILDERS = {name: CommandBuilder(name) for name in _core.command_kinds()}


def _text(record: str, field: str, value: str, width: int) -> bytes:
    encoded = value.encode()
    if len(encoded) > width:
        raise InvalidField(record, field, value, f"at most {width} bytes")
    return encoded


def _fixed(record: str, field: str, value: bytes, width: int) -> bytes:
    if len(value) != width:
        raise InvalidField(record, field, value, f"{width} bytes")
    return value


def build(
    name: str, *, principal: bytes, account: bytes = NO_ACCOUNT_ID, client_key: bytes = NO_KEY, sub: int = 0,
    valid_until_ns: int = 0, shard: int = 0, **payload: int | bytes | str,
) -> bytes:  # fmt: skip
    """Any command of the catalogue by its name; payload fields that are not given are zero.

        build("CrankFunding", principal=key, account=account_id, client_key=key16, market=3)

    Raises:
        InvalidField: no such command, no such field, or a value that does not fit its field.
    """
    builder = _BUILDERS.get(name)
    if builder is None:
        raise InvalidField("Command", "kind", name, "a name of the catalogue of commands")
    values: list[int | bytes] = []
    for field, _, numpy_type in builder.payload_fields:
        width = int(numpy_type[2:]) if numpy_type.startswith("|V") else 0
        value = payload.pop(field, bytes(width) if width else 0)
        if isinstance(value, str):
            value = _text(name, field, value, width)
        elif isinstance(value, bytes) and len(value) > width:
            raise InvalidField(name, field, value, f"{width} bytes")
        values.append(value)
    for field, unknown in payload.items():
        raise InvalidField(name, field, unknown, "a field of this command")
    return builder.pack(principal, account, sub, client_key, valid_until_ns, shard, *values)


def register_asset(
    *, principal: bytes, client_key: bytes, symbol: str, initial_asset_bp: int = 10_000,
    maintenance_asset_bp: int = 10_000, initial_liability_bp: int = 10_000,
    maintenance_liability_bp: int = 10_000, deposit_cap: int = 0, asset_flags: int = 0,
    account: bytes = NO_ACCOUNT_ID, valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Registers an asset; weights in bp, the cap in micro-units (0 = none), flags of `AssetFlag`."""
    name = _text("RegisterAsset", "symbol", symbol, 16)
    return _BUILDERS["RegisterAsset"].pack(
        principal, account, 0, client_key, valid_until_ns, shard,
        name, initial_asset_bp, maintenance_asset_bp, initial_liability_bp, maintenance_liability_bp,
        deposit_cap, asset_flags,
    )  # fmt: skip


def create_market(
    *, principal: bytes, account: bytes, client_key: bytes, nonce: int, base: int, quote: int, tick_size: int,
    lot_size: int, market_kind: int = 0, outcome_count: int = 1, market_flags: int = 0,
    settle_time_ns: int = 0,
    feed: int = 0, band_bp: int = 1_000, slippage_bp: int = 100, taker_fee_e6bp: int = 0,
    maker_fee_e6bp: int = 0,
    min_notional: int = 1_000_000, max_notional: int = 1_000_000_000_000, valid_until_ns: int = 0,
    shard: int = 0,
) -> bytes:  # fmt: skip
    """Creates a market of `account`. Tick in micro-quote per whole unit, lot in micro-base, fees in 1e-6 bp,
    notionals in micro-quote."""
    return _BUILDERS["CreateMarket"].pack(
        principal, account, 0, client_key, valid_until_ns, shard,
        nonce, market_kind, outcome_count, base, quote, market_flags, tick_size, lot_size, settle_time_ns,
        feed,
        band_bp, slippage_bp, taker_fee_e6bp, maker_fee_e6bp, min_notional, max_notional,
    )  # fmt: skip


def update_market(
    *, principal: bytes, client_key: bytes, market: int, config_version: int, band_bp: int | None = None,
    slippage_bp: int | None = None, taker_fee_e6bp: int | None = None, maker_fee_e6bp: int | None = None,
    min_notional: int | None = None, max_notional: int | None = None, account: bytes = NO_ACCOUNT_ID,
    valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Changes the parameters that are given, against the stated configuration version."""
    values = (band_bp, slippage_bp, taker_fee_e6bp, maker_fee_e6bp, min_notional, max_notional)
    mask = sum(1 << bit for bit, value in enumerate(values) if value is not None)
    return _BUILDERS["UpdateMarket"].pack(
        principal, account, 0, client_key, valid_until_ns, shard,
        market, config_version, mask, *(value or 0 for value in values),
    )  # fmt: skip


def pause_market(
    *, principal: bytes, client_key: bytes, level: int, until_ns: int, reason: str, market: int = ALL_MARKETS,
    categories: int = 0, account: bytes = NO_ACCOUNT_ID, valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Pauses a market or the platform: level 1 PARTIAL, 2 FULL; at most 72 h."""
    return _BUILDERS["PauseMarket"].pack(
        principal, account, 0, client_key, valid_until_ns, shard,
        market, level, categories, until_ns, _text("PauseMarket", "reason", reason, 48),
    )  # fmt: skip


def resume_market(
    *, principal: bytes, client_key: bytes, pause_id: int, market: int = ALL_MARKETS,
    account: bytes = NO_ACCOUNT_ID, valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """One of the two approvals that end a pause."""
    return _BUILDERS["ResumeMarket"].pack(
        principal, account, 0, client_key, valid_until_ns, shard, market, pause_id
    )


def close_market(
    *, principal: bytes, client_key: bytes, market: int, account: bytes = NO_ACCOUNT_ID,
    valid_until_ns: int = 0,
    shard: int = 0,
) -> bytes:  # fmt: skip
    """Cancels the orders of a market and closes it."""
    return _BUILDERS["CloseMarket"].pack(principal, account, 0, client_key, valid_until_ns, shard, market)


def open_account(
    *, principal: bytes, client_key: bytes, owner_key: bytes, valid_until_ns: int = 0, shard: int = 0
) -> bytes:
    """Opens the account that derives from `owner_key`."""
    account = _core.derive_account_id(_fixed("OpenAccount", "owner_key", owner_key, 32))
    return _BUILDERS["OpenAccount"].pack(principal, account, 0, client_key, valid_until_ns, shard, owner_key)


def open_sub_account(
    *, principal: bytes, account: bytes, client_key: bytes, index: int, margin_mode: int = 0,
    valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Opens sub-account `index`; margin mode 0 CROSS, 1 ISOLATED."""
    return _BUILDERS["OpenSubAccount"].pack(
        principal, account, 0, client_key, valid_until_ns, shard, index, margin_mode
    )


def set_delegate(
    *, principal: bytes, account: bytes, client_key: bytes, key: bytes, scopes: int, expiry_ns: int,
    valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Lets another key act for the account; no scopes remove it."""
    return _BUILDERS["SetDelegate"].pack(
        principal, account, 0, client_key, valid_until_ns, shard,
        _fixed("SetDelegate", "key", key, 32), scopes, expiry_ns,
    )  # fmt: skip


def deposit(
    *, principal: bytes, account: bytes, asset: int, amount: int, external_id: bytes, sub: int = 0,
    client_key: bytes = NO_KEY, valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Custody (SYSTEM) credits micro-units; one `external_id` (32 bytes) is credited once."""
    return _BUILDERS["Deposit"].pack(
        principal, account, sub, client_key, valid_until_ns, shard,
        asset, amount, _fixed("Deposit", "external_id", external_id, 32),
    )  # fmt: skip


def request_withdrawal(
    *, principal: bytes, account: bytes, client_key: bytes, asset: int, amount: int, address_hash: bytes,
    sub: int = 0, valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Asks for micro-units to leave to a listed address."""
    return _BUILDERS["RequestWithdrawal"].pack(
        principal, account, sub, client_key, valid_until_ns, shard,
        asset, amount, _fixed("RequestWithdrawal", "address_hash", address_hash, 32),
    )  # fmt: skip


def cancel_withdrawal(
    *, principal: bytes, account: bytes, client_key: bytes, ticket: int, sub: int = 0,
    valid_until_ns: int = 0,
    shard: int = 0,
) -> bytes:  # fmt: skip
    """Takes a queued withdrawal back."""
    return _BUILDERS["CancelWithdrawal"].pack(
        principal, account, sub, client_key, valid_until_ns, shard, ticket
    )


def confirm_withdrawal(
    *, principal: bytes, ticket: int, ok: bool, external_id: bytes, client_key: bytes = NO_KEY,
    account: bytes = NO_ACCOUNT_ID, valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Custody (SYSTEM) reports a released withdrawal as settled or returned."""
    return _BUILDERS["ConfirmWithdrawal"].pack(
        principal, account, 0, client_key, valid_until_ns, shard,
        ticket, int(ok), _fixed("ConfirmWithdrawal", "external_id", external_id, 32),
    )  # fmt: skip


def transfer(
    *, principal: bytes, account: bytes, client_key: bytes, to_sub: int, asset: int, amount: int,
    sub: int = 0,
    valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Moves micro-units from sub-account `sub` to `to_sub` of the same owner."""
    return _BUILDERS["Transfer"].pack(
        principal, account, sub, client_key, valid_until_ns, shard, to_sub, asset, amount
    )


def list_address(
    *, principal: bytes, account: bytes, client_key: bytes, asset: int, address_hash: bytes,
    listed: bool = True,
    valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Lists a withdrawal address (usable after 24 h) or takes it off the list."""
    return _BUILDERS["ListAddress" if listed else "UnlistAddress"].pack(
        principal, account, 0, client_key, valid_until_ns, shard,
        asset, _fixed("ListAddress", "address_hash", address_hash, 32),
    )  # fmt: skip


def place_order(
    *, principal: bytes, account: bytes, client_key: bytes, market: int, side: int, lots: int, price: int = 0,
    order_type: int = OrderType.LIMIT, time_in_force: int = TimeInForce.GTC, order_flags: int = OrderFlag(0),
    self_trade_prevention: int = SelfTradePrevention.CANCEL_NEWEST, expiry_ns: int = 0, slippage_bp: int = 0,
    sub: int = 0, outcome: int = 0, display_lots: int = 0, trigger_price: int = 0, trail: int = 0,
    trigger_source: int = 0, leverage_e2: int = 0, linked_order: int = 0, valid_until_ns: int = 0,
    shard: int = 0,
) -> bytes:  # fmt: skip
    """Places an order: price in ticks (0 for MARKET), size in lots; `expiry_ns` for GTD only."""
    return _PLACE(
        principal, account, sub, client_key, valid_until_ns, shard,
        market, outcome, side, order_type, time_in_force, price, lots, expiry_ns, display_lots, trigger_price,
        trail, order_flags, self_trade_prevention, trigger_source, slippage_bp, leverage_e2, linked_order,
    )  # fmt: skip


def cancel_order(
    *, principal: bytes, account: bytes, order: int = 0, target_key: bytes = NO_KEY, sub: int = 0,
    client_key: bytes = NO_KEY, valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Cancels by order id, or by the client key it was placed with when `order` is 0."""
    return _CANCEL(
        principal, account, sub, client_key, valid_until_ns, shard,
        order, _fixed("CancelOrder", "target_key", target_key, 16),
    )  # fmt: skip


def replace_order(
    *, principal: bytes, account: bytes, client_key: bytes, order: int = 0, target_key: bytes = NO_KEY,
    price: int = 0, total_lots: int = 0, sub: int = 0, valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Changes price (ticks) or total size (lots); 0 keeps the present value."""
    return _BUILDERS["ReplaceOrder"].pack(
        principal, account, sub, client_key, valid_until_ns, shard,
        order, _fixed("ReplaceOrder", "target_key", target_key, 16), price, total_lots,
    )  # fmt: skip


def cancel_all(
    *, principal: bytes, account: bytes = NO_ACCOUNT_ID, market: int = ALL_MARKETS, target_sub: int = ALL,
    side: int = ALL, sub: int = 0, client_key: bytes = NO_KEY, valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Cancels the account's orders in a scope. Without account an EMERGENCY principal clears the market."""
    return _BUILDERS["CancelAll"].pack(
        principal, account, sub, client_key, valid_until_ns, shard, market, target_sub, side
    )


def set_cancel_all_after(
    *, principal: bytes, account: bytes, client_key: bytes, window_s: int, sub: int = 0,
    valid_until_ns: int = 0,
    shard: int = 0,
) -> bytes:  # fmt: skip
    """Arms the dead man's switch for 5..86,400 s; 0 disarms it."""
    return _BUILDERS["SetCancelAllAfter"].pack(
        principal, account, sub, client_key, valid_until_ns, shard, window_s
    )


def grant_role(
    *, principal: bytes, client_key: bytes, grantee: bytes, role: int, expiry_ns: int,
    account: bytes = NO_ACCOUNT_ID, valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Gives a role to a principal until `expiry_ns`, at most 365 days."""
    return _BUILDERS["GrantRole"].pack(
        principal, account, 0, client_key, valid_until_ns, shard,
        _fixed("GrantRole", "principal", grantee, 32), role, expiry_ns,
    )  # fmt: skip


def revoke_role(
    *, principal: bytes, client_key: bytes, grantee: bytes, role: int, account: bytes = NO_ACCOUNT_ID,
    valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Takes a role away."""
    return _BUILDERS["RevokeRole"].pack(
        principal, account, 0, client_key, valid_until_ns, shard,
        _fixed("RevokeRole", "principal", grantee, 32), role, 0,
    )  # fmt: skip


def suspend_principal(
    *, principal: bytes, client_key: bytes, target: bytes, suspended: bool = True,
    account: bytes = NO_ACCOUNT_ID,
    valid_until_ns: int = 0, shard: int = 0,
) -> bytes:  # fmt: skip
    """Removes all rights of a principal at once, or approves to give them back."""
    return _BUILDERS["SuspendPrincipal" if suspended else "ReinstatePrincipal"].pack(
        principal, account, 0, client_key, valid_until_ns, shard,
        _fixed("SuspendPrincipal", "principal", target, 32),
    )  # fmt: skip


def tick(*, principal: bytes, shard: int = 0) -> bytes:
    """The sequencer's clock: handles what is due."""
    return _BUILDERS["Tick"].pack(principal, NO_ACCOUNT_ID, 0, NO_KEY, 0, shard)


def checkpoint(*, principal: bytes, shard: int = 0) -> bytes:
    """Records both state hashes in the log."""
    return _BUILDERS["Checkpoint"].pack(principal, NO_ACCOUNT_ID, 0, NO_KEY, 0, shard)


_PLACE = _BUILDERS["PlaceOrder"].pack
_CANCEL = _BUILDERS["CancelOrder"].pack
