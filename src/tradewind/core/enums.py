"""Named numbers of the vocabulary.

Written by `python -m tradewind.core.generate` from the tables of the Rust module; do not edit.
"""

# fmt: off

from enum import IntEnum, IntFlag

NO_ACCOUNT = 0xffffffff
NO_MARKET = 0xffffffff
ALL = 0xff
ALL_MARKETS = 0xffffffff


class Side(IntEnum):
    """Order sides."""

    BUY = 0
    SELL = 1


class OrderType(IntEnum):
    """Order types."""

    LIMIT = 0
    MARKET = 1
    STOP = 2
    STOP_LIMIT = 3
    TAKE_PROFIT = 4
    TRAILING_STOP = 5
    ICEBERG = 6
    TWAP = 7


class TimeInForce(IntEnum):
    """How long an order lives."""

    GTC = 0
    IOC = 1
    FOK = 2
    GTD = 3


class OrderFlag(IntFlag):
    """Order flags."""

    POST_ONLY = 1
    REDUCE_ONLY = 2
    OCO = 4
    BRACKET = 8
    TRAIL_PPM = 16


class TriggerSource(IntEnum):
    """Prices that a trigger watches."""

    MARK = 0
    INDEX = 1
    LAST_TRADE = 2


class AssetFlag(IntFlag):
    """Flags of an asset."""

    SETTLEMENT = 1
    STABLE = 2
    STAKE = 4


class PositionCause(IntEnum):
    """What touched a position."""

    TRADE = 1
    FUNDING = 2
    LIQUIDATION = 3
    ADL = 4
    SETTLEMENT = 5
    SOCIALISED = 6
    TAKEOVER = 7


class SelfTradePrevention(IntEnum):
    """What happens when an account meets itself."""

    CANCEL_NEWEST = 0
    CANCEL_OLDEST = 1
    CANCEL_BOTH = 2
    DECREMENT = 3


class Scope(IntFlag):
    """What a delegate may do."""

    TRADE = 1
    CANCEL = 2
    TRANSFER_IN = 4
    ALL = 7


class TradeKind(IntEnum):
    """How a trade moved the assets."""

    TRANSFER = 0
    MINT = 1
    MERGE = 2
    PERP = 3
    AMM = 4
    DARK = 5
    LIQUIDATION = 6
    ADL = 7


class CancelReason(IntEnum):
    """Why an order left the book."""

    USER = 1
    CANCEL_ALL = 2
    SWITCH = 3
    IOC = 4
    FOK = 5
    POST_ONLY = 6
    SELF_TRADE = 7
    REDUCE_ONLY = 8
    BAND = 9
    SLIPPAGE = 10
    MARGIN = 11
    LINKED = 12
    MARKET_CLOSED = 13
    LIQUIDATION = 14
    EXPIRY = 15
    TWAP_END = 16


class Role(IntEnum):
    """Roles of principals."""

    TRADER = 0
    LIQUIDITY_PROVIDER = 1
    KEEPER = 2
    ORACLE = 3
    OPERATOR = 4
    RISK = 5
    EMERGENCY = 6
    RESUMER = 7
    GOVERNOR = 8
    APPROVER = 9
    ARBITER = 10
    TREASURER = 11
    ROLE_ADMIN = 12
    AUDITOR = 13
    SYSTEM = 14
    DARK_TRADER = 15


class Line(IntEnum):
    """Balance lines; from 0x80 on they belong to the system."""

    FREE = 0x0
    HELD = 0x1
    COST = 0x2
    PLEDGED = 0x3
    LOAN = 0x4
    BOND = 0x5
    PENDING_WITHDRAWAL = 0x6
    IN_TRANSIT = 0x7
    WORLD = 0x80
    SET_ESCROW = 0x81
    POOL_CASH = 0x82
    VAULT_CASH = 0x83
    VAULT_LOANS = 0x84
    INSURANCE = 0x85
    LIQUIDATION_FEES = 0x86
    FUNDING = 0x87
    STAKER_POOL = 0x88
    MAKER_FUND = 0x89
    BUYBACK = 0x8a
    TREASURY = 0x8b
    KEEPER_BOUNTY = 0x8c
    BOND_ESCROW = 0x8d
    ISSUANCE = 0x8e
    DUST = 0x8f


class MarketStatus(IntEnum):
    """Status byte of a market."""

    CREATED = 0
    ACTIVE = 1
    PAUSED = 2
    CLOSE_ONLY = 3
    CLOSED = 4
    RESOLVING = 5
    SETTLED = 6
    PRUNED = 7


class MarketKind(IntEnum):
    """Kinds of markets."""

    SPOT = 0
    PERPETUAL = 1
    OUTCOME = 2
    DISTRIBUTION = 3


class EventKind(IntEnum):
    """Codes of events."""

    MARKET_CREATED = 0x0101
    MARKET_UPDATED = 0x0102
    PAUSE_SET = 0x0103
    RESUME_PENDING = 0x0104
    RESUMED = 0x0105
    MARKET_CLOSING = 0x0106
    MARKET_CLOSED = 0x0107
    MARKET_ACTIVATED = 0x0108
    MARKET_IDENTIFIED = 0x0109
    MARKET_RISK_SET = 0x010a
    MARKET_SETTLED = 0x010b
    ASSET_REGISTERED = 0x0110
    ASSET_UPDATED = 0x0111
    BREAKER_TRIPPED = 0x0120
    BREAKER_REASONED = 0x0121
    BREAKER_EXTENDED = 0x0122
    BREAKER_HALF_OPEN = 0x0123
    BREAKER_CLOSED = 0x0124
    BREAKER_RESUME_PENDING = 0x0125
    BREAKER_CONFIGURED = 0x0126
    PAUSE_PENDING = 0x0127
    AUCTION_STARTED = 0x0128
    AUCTION_UNCROSSED = 0x0129
    AUCTION_ENDED = 0x012a
    COVERAGE_SHORT = 0x012c
    ACCOUNT_OPENED = 0x0201
    SUB_ACCOUNT_OPENED = 0x0202
    DELEGATE_SET = 0x0203
    DEPOSITED = 0x0204
    WITHDRAWAL_QUEUED = 0x0205
    WITHDRAWAL_RELEASED = 0x0206
    WITHDRAWAL_CANCELLED = 0x0207
    WITHDRAWAL_SETTLED = 0x0208
    WITHDRAWAL_RETURNED = 0x0209
    TRANSFERRED = 0x020a
    ADDRESS_LISTED = 0x020b
    ADDRESS_UNLISTED = 0x020c
    SUITABILITY_SET = 0x020d
    WITHDRAWAL_RESCHEDULED = 0x0210
    RATE_CLASS_SET = 0x0211
    ORDER_ACCEPTED = 0x0301
    ORDER_RESTED = 0x0302
    TRADE = 0x0303
    ORDER_CANCELLED = 0x0304
    ORDER_REPLACED = 0x0305
    SELF_TRADE_PREVENTED = 0x0306
    CANCEL_ALL_DONE = 0x0307
    SWITCH_ARMED = 0x0308
    SWITCH_DISARMED = 0x0309
    SWITCH_FIRED = 0x030a
    TRIGGER_PLACED = 0x0310
    TRIGGER_FIRED = 0x0311
    ORDER_ACTIVATED = 0x0312
    ICEBERG_SHOWN = 0x0313
    TWAP_PLACED = 0x0314
    SLICE_SENT = 0x0315
    SLICE_ENDED = 0x0316
    ORDER_LINKED = 0x0317
    ORDER_RESIZED = 0x0318
    BATCH_APPLIED = 0x0319
    POSITION_CHANGED = 0x0401
    POSITION_SETTLED = 0x0402
    MARGIN_ADJUSTED = 0x0403
    INSURANCE_FUNDED = 0x0404
    MARK_UPDATED = 0x0701
    SOURCE_UPDATED = 0x0710
    INDEX_UPDATED = 0x0711
    FEED_STATE_CHANGED = 0x0712
    FEED_CHANGED = 0x0713
    FEED_SOURCE_SET = 0x0714
    FEED_OVERRIDE_PENDING = 0x0715
    FEED_OVERRIDDEN = 0x0716
    FEED_OVERRIDE_ENDED = 0x0717
    MANIPULATION_ALERT = 0x0740
    CASE_OPENED = 0x0741
    ACCOUNT_SLOWED = 0x0742
    ACCOUNT_FREED = 0x0743
    CASE_CLOSED = 0x0744
    OWNERS_LINKED = 0x0745
    KEEPER_REGISTERED = 0x0801
    KEEPER_REMOVED = 0x0802
    KEEPER_STAKE_CHANGED = 0x0803
    KEEPER_SCORED = 0x0804
    KEEPER_SUSPENDED = 0x0805
    KEEPER_REINSTATED = 0x0806
    KEEPER_REVIEWED = 0x0807
    KEEPER_IDLE = 0x0808
    KEEPER_DUTY_MISSED = 0x0809
    KEEPER_ACTION_PENDING = 0x080a
    KEEPER_ACTION_CONFIRMED = 0x080b
    KEEPER_ACTION_LAPSED = 0x080c
    KEEPER_REWARDED = 0x080d
    SLASH_SIGNED = 0x0810
    SLASH_LAPSED = 0x0811
    SLASH_OPENED = 0x0812
    SLASH_APPEALED = 0x0813
    SLASH_REVERSED = 0x0814
    SLASH_CONFIRMED = 0x0815
    KEEPER_SLASHED = 0x0816
    FUNDING_INDEX_UPDATED = 0x0901
    ROLE_GRANTED = 0x0c01
    ROLE_REVOKED = 0x0c02
    PRINCIPAL_SUSPENDED = 0x0c03
    REINSTATE_PENDING = 0x0c04
    PRINCIPAL_REINSTATED = 0x0c05
    AUTHORITY_OFFERED = 0x0c10
    AUTHORITY_TRANSFERRED = 0x0c11
    OFFER_WITHDRAWN = 0x0c12
    OFFER_LAPSED = 0x0c13
    AUTHORITY_RENOUNCED = 0x0c14
    PARAMETER_SET = 0x0c18
    ACTION_PROPOSED = 0x0c20
    ACTION_PAYLOAD = 0x0c21
    ACTION_APPROVED = 0x0c22
    APPROVAL_WITHDRAWN = 0x0c23
    ACTION_CANCELLED = 0x0c24
    ACTION_EXECUTED = 0x0c25
    ACTION_EXPIRED = 0x0c26
    CONTINUATION_REQUIRED = 0xff01
    TIME_ADVANCED = 0xff02
    STATE_HASHED = 0xff03
    SNAPSHOT_TAKEN = 0xff04
    RULES_ACTIVATED = 0xff05
