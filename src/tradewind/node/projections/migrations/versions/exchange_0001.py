"""The tables of one spot exchange."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger()
INDEXES = (
    ("tw_orders", "market"),
    ("tw_orders", "account"),
    ("tw_orders", "is_open"),
    ("tw_trades", "time_ns"),
    ("tw_trades", "market"),
)


def number(name: str) -> sa.Column[int]:
    return sa.Column(name, BIG, nullable=False)


def key(name: str, kind: "sa.types.TypeEngine[int]" = BIG) -> sa.Column[int]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "tw_applied",
        sa.Column("projection", sa.String(32), primary_key=True),
        number("applied_seq"),
        number("applied_time_ns"),
    )
    _upgrade_directory()
    _upgrade_flow()
    for table, column in INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column])


def _upgrade_directory() -> None:
    """What changes seldom: assets, accounts, markets."""
    op.create_table(
        "tw_assets",
        key("asset", sa.Integer()),
        sa.Column("symbol", sa.String(16), nullable=False),
    )
    op.create_table(
        "tw_accounts",
        key("account"),
        sa.Column("account_id", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("owner_key", sa.LargeBinary(32), nullable=False),
        number("opened_ns"),
    )
    op.create_table(
        "tw_markets",
        key("market"),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("quote", sa.Integer(), nullable=False),
        *map(number, ("tick_size", "lot_size", "taker_fee_e6bp", "maker_fee_e6bp", "config_version")),
    )


def _upgrade_flow() -> None:
    """What changes with every command: balances, orders, trades."""
    op.create_table(
        "tw_balances",
        key("owner"),
        *(key(name, sa.Integer()) for name in ("sub", "asset", "line")),
        number("amount"),
    )
    op.create_table(
        "tw_orders",
        key("order_id"),
        *map(number, ("market", "account")),
        sa.Column("sub", sa.Integer(), nullable=False),
        sa.Column("client_key", sa.LargeBinary(16), nullable=False),
        sa.Column("side", sa.String(4), nullable=False),
        *map(number, ("price", "total_lots", "remaining_lots", "filled_lots", "filled_notional", "fees")),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(16), nullable=True),
        *map(number, ("accepted_seq", "accepted_ns", "updated_ns")),
    )
    op.create_table(
        "tw_trades",
        key("seq"),
        key("event_index", sa.Integer()),
        *map(number, ("time_ns", "market", "price", "lots", "notional")),
        sa.Column("taker_side", sa.String(4), nullable=False),
        *map(number, ("taker_order", "maker_order", "taker_account", "maker_account")),
        *map(number, ("taker_fee", "maker_fee")),
    )


def downgrade() -> None:
    for name in ("trades", "orders", "balances", "markets", "accounts", "assets", "applied"):
        op.drop_table(f"tw_{name}")
