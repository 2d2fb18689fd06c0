"""Events as typed objects.

Written by `python -m tradewind.core.generate` from the tables of the Rust module; do not edit.
"""

# fmt: off

import msgspec

from tradewind.core.base import Posting


class Event(msgspec.Struct, frozen=True, gc=False):
    """What every event says about itself."""

    seq: int
    time_ns: int
    event_index: int
    shard: int
    market: int
    account: int
    sub: int
    order: int


class MarketCreated(Event, frozen=True, gc=False):
    """MARKET_CREATED."""

    market_kind: int
    status: int
    base: int
    quote: int
    market_flags: int
    tick_size: int
    lot_size: int
    unit: int
    settle_time_ns: int
    taker_fee_e6bp: int
    maker_fee_e6bp: int
    band_bp: int
    slippage_bp: int
    config_version: int
    min_notional: int
    max_notional: int
    postings: tuple[Posting, ...]


class MarketUpdated(Event, frozen=True, gc=False):
    """MARKET_UPDATED."""

    market_kind: int
    status: int
    base: int
    quote: int
    market_flags: int
    tick_size: int
    lot_size: int
    unit: int
    settle_time_ns: int
    taker_fee_e6bp: int
    maker_fee_e6bp: int
    band_bp: int
    slippage_bp: int
    config_version: int
    min_notional: int
    max_notional: int
    postings: tuple[Posting, ...]


class PauseSet(Event, frozen=True, gc=False):
    """PAUSE_SET."""

    level: int
    categories: int
    pause_id: int
    until_ns: int
    reason: str
    postings: tuple[Posting, ...]


class ResumePending(Event, frozen=True, gc=False):
    """RESUME_PENDING."""

    pause_id: int
    until_ns: int
    principal: bytes
    postings: tuple[Posting, ...]


class Resumed(Event, frozen=True, gc=False):
    """RESUMED."""

    pause_id: int
    until_ns: int
    principal: bytes
    postings: tuple[Posting, ...]


class MarketClosing(Event, frozen=True, gc=False):
    """MARKET_CLOSING."""

    status: int
    previous: int
    postings: tuple[Posting, ...]


class MarketClosed(Event, frozen=True, gc=False):
    """MARKET_CLOSED."""

    status: int
    previous: int
    postings: tuple[Posting, ...]


class MarketActivated(Event, frozen=True, gc=False):
    """MARKET_ACTIVATED."""

    status: int
    previous: int
    postings: tuple[Posting, ...]


class MarketIdentified(Event, frozen=True, gc=False):
    """MARKET_IDENTIFIED."""

    id: bytes
    nonce: int
    outcome_count: int
    feed: int
    postings: tuple[Posting, ...]


class MarketRiskSet(Event, frozen=True, gc=False):
    """MARKET_RISK_SET."""

    config_version: int
    max_leverage_e2: int
    size_k_ppm: int
    floor_mmf_ppm: int
    liquidation_fee_e6bp: int
    feed: int
    position_limit: int
    open_interest_cap: int
    impact_notional: int
    insurance_limit: int
    open_interest_lots: int
    postings: tuple[Posting, ...]


class MarketSettled(Event, frozen=True, gc=False):
    """MARKET_SETTLED."""

    status: int
    previous: int
    postings: tuple[Posting, ...]


class MarketPruned(Event, frozen=True, gc=False):
    """MARKET_PRUNED."""

    archive_hash: bytes
    status: int
    previous: int
    postings: tuple[Posting, ...]


class AssetRegistered(Event, frozen=True, gc=False):
    """ASSET_REGISTERED."""

    symbol: str
    asset: int
    initial_asset_bp: int
    maintenance_asset_bp: int
    initial_liability_bp: int
    maintenance_liability_bp: int
    deposit_cap: int
    asset_flags: int
    feed: int
    collateral_cap: int
    postings: tuple[Posting, ...]


class AssetUpdated(Event, frozen=True, gc=False):
    """ASSET_UPDATED."""

    symbol: str
    asset: int
    initial_asset_bp: int
    maintenance_asset_bp: int
    initial_liability_bp: int
    maintenance_liability_bp: int
    deposit_cap: int
    asset_flags: int
    feed: int
    collateral_cap: int
    postings: tuple[Posting, ...]


class BreakerTripped(Event, frozen=True, gc=False):
    """BREAKER_TRIPPED."""

    breaker: int
    cause: int
    phase: int
    halt_s: int
    value: int
    threshold: int
    since_ns: int
    until_ns: int
    principal: bytes
    postings: tuple[Posting, ...]


class BreakerReasoned(Event, frozen=True, gc=False):
    """BREAKER_REASONED."""

    breaker: int
    reason: str
    postings: tuple[Posting, ...]


class BreakerExtended(Event, frozen=True, gc=False):
    """BREAKER_EXTENDED."""

    breaker: int
    cause: int
    phase: int
    halt_s: int
    value: int
    threshold: int
    since_ns: int
    until_ns: int
    principal: bytes
    postings: tuple[Posting, ...]


class BreakerHalfOpen(Event, frozen=True, gc=False):
    """BREAKER_HALF_OPEN."""

    breaker: int
    cause: int
    phase: int
    halt_s: int
    value: int
    threshold: int
    since_ns: int
    until_ns: int
    principal: bytes
    postings: tuple[Posting, ...]


class BreakerClosed(Event, frozen=True, gc=False):
    """BREAKER_CLOSED."""

    breaker: int
    cause: int
    phase: int
    halt_s: int
    value: int
    threshold: int
    since_ns: int
    until_ns: int
    principal: bytes
    postings: tuple[Posting, ...]


class BreakerResumePending(Event, frozen=True, gc=False):
    """BREAKER_RESUME_PENDING."""

    breaker: int
    cause: int
    phase: int
    halt_s: int
    value: int
    threshold: int
    since_ns: int
    until_ns: int
    principal: bytes
    postings: tuple[Posting, ...]


class BreakerConfigured(Event, frozen=True, gc=False):
    """BREAKER_CONFIGURED."""

    breaker: int
    armed: int
    config_version: int
    threshold: int
    second_threshold: int
    halt_s: int
    cooldown_s: int
    postings: tuple[Posting, ...]


class PausePending(Event, frozen=True, gc=False):
    """PAUSE_PENDING."""

    level: int
    categories: int
    pause_id: int
    until_ns: int
    reason: str
    postings: tuple[Posting, ...]


class AuctionStarted(Event, frozen=True, gc=False):
    """AUCTION_STARTED."""

    reference: int
    low: int
    high: int
    price: int
    lots: int
    imbalance: int
    until_ns: int
    postings: tuple[Posting, ...]


class AuctionUncrossed(Event, frozen=True, gc=False):
    """AUCTION_UNCROSSED."""

    reference: int
    low: int
    high: int
    price: int
    lots: int
    imbalance: int
    until_ns: int
    postings: tuple[Posting, ...]


class AuctionEnded(Event, frozen=True, gc=False):
    """AUCTION_ENDED."""

    reference: int
    low: int
    high: int
    price: int
    lots: int
    imbalance: int
    until_ns: int
    postings: tuple[Posting, ...]


class CoverageShort(Event, frozen=True, gc=False):
    """COVERAGE_SHORT."""

    coverage_ppm: int
    postings: tuple[Posting, ...]


class AccountOpened(Event, frozen=True, gc=False):
    """ACCOUNT_OPENED."""

    account_id: bytes
    owner_key: bytes
    postings: tuple[Posting, ...]


class SubAccountOpened(Event, frozen=True, gc=False):
    """SUB_ACCOUNT_OPENED."""

    index: int
    margin_mode: int
    postings: tuple[Posting, ...]


class DelegateSet(Event, frozen=True, gc=False):
    """DELEGATE_SET."""

    key: bytes
    scopes: int
    expiry_ns: int
    postings: tuple[Posting, ...]


class Deposited(Event, frozen=True, gc=False):
    """DEPOSITED."""

    asset: int
    to_sub: int
    amount: int
    ticket: int
    eta_ns: int
    reference: bytes
    postings: tuple[Posting, ...]


class WithdrawalQueued(Event, frozen=True, gc=False):
    """WITHDRAWAL_QUEUED."""

    asset: int
    to_sub: int
    amount: int
    ticket: int
    eta_ns: int
    reference: bytes
    postings: tuple[Posting, ...]


class WithdrawalReleased(Event, frozen=True, gc=False):
    """WITHDRAWAL_RELEASED."""

    asset: int
    to_sub: int
    amount: int
    ticket: int
    eta_ns: int
    reference: bytes
    postings: tuple[Posting, ...]


class WithdrawalCancelled(Event, frozen=True, gc=False):
    """WITHDRAWAL_CANCELLED."""

    asset: int
    to_sub: int
    amount: int
    ticket: int
    eta_ns: int
    reference: bytes
    postings: tuple[Posting, ...]


class WithdrawalSettled(Event, frozen=True, gc=False):
    """WITHDRAWAL_SETTLED."""

    asset: int
    to_sub: int
    amount: int
    ticket: int
    eta_ns: int
    reference: bytes
    postings: tuple[Posting, ...]


class WithdrawalReturned(Event, frozen=True, gc=False):
    """WITHDRAWAL_RETURNED."""

    asset: int
    to_sub: int
    amount: int
    ticket: int
    eta_ns: int
    reference: bytes
    postings: tuple[Posting, ...]


class Transferred(Event, frozen=True, gc=False):
    """TRANSFERRED."""

    asset: int
    to_sub: int
    amount: int
    ticket: int
    eta_ns: int
    reference: bytes
    postings: tuple[Posting, ...]


class AddressListed(Event, frozen=True, gc=False):
    """ADDRESS_LISTED."""

    asset: int
    usable_from_ns: int
    address_hash: bytes
    postings: tuple[Posting, ...]


class AddressUnlisted(Event, frozen=True, gc=False):
    """ADDRESS_UNLISTED."""

    asset: int
    usable_from_ns: int
    address_hash: bytes
    postings: tuple[Posting, ...]


class SuitabilitySet(Event, frozen=True, gc=False):
    """SUITABILITY_SET."""

    level: int
    expiry_ns: int
    postings: tuple[Posting, ...]


class WithdrawalRescheduled(Event, frozen=True, gc=False):
    """WITHDRAWAL_RESCHEDULED."""

    asset: int
    to_sub: int
    amount: int
    ticket: int
    eta_ns: int
    reference: bytes
    postings: tuple[Posting, ...]


class RateClassSet(Event, frozen=True, gc=False):
    """RATE_CLASS_SET."""

    rate_class: int
    postings: tuple[Posting, ...]


class OrderAccepted(Event, frozen=True, gc=False):
    """ORDER_ACCEPTED."""

    side: int
    order_type: int
    time_in_force: int
    self_trade_prevention: int
    order_flags: int
    outcome: int
    resting: int
    price: int
    total_lots: int
    remaining_lots: int
    expiry_ns: int
    reserve: int
    priority: int
    client_key: bytes
    postings: tuple[Posting, ...]


class OrderRested(Event, frozen=True, gc=False):
    """ORDER_RESTED."""

    side: int
    order_type: int
    time_in_force: int
    self_trade_prevention: int
    order_flags: int
    outcome: int
    resting: int
    price: int
    total_lots: int
    remaining_lots: int
    expiry_ns: int
    reserve: int
    priority: int
    client_key: bytes
    postings: tuple[Posting, ...]


class Trade(Event, frozen=True, gc=False):
    """TRADE."""

    maker_order: int
    maker_account: int
    maker_sub: int
    taker_side: int
    trade_kind: int
    outcome: int
    price: int
    lots: int
    notional: int
    taker_fee: int
    maker_fee: int
    maker_remaining: int
    taker_remaining: int
    postings: tuple[Posting, ...]


class OrderCancelled(Event, frozen=True, gc=False):
    """ORDER_CANCELLED."""

    reason: int
    side: int
    price: int
    remaining_lots: int
    released: int
    filled_lots: int
    postings: tuple[Posting, ...]


class OrderReplaced(Event, frozen=True, gc=False):
    """ORDER_REPLACED."""

    side: int
    order_type: int
    time_in_force: int
    self_trade_prevention: int
    order_flags: int
    outcome: int
    resting: int
    price: int
    total_lots: int
    remaining_lots: int
    expiry_ns: int
    reserve: int
    priority: int
    client_key: bytes
    postings: tuple[Posting, ...]


class SelfTradePrevented(Event, frozen=True, gc=False):
    """SELF_TRADE_PREVENTED."""

    maker_order: int
    lots: int
    maker_remaining: int
    taker_remaining: int
    price: int
    postings: tuple[Posting, ...]


class CancelAllDone(Event, frozen=True, gc=False):
    """CANCEL_ALL_DONE."""

    count: int
    postings: tuple[Posting, ...]


class SwitchArmed(Event, frozen=True, gc=False):
    """SWITCH_ARMED."""

    deadline_ns: int
    window_s: int
    postings: tuple[Posting, ...]


class SwitchDisarmed(Event, frozen=True, gc=False):
    """SWITCH_DISARMED."""

    deadline_ns: int
    window_s: int
    postings: tuple[Posting, ...]


class SwitchFired(Event, frozen=True, gc=False):
    """SWITCH_FIRED."""

    deadline_ns: int
    window_s: int
    postings: tuple[Posting, ...]


class TriggerPlaced(Event, frozen=True, gc=False):
    """TRIGGER_PLACED."""

    trigger_price: int
    trail: int
    extreme: int
    limit: int
    reserve: int
    inactive_lots: int
    source: int
    state: int
    slippage_bp: int
    leverage_e2: int
    postings: tuple[Posting, ...]


class TriggerFired(Event, frozen=True, gc=False):
    """TRIGGER_FIRED."""

    trigger_price: int
    source_price: int
    extreme: int
    limit: int
    source: int
    postings: tuple[Posting, ...]


class OrderActivated(Event, frozen=True, gc=False):
    """ORDER_ACTIVATED."""

    side: int
    order_type: int
    time_in_force: int
    self_trade_prevention: int
    order_flags: int
    outcome: int
    resting: int
    price: int
    total_lots: int
    remaining_lots: int
    expiry_ns: int
    reserve: int
    priority: int
    client_key: bytes
    postings: tuple[Posting, ...]


class IcebergShown(Event, frozen=True, gc=False):
    """ICEBERG_SHOWN."""

    displayed_lots: int
    hidden_lots: int
    display: int
    price: int
    priority: int
    postings: tuple[Posting, ...]


class TwapPlaced(Event, frozen=True, gc=False):
    """TWAP_PLACED."""

    limit: int
    next_ns: int
    slices: int
    slippage_bp: int
    interval_s: int
    leverage_e2: int
    postings: tuple[Posting, ...]


class SliceSent(Event, frozen=True, gc=False):
    """SLICE_SENT."""

    slice: int
    slices: int
    code: int
    lots: int
    remaining_lots: int
    price: int
    reserve: int
    next_ns: int
    postings: tuple[Posting, ...]


class SliceEnded(Event, frozen=True, gc=False):
    """SLICE_ENDED."""

    slice: int
    slices: int
    code: int
    lots: int
    remaining_lots: int
    price: int
    reserve: int
    next_ns: int
    postings: tuple[Posting, ...]


class OrderLinked(Event, frozen=True, gc=False):
    """ORDER_LINKED."""

    other: int
    kind: int
    postings: tuple[Posting, ...]


class OrderResized(Event, frozen=True, gc=False):
    """ORDER_RESIZED."""

    remaining_lots: int
    inactive_lots: int
    total_lots: int
    reserve: int
    other: int
    cause: int
    postings: tuple[Posting, ...]


class BatchApplied(Event, frozen=True, gc=False):
    """BATCH_APPLIED."""

    count: int
    postings: tuple[Posting, ...]


class PositionChanged(Event, frozen=True, gc=False):
    """POSITION_CHANGED."""

    lots: int
    cost: int
    realised: int
    funding_paid: int
    open_buy_lots: int
    open_sell_lots: int
    funding_index_low: int
    funding_index_high: int
    leverage_e2: int
    cause: int
    postings: tuple[Posting, ...]


class PositionSettled(Event, frozen=True, gc=False):
    """POSITION_SETTLED."""

    lots: int
    cost: int
    realised: int
    funding_paid: int
    open_buy_lots: int
    open_sell_lots: int
    funding_index_low: int
    funding_index_high: int
    leverage_e2: int
    cause: int
    postings: tuple[Posting, ...]


class MarginAdjusted(Event, frozen=True, gc=False):
    """MARGIN_ADJUSTED."""

    asset: int
    other_sub: int
    amount: int
    postings: tuple[Posting, ...]


class InsuranceFunded(Event, frozen=True, gc=False):
    """INSURANCE_FUNDED."""

    asset: int
    other_sub: int
    amount: int
    postings: tuple[Posting, ...]


class HealthWarning(Event, frozen=True, gc=False):
    """HEALTH_WARNING."""

    equity: int
    maintenance_margin: int
    ratio_ppm: int
    notional: int
    level: int
    previous: int
    postings: tuple[Posting, ...]


class LiquidationFlagged(Event, frozen=True, gc=False):
    """LIQUIDATION_FLAGGED."""

    equity: int
    maintenance_margin: int
    ratio_ppm: int
    notional: int
    system_from_ns: int
    lots: int
    postings: tuple[Posting, ...]


class LiquidationStarted(Event, frozen=True, gc=False):
    """LIQUIDATION_STARTED."""

    lots: int
    limit: int
    mark: int
    equity: int
    maintenance_margin: int
    fee_rate_e6bp: int
    keeper: int
    cut: int
    cascade: int
    rate_left: int
    postings: tuple[Posting, ...]


class LiquidationStepped(Event, frozen=True, gc=False):
    """LIQUIDATION_STEPPED."""

    filled_lots: int
    unfilled_lots: int
    notional: int
    fee: int
    equity: int
    maintenance_margin: int
    ratio_before_ppm: int
    ratio_ppm: int
    postings: tuple[Posting, ...]


class LossCovered(Event, frozen=True, gc=False):
    """LOSS_COVERED."""

    stage: int
    asset: int
    covered: int
    deficit_left: int
    amount: int
    source_left: int
    postings: tuple[Posting, ...]


class BackstopTaken(Event, frozen=True, gc=False):
    """BACKSTOP_TAKEN."""

    lots: int
    value: int
    mark: int
    realised: int
    draw: int
    insurance_left: int
    fund: int
    notional: int
    postings: tuple[Posting, ...]


class AdlExecuted(Event, frozen=True, gc=False):
    """ADL_EXECUTED."""

    bankrupt_account: int
    bankrupt_sub: int
    rank: int
    lots: int
    value: int
    price: int
    score_ppm: int
    realised: int
    bankrupt_realised: int
    unrealised: int
    postings: tuple[Posting, ...]


class LossSocialised(Event, frozen=True, gc=False):
    """LOSS_SOCIALISED."""

    bankrupt_account: int
    bankrupt_sub: int
    share: int
    profit: int
    loss_total: int
    profit_total: int
    postings: tuple[Posting, ...]


class LiquidationEnded(Event, frozen=True, gc=False):
    """LIQUIDATION_ENDED."""

    reason: int
    equity: int
    maintenance_margin: int
    next_ns: int
    postings: tuple[Posting, ...]


class CascadeChanged(Event, frozen=True, gc=False):
    """CASCADE_CHANGED."""

    active: int
    pending_notional: int
    depth: int
    open_interest: int
    since_ns: int
    postings: tuple[Posting, ...]


class FundSettled(Event, frozen=True, gc=False):
    """FUND_SETTLED."""

    fund: int
    amount: int
    insurance_left: int
    equity: int
    postings: tuple[Posting, ...]


class LoanOpened(Event, frozen=True, gc=False):
    """LOAN_OPENED."""

    outcome: int
    owner_sub: int
    short: int
    leverage_e2: int
    lots: int
    price: int
    mark: int
    loan: int
    margin: int
    debt: int
    initial_margin: int
    postings: tuple[Posting, ...]


class LoanMoved(Event, frozen=True, gc=False):
    """LOAN_MOVED."""

    outcome: int
    owner_sub: int
    cause: int
    closed: int
    payer: int
    repaid: int
    paid_in: int
    returned: int
    debt: int
    shares: int
    postings: tuple[Posting, ...]


class LoanCharged(Event, frozen=True, gc=False):
    """LOAN_CHARGED."""

    interest: int
    debt: int
    index_low: int
    index_high: int
    postings: tuple[Posting, ...]


class InterestIndexMoved(Event, frozen=True, gc=False):
    """INTEREST_INDEX_MOVED."""

    index_low: int
    index_high: int
    apr_ppm: int
    utilisation_ppm: int
    hours: int
    hour_ns: int
    loans: int
    nav: int
    postings: tuple[Posting, ...]


class LoanLiquidated(Event, frozen=True, gc=False):
    """LOAN_LIQUIDATED."""

    outcome: int
    owner_sub: int
    ramp_ppm: int
    mark: int
    lots_held: int
    value: int
    debt: int
    maintenance: int
    lots: int
    limit: int
    postings: tuple[Posting, ...]


class LoanLossCovered(Event, frozen=True, gc=False):
    """LOAN_LOSS_COVERED."""

    outcome: int
    owner_sub: int
    taken: int
    debt: int
    liquidation_fees: int
    insurance: int
    vault: int
    shares: int
    mark: int
    debt_left: int
    postings: tuple[Posting, ...]


class OutcomeMarked(Event, frozen=True, gc=False):
    """OUTCOME_MARKED."""

    outcome: int
    clamped: int
    mark: int
    unclamped: int
    index_e6: int
    premium_e6: int
    postings: tuple[Posting, ...]


class OutcomeMarksSet(Event, frozen=True, gc=False):
    """OUTCOME_MARKS_SET."""

    sum: int
    outcomes: int
    feed_state: int
    postings: tuple[Posting, ...]


class LoanBridged(Event, frozen=True, gc=False):
    """LOAN_BRIDGED."""

    outcome: int
    owner_sub: int
    opens: int
    lots: int
    price: int
    amount: int
    debt: int
    postings: tuple[Posting, ...]


class LoanSwapped(Event, frozen=True, gc=False):
    """LOAN_SWAPPED."""

    outcome: int
    owner_sub: int
    side: int
    liquidates: int
    impact_bp: int
    lots: int
    limit: int
    postings: tuple[Posting, ...]


class PoolCreated(Event, frozen=True, gc=False):
    """POOL_CREATED."""

    amm_kind: int
    chosen: int
    liquidity: int
    funding: int
    minted: int
    shares: int
    postings: tuple[Posting, ...]


class AmmSwapped(Event, frozen=True, gc=False):
    """AMM_SWAPPED."""

    outcome: int
    side: int
    shares: int
    cost: int
    fee: int
    minted: int
    price_before_ppb: int
    price_after_ppb: int
    liquidity: int
    provider_fee: int
    postings: tuple[Posting, ...]


class LiquidityAdded(Event, frozen=True, gc=False):
    """LIQUIDITY_ADDED."""

    shares: int
    money: int
    minted: int
    provider_shares: int
    total_shares: int
    liquidity: int
    unlock_ns: int
    postings: tuple[Posting, ...]


class LiquidityRemoved(Event, frozen=True, gc=False):
    """LIQUIDITY_REMOVED."""

    shares: int
    money: int
    minted: int
    provider_shares: int
    total_shares: int
    liquidity: int
    unlock_ns: int
    postings: tuple[Posting, ...]


class PoolRescaled(Event, frozen=True, gc=False):
    """POOL_RESCALED."""

    liquidity_before: int
    liquidity: int
    freed_first: int
    freed_second: int
    released_first: int
    released_second: int
    base: int
    postings: tuple[Posting, ...]


class LiquidityCollected(Event, frozen=True, gc=False):
    """LIQUIDITY_COLLECTED."""

    shares: int
    money: int
    minted: int
    provider_shares: int
    total_shares: int
    liquidity: int
    unlock_ns: int
    postings: tuple[Posting, ...]


class DistributionCreated(Event, frozen=True, gc=False):
    """DISTRIBUTION_CREATED."""

    norm: int
    backing: int
    lower: int
    upper: int
    mean: int
    sigma: int
    postings: tuple[Posting, ...]


class DistributionMoved(Event, frozen=True, gc=False):
    """DISTRIBUTION_MOVED."""

    from_mean: int
    from_sigma: int
    mean: int
    sigma: int
    collateral: int
    fee: int
    provider_fee: int
    claims: int
    cash: int
    postings: tuple[Posting, ...]


class DistributionPaid(Event, frozen=True, gc=False):
    """DISTRIBUTION_PAID."""

    value: int
    paid: int
    residual: int
    swept: int
    cash: int
    claims: int
    invalid: int
    postings: tuple[Posting, ...]


class SetMinted(Event, frozen=True, gc=False):
    """SET_MINTED."""

    lots: int
    amount: int
    sets: int
    postings: tuple[Posting, ...]


class SetMerged(Event, frozen=True, gc=False):
    """SET_MERGED."""

    lots: int
    amount: int
    sets: int
    postings: tuple[Posting, ...]


class ClaimsMoved(Event, frozen=True, gc=False):
    """CLAIMS_MOVED."""

    outcome: int
    cause: int
    delta_free: int
    delta_held: int
    free: int
    held: int
    supply: int
    postings: tuple[Posting, ...]


class SetFilled(Event, frozen=True, gc=False):
    """SET_FILLED."""

    taker_order: int
    taker_account: int
    trade_kind: int
    outcome: int
    side: int
    orders: int
    price: int
    lots: int
    value: int
    fee: int
    surplus: int
    remaining: int
    postings: tuple[Posting, ...]


class MarkUpdated(Event, frozen=True, gc=False):
    """MARK_UPDATED."""

    mark: int
    index: int
    unclamped: int
    premium_e6: int
    open_interest_lots: int
    clamped: int
    feed_state: int
    postings: tuple[Posting, ...]


class SourceUpdated(Event, frozen=True, gc=False):
    """SOURCE_UPDATED."""

    feed: int
    weight: int
    gate: int
    value: int
    confidence: int
    source_time_ns: int
    source_seq: int
    source: bytes
    postings: tuple[Posting, ...]


class IndexUpdated(Event, frozen=True, gc=False):
    """INDEX_UPDATED."""

    feed: int
    passing: int
    sources: int
    state: int
    index: int
    confidence: int
    updated_ns: int
    low: int
    high: int
    gates: int
    postings: tuple[Posting, ...]


class FeedStateChanged(Event, frozen=True, gc=False):
    """FEED_STATE_CHANGED."""

    feed: int
    state: int
    previous: int
    cause: int
    clears: int
    since_ns: int
    hold_ms: int
    passing: int
    sources: int
    gates: int
    index: int
    confidence: int
    postings: tuple[Posting, ...]


class FeedChanged(Event, frozen=True, gc=False):
    """FEED_CHANGED."""

    symbol: str
    feed: int
    feed_kind: int
    quorum: int
    interval_ms: int
    max_confidence_ppm: int
    max_deviation_bp: int
    fallback: int
    config_version: int
    ready_ns: int
    postings: tuple[Posting, ...]


class FeedSourceSet(Event, frozen=True, gc=False):
    """FEED_SOURCE_SET."""

    feed: int
    weight: int
    activated: int
    sources: int
    config_version: int
    source: bytes
    postings: tuple[Posting, ...]


class FeedOverridePending(Event, frozen=True, gc=False):
    """FEED_OVERRIDE_PENDING."""

    feed: int
    action: int
    source: int
    until_ns: int
    pending_until_ns: int
    principal: bytes
    postings: tuple[Posting, ...]


class FeedOverridden(Event, frozen=True, gc=False):
    """FEED_OVERRIDDEN."""

    feed: int
    action: int
    until_ns: int
    source: bytes
    target: int
    postings: tuple[Posting, ...]


class FeedOverrideEnded(Event, frozen=True, gc=False):
    """FEED_OVERRIDE_ENDED."""

    feed: int
    action: int
    until_ns: int
    source: bytes
    target: int
    postings: tuple[Posting, ...]


class VenueLinked(Event, frozen=True, gc=False):
    """VENUE_LINKED."""

    source: int
    outcomes: int
    condition: bytes
    key: bytes
    postings: tuple[Posting, ...]


class VenueQuoted(Event, frozen=True, gc=False):
    """VENUE_QUOTED."""

    first: int
    quotes: int
    state: int
    confidence: int
    liquidity: int
    venue_time_ns: int
    source_seq: int
    bids: bytes
    asks: bytes
    postings: tuple[Posting, ...]


class VenueRefreshed(Event, frozen=True, gc=False):
    """VENUE_REFRESHED."""

    first: int
    count: int
    venue_time_ns: int
    source_seq: int
    markets: bytes
    postings: tuple[Posting, ...]


class VenueBatchApplied(Event, frozen=True, gc=False):
    """VENUE_BATCH_APPLIED."""

    batch: int
    source: int
    alert: int
    failed: int
    count: int
    quoted: int
    refreshed: int
    unreadable: int
    missing: int
    market_not_found: int
    feed_not_found: int
    source_not_registered: int
    market_not_active: int
    invalid_outcome: int
    publish_out_of_order: int
    future_timestamp: int
    stale_price: int
    parameter_out_of_bounds: int
    non_positive_price: int
    crossed_source: int
    invalid_probabilities: int
    postings: tuple[Posting, ...]


class VenueOutage(Event, frozen=True, gc=False):
    """VENUE_OUTAGE."""

    source: int
    level: int
    markets: int
    success_ns: int
    since_ns: int
    postings: tuple[Posting, ...]


class ManipulationAlert(Event, frozen=True, gc=False):
    """MANIPULATION_ALERT."""

    step: int
    score: int
    signals: int
    insufficient: int
    from_ns: int
    until_ns: int
    case: int
    last_price: int
    volume: int
    expected: int
    postings: tuple[Posting, ...]


class CaseOpened(Event, frozen=True, gc=False):
    """CASE_OPENED."""

    case: int
    opened_ns: int
    signals: int
    score: int
    founded: int
    evidence_hash: bytes
    postings: tuple[Posting, ...]


class AccountSlowed(Event, frozen=True, gc=False):
    """ACCOUNT_SLOWED."""

    until_ns: int
    case: int
    postings: tuple[Posting, ...]


class AccountFreed(Event, frozen=True, gc=False):
    """ACCOUNT_FREED."""

    until_ns: int
    case: int
    postings: tuple[Posting, ...]


class CaseClosed(Event, frozen=True, gc=False):
    """CASE_CLOSED."""

    case: int
    opened_ns: int
    signals: int
    score: int
    founded: int
    evidence_hash: bytes
    postings: tuple[Posting, ...]


class OwnersLinked(Event, frozen=True, gc=False):
    """OWNERS_LINKED."""

    other: int
    linked: int
    evidence_hash: bytes
    postings: tuple[Posting, ...]


class KeeperRegistered(Event, frozen=True, gc=False):
    """KEEPER_REGISTERED."""

    capabilities: int
    asset: int
    state: int
    amount: int
    bonded: int
    unbonding: int
    ready_ns: int
    minimum_stake: int
    postings: tuple[Posting, ...]


class KeeperRemoved(Event, frozen=True, gc=False):
    """KEEPER_REMOVED."""

    capabilities: int
    asset: int
    state: int
    amount: int
    bonded: int
    unbonding: int
    ready_ns: int
    minimum_stake: int
    postings: tuple[Posting, ...]


class KeeperStakeChanged(Event, frozen=True, gc=False):
    """KEEPER_STAKE_CHANGED."""

    asset: int
    change: int
    amount: int
    bonded: int
    unbonding: int
    ready_ns: int
    postings: tuple[Posting, ...]


class KeeperScored(Event, frozen=True, gc=False):
    """KEEPER_SCORED."""

    score_ppm: int
    state: int
    action: int
    ok: int
    alert: int
    successes_e9: int
    faults_e9: int
    review_ns: int
    actions: int
    postings: tuple[Posting, ...]


class KeeperSuspended(Event, frozen=True, gc=False):
    """KEEPER_SUSPENDED."""

    score_ppm: int
    state: int
    action: int
    ok: int
    alert: int
    successes_e9: int
    faults_e9: int
    review_ns: int
    actions: int
    postings: tuple[Posting, ...]


class KeeperReinstated(Event, frozen=True, gc=False):
    """KEEPER_REINSTATED."""

    score_ppm: int
    state: int
    action: int
    ok: int
    alert: int
    successes_e9: int
    faults_e9: int
    review_ns: int
    actions: int
    postings: tuple[Posting, ...]


class KeeperReviewed(Event, frozen=True, gc=False):
    """KEEPER_REVIEWED."""

    score_ppm: int
    state: int
    action: int
    ok: int
    alert: int
    successes_e9: int
    faults_e9: int
    review_ns: int
    actions: int
    postings: tuple[Posting, ...]


class KeeperIdle(Event, frozen=True, gc=False):
    """KEEPER_IDLE."""

    score_ppm: int
    state: int
    action: int
    ok: int
    alert: int
    successes_e9: int
    faults_e9: int
    review_ns: int
    actions: int
    postings: tuple[Posting, ...]


class KeeperDutyMissed(Event, frozen=True, gc=False):
    """KEEPER_DUTY_MISSED."""

    since_ns: int
    first_missed_ns: int
    evidence: bytes
    action: int
    postings: tuple[Posting, ...]


class KeeperActionPending(Event, frozen=True, gc=False):
    """KEEPER_ACTION_PENDING."""

    large: int
    target_account: int
    target_sub: int
    action: int
    insurance: int
    until_ns: int
    postings: tuple[Posting, ...]


class KeeperActionConfirmed(Event, frozen=True, gc=False):
    """KEEPER_ACTION_CONFIRMED."""

    large: int
    target_account: int
    target_sub: int
    action: int
    insurance: int
    until_ns: int
    postings: tuple[Posting, ...]


class KeeperActionLapsed(Event, frozen=True, gc=False):
    """KEEPER_ACTION_LAPSED."""

    large: int
    target_account: int
    target_sub: int
    action: int
    insurance: int
    until_ns: int
    postings: tuple[Posting, ...]


class KeeperRewarded(Event, frozen=True, gc=False):
    """KEEPER_REWARDED."""

    asset: int
    source: int
    action: int
    amount: int
    postings: tuple[Posting, ...]


class SlashSigned(Event, frozen=True, gc=False):
    """SLASH_SIGNED."""

    slash: int
    amount: int
    deadline_ns: int
    evidence: bytes
    ppm: int
    fault: int
    state: int
    asset: int
    postings: tuple[Posting, ...]


class SlashLapsed(Event, frozen=True, gc=False):
    """SLASH_LAPSED."""

    slash: int
    amount: int
    deadline_ns: int
    evidence: bytes
    ppm: int
    fault: int
    state: int
    asset: int
    postings: tuple[Posting, ...]


class SlashOpened(Event, frozen=True, gc=False):
    """SLASH_OPENED."""

    slash: int
    amount: int
    deadline_ns: int
    evidence: bytes
    ppm: int
    fault: int
    state: int
    asset: int
    postings: tuple[Posting, ...]


class SlashAppealed(Event, frozen=True, gc=False):
    """SLASH_APPEALED."""

    slash: int
    amount: int
    deadline_ns: int
    evidence: bytes
    ppm: int
    fault: int
    state: int
    asset: int
    postings: tuple[Posting, ...]


class SlashReversed(Event, frozen=True, gc=False):
    """SLASH_REVERSED."""

    slash: int
    amount: int
    deadline_ns: int
    evidence: bytes
    ppm: int
    fault: int
    state: int
    asset: int
    postings: tuple[Posting, ...]


class SlashConfirmed(Event, frozen=True, gc=False):
    """SLASH_CONFIRMED."""

    slash: int
    amount: int
    deadline_ns: int
    evidence: bytes
    ppm: int
    fault: int
    state: int
    asset: int
    postings: tuple[Posting, ...]


class KeeperSlashed(Event, frozen=True, gc=False):
    """KEEPER_SLASHED."""

    slash: int
    amount: int
    deadline_ns: int
    evidence: bytes
    ppm: int
    fault: int
    state: int
    asset: int
    postings: tuple[Posting, ...]


class FundingIndexUpdated(Event, frozen=True, gc=False):
    """FUNDING_INDEX_UPDATED."""

    rate_ppb: int
    index_low: int
    index_high: int
    delta_low: int
    delta_high: int
    index_ticks: int
    samples: int
    skipped: int
    next_due_ns: int
    sample_sum_ppb: int
    postings: tuple[Posting, ...]


class TokenIssued(Event, frozen=True, gc=False):
    """TOKEN_ISSUED."""

    asset: int
    season: int
    locked: int
    issued_ns: int
    postings: tuple[Posting, ...]


class Staked(Event, frozen=True, gc=False):
    """STAKED."""

    lot: int
    amount: int
    weight: int
    unlock_ns: int
    lot_id: bytes
    lock_s: int
    asset: int
    postings: tuple[Posting, ...]


class Unstaked(Event, frozen=True, gc=False):
    """UNSTAKED."""

    lot: int
    amount: int
    weight: int
    unlock_ns: int
    lot_id: bytes
    lock_s: int
    asset: int
    postings: tuple[Posting, ...]


class StakeReweighed(Event, frozen=True, gc=False):
    """STAKE_REWEIGHED."""

    lot: int
    amount: int
    weight: int
    unlock_ns: int
    lot_id: bytes
    lock_s: int
    asset: int
    postings: tuple[Posting, ...]


class RewardsShared(Event, frozen=True, gc=False):
    """REWARDS_SHARED."""

    asset: int
    amount: int
    total_weight: int
    accumulator_low: int
    accumulator_high: int
    carry_low: int
    carry_high: int
    postings: tuple[Posting, ...]


class RewardsClaimed(Event, frozen=True, gc=False):
    """REWARDS_CLAIMED."""

    lot: int
    amount: int
    asset: int
    source: int
    postings: tuple[Posting, ...]


class VestingAllocated(Event, frozen=True, gc=False):
    """VESTING_ALLOCATED."""

    schedule: int
    amount: int
    start_ns: int
    cliff_ns: int
    end_ns: int
    vested: int
    claimed: int
    moved: int
    pool: int
    revoked: int
    asset: int
    postings: tuple[Posting, ...]


class VestedClaimed(Event, frozen=True, gc=False):
    """VESTED_CLAIMED."""

    schedule: int
    amount: int
    start_ns: int
    cliff_ns: int
    end_ns: int
    vested: int
    claimed: int
    moved: int
    pool: int
    revoked: int
    asset: int
    postings: tuple[Posting, ...]


class VestingRevoked(Event, frozen=True, gc=False):
    """VESTING_REVOKED."""

    schedule: int
    amount: int
    start_ns: int
    cliff_ns: int
    end_ns: int
    vested: int
    claimed: int
    moved: int
    pool: int
    revoked: int
    asset: int
    postings: tuple[Posting, ...]


class SeasonOpened(Event, frozen=True, gc=False):
    """SEASON_OPENED."""

    season: int
    asset: int
    budget: int
    start_ns: int
    end_ns: int
    paid: int
    moved: int
    postings: tuple[Posting, ...]


class SeasonSettled(Event, frozen=True, gc=False):
    """SEASON_SETTLED."""

    season: int
    asset: int
    budget: int
    start_ns: int
    end_ns: int
    paid: int
    moved: int
    postings: tuple[Posting, ...]


class MarketRewarded(Event, frozen=True, gc=False):
    """MARKET_REWARDED."""

    first_hour_ns: int
    outcome: int
    rewarded: int
    quote: int
    postings: tuple[Posting, ...]


class RewardHourClosed(Event, frozen=True, gc=False):
    """REWARD_HOUR_CLOSED."""

    hour_ns: int
    token_pot: int
    fund_pot: int
    score_low: int
    score_high: int
    volume: int
    token_price: int
    token: int
    quote: int
    volume_pct: int
    postings: tuple[Posting, ...]


class MakerRewarded(Event, frozen=True, gc=False):
    """MAKER_REWARDED."""

    depth: int
    volume: int
    fees: int
    by_score: int
    by_volume: int
    fund: int
    seen: int
    token: int
    quote: int
    outcome: int
    postings: tuple[Posting, ...]


class MakerRewardsClaimed(Event, frozen=True, gc=False):
    """MAKER_REWARDS_CLAIMED."""

    lot: int
    amount: int
    asset: int
    source: int
    postings: tuple[Posting, ...]


class LaunchGranted(Event, frozen=True, gc=False):
    """LAUNCH_GRANTED."""

    amount: int
    total: int
    asset: int
    postings: tuple[Posting, ...]


class BootstrapClaimed(Event, frozen=True, gc=False):
    """BOOTSTRAP_CLAIMED."""

    amount: int
    claimed: int
    share: int
    points_low: int
    points_high: int
    all_low: int
    all_high: int
    asset: int
    postings: tuple[Posting, ...]


class ResolutionProposed(Event, frozen=True, gc=False):
    """RESOLUTION_PROPOSED."""

    round: int
    choice: int
    outcomes: int
    evidence_items: int
    bond: int
    exposure: int
    until_ns: int
    base_bond: int
    evidence: bytes
    postings: tuple[Posting, ...]


class ResolutionDisputed(Event, frozen=True, gc=False):
    """RESOLUTION_DISPUTED."""

    round: int
    choice: int
    outcomes: int
    evidence_items: int
    bond: int
    exposure: int
    until_ns: int
    base_bond: int
    evidence: bytes
    postings: tuple[Posting, ...]


class PayoutShown(Event, frozen=True, gc=False):
    """PAYOUT_SHOWN."""

    first: int
    count: int
    ppm: bytes
    postings: tuple[Posting, ...]


class VoteCast(Event, frozen=True, gc=False):
    """VOTE_CAST."""

    arbiter: bytes
    round: int
    choice: int
    votes: int
    votes_for: int
    postings: tuple[Posting, ...]


class DisputeDecided(Event, frozen=True, gc=False):
    """DISPUTE_DECIDED."""

    round: int
    verdict: int
    choice: int
    stage: int
    next_round: int
    until_ns: int
    returned: int
    postings: tuple[Posting, ...]


class ResolutionFinal(Event, frozen=True, gc=False):
    """RESOLUTION_FINAL."""

    choice: int
    outcomes: int
    rounds: int
    disputes: int
    escrow: int
    owed: int
    postings: tuple[Posting, ...]


class BondSettled(Event, frozen=True, gc=False):
    """BOND_SETTLED."""

    bond: int
    returned: int
    to_winner: int
    to_insurance: int
    winner: int
    winner_sub: int
    party: int
    postings: tuple[Posting, ...]


class Redeemed(Event, frozen=True, gc=False):
    """REDEEMED."""

    amount: int
    escrow: int
    postings: tuple[Posting, ...]


class EscrowSwept(Event, frozen=True, gc=False):
    """ESCROW_SWEPT."""

    amount: int
    postings: tuple[Posting, ...]


class MarketResolving(Event, frozen=True, gc=False):
    """MARKET_RESOLVING."""

    status: int
    previous: int
    postings: tuple[Posting, ...]


class MarketResolved(Event, frozen=True, gc=False):
    """MARKET_RESOLVED."""

    status: int
    previous: int
    postings: tuple[Posting, ...]


class ListingBonded(Event, frozen=True, gc=False):
    """LISTING_BONDED."""

    bond: int
    reward: int
    postings: tuple[Posting, ...]


class ListingEnded(Event, frozen=True, gc=False):
    """LISTING_ENDED."""

    bond: int
    reward: int
    returned: int
    to_insurance: int
    winner: int
    winner_sub: int
    postings: tuple[Posting, ...]


class EarlyTriggered(Event, frozen=True, gc=False):
    """EARLY_TRIGGERED."""

    outcome: int
    cause: int
    price: int
    jumped_from: int
    payout_ticks: int
    postings: tuple[Posting, ...]


class RoleGranted(Event, frozen=True, gc=False):
    """ROLE_GRANTED."""

    principal: bytes
    role: int
    expiry_ns: int
    postings: tuple[Posting, ...]


class RoleRevoked(Event, frozen=True, gc=False):
    """ROLE_REVOKED."""

    principal: bytes
    role: int
    expiry_ns: int
    postings: tuple[Posting, ...]


class PrincipalSuspended(Event, frozen=True, gc=False):
    """PRINCIPAL_SUSPENDED."""

    principal: bytes
    role: int
    expiry_ns: int
    postings: tuple[Posting, ...]


class ReinstatePending(Event, frozen=True, gc=False):
    """REINSTATE_PENDING."""

    principal: bytes
    role: int
    expiry_ns: int
    postings: tuple[Posting, ...]


class PrincipalReinstated(Event, frozen=True, gc=False):
    """PRINCIPAL_REINSTATED."""

    principal: bytes
    role: int
    expiry_ns: int
    postings: tuple[Posting, ...]


class AuthorityOffered(Event, frozen=True, gc=False):
    """AUTHORITY_OFFERED."""

    holder: bytes
    nominee: bytes
    offer: int
    authority: int
    postings: tuple[Posting, ...]


class AuthorityTransferred(Event, frozen=True, gc=False):
    """AUTHORITY_TRANSFERRED."""

    holder: bytes
    nominee: bytes
    offer: int
    authority: int
    postings: tuple[Posting, ...]


class OfferWithdrawn(Event, frozen=True, gc=False):
    """OFFER_WITHDRAWN."""

    holder: bytes
    nominee: bytes
    offer: int
    authority: int
    postings: tuple[Posting, ...]


class OfferLapsed(Event, frozen=True, gc=False):
    """OFFER_LAPSED."""

    holder: bytes
    nominee: bytes
    offer: int
    authority: int
    postings: tuple[Posting, ...]


class AuthorityRenounced(Event, frozen=True, gc=False):
    """AUTHORITY_RENOUNCED."""

    holder: bytes
    nominee: bytes
    offer: int
    authority: int
    postings: tuple[Posting, ...]


class ParameterSet(Event, frozen=True, gc=False):
    """PARAMETER_SET."""

    parameter: int
    config_version: int
    value: int
    previous: int
    ready_ns: int
    postings: tuple[Posting, ...]


class ActionProposed(Event, frozen=True, gc=False):
    """ACTION_PROPOSED."""

    action: int
    eta_ns: int
    expires_ns: int
    proposer: bytes
    action_kind: int
    action_op: int
    action_class: int
    needed: int
    effect: int
    config_version: int
    postings: tuple[Posting, ...]


class ActionPayload(Event, frozen=True, gc=False):
    """ACTION_PAYLOAD."""

    action: int
    payload: bytes
    postings: tuple[Posting, ...]


class ActionApproved(Event, frozen=True, gc=False):
    """ACTION_APPROVED."""

    action: int
    approvals: int
    needed: int
    end: int
    config_version: int
    principal: bytes
    postings: tuple[Posting, ...]


class ApprovalWithdrawn(Event, frozen=True, gc=False):
    """APPROVAL_WITHDRAWN."""

    action: int
    approvals: int
    needed: int
    end: int
    config_version: int
    principal: bytes
    postings: tuple[Posting, ...]


class ActionCancelled(Event, frozen=True, gc=False):
    """ACTION_CANCELLED."""

    action: int
    approvals: int
    needed: int
    end: int
    config_version: int
    principal: bytes
    postings: tuple[Posting, ...]


class ActionExecuted(Event, frozen=True, gc=False):
    """ACTION_EXECUTED."""

    action: int
    approvals: int
    needed: int
    end: int
    config_version: int
    principal: bytes
    postings: tuple[Posting, ...]


class ActionExpired(Event, frozen=True, gc=False):
    """ACTION_EXPIRED."""

    action: int
    approvals: int
    needed: int
    end: int
    config_version: int
    principal: bytes
    postings: tuple[Posting, ...]


class VaultDeposited(Event, frozen=True, gc=False):
    """VAULT_DEPOSITED."""

    asset: int
    amount: int
    shares: int
    held_shares: int
    supply: int
    nav: int
    reward_units: int
    postings: tuple[Posting, ...]


class VaultExitQueued(Event, frozen=True, gc=False):
    """VAULT_EXIT_QUEUED."""

    ticket: int
    shares: int
    ticket_shares: int
    held_shares: int
    cutoff_ns: int
    cohort_shares: int
    postings: tuple[Posting, ...]


class VaultExitServed(Event, frozen=True, gc=False):
    """VAULT_EXIT_SERVED."""

    ticket: int
    asset: int
    closed: int
    ledger_key: int
    amount: int
    collected: int
    cutoff_ns: int
    dust: int
    postings: tuple[Posting, ...]


class VaultCohortServed(Event, frozen=True, gc=False):
    """VAULT_COHORT_SERVED."""

    asset: int
    ledger_key: int
    cutoff_ns: int
    shares: int
    amount: int
    unserved: int
    supply: int
    nav: int
    at_risk: int
    postings: tuple[Posting, ...]


class VaultEpochStarted(Event, frozen=True, gc=False):
    """VAULT_EPOCH_STARTED."""

    asset: int
    epoch_ns: int
    nav: int
    supply: int
    performance_fee: int
    high_water_low: int
    high_water_high: int
    postings: tuple[Posting, ...]


class WorstCaseChanged(Event, frozen=True, gc=False):
    """WORST_CASE_CHANGED."""

    bucket: int
    previous: int
    worst_case: int
    bucket_at_risk: int
    at_risk: int
    postings: tuple[Posting, ...]


class RiskUpdated(Event, frozen=True, gc=False):
    """RISK_UPDATED."""

    bucket: int
    rho_ppm: int
    previous_ppm: int
    at_risk: int
    evidence_hash: bytes
    postings: tuple[Posting, ...]


class CoverageStateChanged(Event, frozen=True, gc=False):
    """COVERAGE_STATE_CHANGED."""

    state: int
    previous: int
    nav: int
    at_risk: int
    coverage_ppm: int
    postings: tuple[Posting, ...]


class StageChanged(Event, frozen=True, gc=False):
    """STAGE_CHANGED."""

    state: int
    previous: int
    nav: int
    at_risk: int
    coverage_ppm: int
    postings: tuple[Posting, ...]


class LeverageCapChanged(Event, frozen=True, gc=False):
    """LEVERAGE_CAP_CHANGED."""

    cap_e2: int
    previous_e2: int
    term: int
    coverage_ppm: int
    postings: tuple[Posting, ...]


class FeeCharged(Event, frozen=True, gc=False):
    """FEE_CHARGED."""

    base: int
    fee: int
    rebate: int
    coverage_ppm: int
    rate_e8: int
    adjustment_bp: int
    discount_bp: int
    rebate_pct: int
    counts: int
    postings: tuple[Posting, ...]


class FeeDepthChanged(Event, frozen=True, gc=False):
    """FEE_DEPTH_CHANGED."""

    depth: int
    outcome: int
    bp: int
    previous_bp: int
    postings: tuple[Posting, ...]


class FeeLoadChanged(Event, frozen=True, gc=False):
    """FEE_LOAD_CHANGED."""

    commands: int
    capacity: int
    bp: int
    postings: tuple[Posting, ...]


class BuybackFunded(Event, frozen=True, gc=False):
    """BUYBACK_FUNDED."""

    asset: int
    amount: int
    price: int
    lots: int
    postings: tuple[Posting, ...]


class TokensBurned(Event, frozen=True, gc=False):
    """TOKENS_BURNED."""

    asset: int
    quote: int
    burnt: int
    returned: int
    total: int
    postings: tuple[Posting, ...]


class ManagementFeeTaken(Event, frozen=True, gc=False):
    """MANAGEMENT_FEE_TAKEN."""

    asset: int
    rate_bp: int
    epoch_ns: int
    amount: int
    nav: int
    postings: tuple[Posting, ...]


class InsuranceWeekEnded(Event, frozen=True, gc=False):
    """INSURANCE_WEEK_ENDED."""

    asset: int
    ledger_key: int
    week_ns: int
    at_risk: int
    released: int
    set_aside: int
    insurance_left: int
    nav: int
    postings: tuple[Posting, ...]


class VerseCreated(Event, frozen=True, gc=False):
    """VERSE_CREATED."""

    verse: int
    parent: int
    slug: str
    postings: tuple[Posting, ...]


class VerseMoved(Event, frozen=True, gc=False):
    """VERSE_MOVED."""

    verse: int
    parent: int
    previous: int
    postings: tuple[Posting, ...]


class MarketLinked(Event, frozen=True, gc=False):
    """MARKET_LINKED."""

    verse: int
    parent: int
    previous: int
    postings: tuple[Posting, ...]


class VerseHalted(Event, frozen=True, gc=False):
    """VERSE_HALTED."""

    verse: int
    pause_id: int
    level: int
    until_ns: int
    reason: str
    postings: tuple[Posting, ...]


class VerseResumePending(Event, frozen=True, gc=False):
    """VERSE_RESUME_PENDING."""

    verse: int
    pause_id: int
    until_ns: int
    principal: bytes
    postings: tuple[Posting, ...]


class VerseResumed(Event, frozen=True, gc=False):
    """VERSE_RESUMED."""

    verse: int
    pause_id: int
    until_ns: int
    principal: bytes
    postings: tuple[Posting, ...]


class VerseResolved(Event, frozen=True, gc=False):
    """VERSE_RESOLVED."""

    verse: int
    markets: int
    postings: tuple[Posting, ...]


class ChainOpened(Event, frozen=True, gc=False):
    """CHAIN_OPENED."""

    chain: int
    steps: int
    verses: int
    asset: int
    rate_bp: int
    base: int
    fee: int
    postings: tuple[Posting, ...]


class ChainStepped(Event, frozen=True, gc=False):
    """CHAIN_STEPPED."""

    chain: int
    step: int
    kind: int
    outcome: int
    detail: int
    amount: int
    limit: int
    done: int
    postings: tuple[Posting, ...]


class ChainCharged(Event, frozen=True, gc=False):
    """CHAIN_CHARGED."""

    chain: int
    fee: int
    exposure: int
    equity: int
    cap_e2: int
    asset: int
    postings: tuple[Posting, ...]


class ChainUnwound(Event, frozen=True, gc=False):
    """CHAIN_UNWOUND."""

    chain: int
    step: int
    kind: int
    outcome: int
    detail: int
    amount: int
    limit: int
    done: int
    postings: tuple[Posting, ...]


class ChainClosed(Event, frozen=True, gc=False):
    """CHAIN_CLOSED."""

    chain: int
    steps: int
    released: int
    postings: tuple[Posting, ...]


class FlashBorrowed(Event, frozen=True, gc=False):
    """FLASH_BORROWED."""

    chain: int
    principal: int
    fee: int
    asset: int
    postings: tuple[Posting, ...]


class FlashRepaid(Event, frozen=True, gc=False):
    """FLASH_REPAID."""

    chain: int
    principal: int
    fee: int
    asset: int
    postings: tuple[Posting, ...]


class CreditMoved(Event, frozen=True, gc=False):
    """CREDIT_MOVED."""

    verse: int
    asset: int
    owner_sub: int
    closed: int
    amount: int
    available: int
    locked: int
    total: int
    postings: tuple[Posting, ...]


class CreditLocked(Event, frozen=True, gc=False):
    """CREDIT_LOCKED."""

    verse: int
    cause: int
    outcome: int
    owner_sub: int
    unstaged: int
    paid: int
    outlay: int
    realised: int
    available: int
    locked: int
    total: int
    shares: int
    postings: tuple[Posting, ...]


class CreditReleased(Event, frozen=True, gc=False):
    """CREDIT_RELEASED."""

    verse: int
    cause: int
    outcome: int
    owner_sub: int
    unstaged: int
    paid: int
    outlay: int
    realised: int
    available: int
    locked: int
    total: int
    shares: int
    postings: tuple[Posting, ...]


class CreditStaged(Event, frozen=True, gc=False):
    """CREDIT_STAGED."""

    verse: int
    exclusive: int
    staged: int
    count: int
    market_1: int
    market_2: int
    market_3: int
    price_1: int
    price_2: int
    price_3: int
    lots_1: int
    lots_2: int
    lots_3: int
    outcome_1: int
    side_1: int
    outcome_2: int
    side_2: int
    outcome_3: int
    side_3: int
    postings: tuple[Posting, ...]


class DarkAccepted(Event, frozen=True, gc=False):
    """DARK_ACCEPTED."""

    side: int
    outcome: int
    cap_e8: int
    lots: int
    min_lots: int
    limit: int
    reserve: int
    postings: tuple[Posting, ...]


class DarkCancelled(Event, frozen=True, gc=False):
    """DARK_CANCELLED."""

    side: int
    outcome: int
    reason: int
    lots: int
    released: int
    postings: tuple[Posting, ...]


class DarkCrossed(Event, frozen=True, gc=False):
    """DARK_CROSSED."""

    outcome: int
    rounds: int
    fills: int
    bid: int
    ask: int
    lots: int
    buy_lots: int
    sell_lots: int
    postings: tuple[Posting, ...]


class DarkFilled(Event, frozen=True, gc=False):
    """DARK_FILLED."""

    seller_order: int
    seller_account: int
    seller_sub: int
    outcome: int
    midpoint: int
    lots: int
    paid: int
    received: int
    buyer_fee: int
    seller_fee: int
    postings: tuple[Posting, ...]


class DarkPrinted(Event, frozen=True, gc=False):
    """DARK_PRINTED."""

    outcome: int
    crossed_ns: int
    midpoint: int
    lots: int
    postings: tuple[Posting, ...]


class ContinuationRequired(Event, frozen=True, gc=False):
    """CONTINUATION_REQUIRED."""

    token: int
    postings: tuple[Posting, ...]


class TimeAdvanced(Event, frozen=True, gc=False):
    """TIME_ADVANCED."""

    previous_ns: int
    jump_ns: int
    reason: str
    postings: tuple[Posting, ...]


class StateHashed(Event, frozen=True, gc=False):
    """STATE_HASHED."""

    state_hash: bytes
    cursor_hash: bytes
    postings: tuple[Posting, ...]


class SnapshotTaken(Event, frozen=True, gc=False):
    """SNAPSHOT_TAKEN."""

    state_hash: bytes
    cursor_hash: bytes
    postings: tuple[Posting, ...]


class RulesActivated(Event, frozen=True, gc=False):
    """RULES_ACTIVATED."""

    token: int
    postings: tuple[Posting, ...]


EVENT_TYPES: dict[int, type[Event]] = {
    0x0101: MarketCreated,
    0x0102: MarketUpdated,
    0x0103: PauseSet,
    0x0104: ResumePending,
    0x0105: Resumed,
    0x0106: MarketClosing,
    0x0107: MarketClosed,
    0x0108: MarketActivated,
    0x0109: MarketIdentified,
    0x010a: MarketRiskSet,
    0x010b: MarketSettled,
    0x010c: MarketPruned,
    0x0110: AssetRegistered,
    0x0111: AssetUpdated,
    0x0120: BreakerTripped,
    0x0121: BreakerReasoned,
    0x0122: BreakerExtended,
    0x0123: BreakerHalfOpen,
    0x0124: BreakerClosed,
    0x0125: BreakerResumePending,
    0x0126: BreakerConfigured,
    0x0127: PausePending,
    0x0128: AuctionStarted,
    0x0129: AuctionUncrossed,
    0x012a: AuctionEnded,
    0x012c: CoverageShort,
    0x0201: AccountOpened,
    0x0202: SubAccountOpened,
    0x0203: DelegateSet,
    0x0204: Deposited,
    0x0205: WithdrawalQueued,
    0x0206: WithdrawalReleased,
    0x0207: WithdrawalCancelled,
    0x0208: WithdrawalSettled,
    0x0209: WithdrawalReturned,
    0x020a: Transferred,
    0x020b: AddressListed,
    0x020c: AddressUnlisted,
    0x020d: SuitabilitySet,
    0x0210: WithdrawalRescheduled,
    0x0211: RateClassSet,
    0x0301: OrderAccepted,
    0x0302: OrderRested,
    0x0303: Trade,
    0x0304: OrderCancelled,
    0x0305: OrderReplaced,
    0x0306: SelfTradePrevented,
    0x0307: CancelAllDone,
    0x0308: SwitchArmed,
    0x0309: SwitchDisarmed,
    0x030a: SwitchFired,
    0x0310: TriggerPlaced,
    0x0311: TriggerFired,
    0x0312: OrderActivated,
    0x0313: IcebergShown,
    0x0314: TwapPlaced,
    0x0315: SliceSent,
    0x0316: SliceEnded,
    0x0317: OrderLinked,
    0x0318: OrderResized,
    0x0319: BatchApplied,
    0x0401: PositionChanged,
    0x0402: PositionSettled,
    0x0403: MarginAdjusted,
    0x0404: InsuranceFunded,
    0x0405: HealthWarning,
    0x0406: LiquidationFlagged,
    0x0407: LiquidationStarted,
    0x0408: LiquidationStepped,
    0x040a: LossCovered,
    0x040b: BackstopTaken,
    0x040c: AdlExecuted,
    0x040d: LossSocialised,
    0x040e: LiquidationEnded,
    0x040f: CascadeChanged,
    0x0410: FundSettled,
    0x0420: LoanOpened,
    0x0421: LoanMoved,
    0x0422: LoanCharged,
    0x0423: InterestIndexMoved,
    0x0424: LoanLiquidated,
    0x0425: LoanLossCovered,
    0x0426: OutcomeMarked,
    0x0427: OutcomeMarksSet,
    0x0428: LoanBridged,
    0x0429: LoanSwapped,
    0x0501: PoolCreated,
    0x0502: AmmSwapped,
    0x0503: LiquidityAdded,
    0x0504: LiquidityRemoved,
    0x0505: PoolRescaled,
    0x0506: LiquidityCollected,
    0x0507: DistributionCreated,
    0x0508: DistributionMoved,
    0x0509: DistributionPaid,
    0x0601: SetMinted,
    0x0602: SetMerged,
    0x0604: ClaimsMoved,
    0x0605: SetFilled,
    0x0701: MarkUpdated,
    0x0710: SourceUpdated,
    0x0711: IndexUpdated,
    0x0712: FeedStateChanged,
    0x0713: FeedChanged,
    0x0714: FeedSourceSet,
    0x0715: FeedOverridePending,
    0x0716: FeedOverridden,
    0x0717: FeedOverrideEnded,
    0x0720: VenueLinked,
    0x0721: VenueQuoted,
    0x0722: VenueRefreshed,
    0x0723: VenueBatchApplied,
    0x0724: VenueOutage,
    0x0740: ManipulationAlert,
    0x0741: CaseOpened,
    0x0742: AccountSlowed,
    0x0743: AccountFreed,
    0x0744: CaseClosed,
    0x0745: OwnersLinked,
    0x0801: KeeperRegistered,
    0x0802: KeeperRemoved,
    0x0803: KeeperStakeChanged,
    0x0804: KeeperScored,
    0x0805: KeeperSuspended,
    0x0806: KeeperReinstated,
    0x0807: KeeperReviewed,
    0x0808: KeeperIdle,
    0x0809: KeeperDutyMissed,
    0x080a: KeeperActionPending,
    0x080b: KeeperActionConfirmed,
    0x080c: KeeperActionLapsed,
    0x080d: KeeperRewarded,
    0x0810: SlashSigned,
    0x0811: SlashLapsed,
    0x0812: SlashOpened,
    0x0813: SlashAppealed,
    0x0814: SlashReversed,
    0x0815: SlashConfirmed,
    0x0816: KeeperSlashed,
    0x0901: FundingIndexUpdated,
    0x0a01: TokenIssued,
    0x0a02: Staked,
    0x0a03: Unstaked,
    0x0a04: StakeReweighed,
    0x0a05: RewardsShared,
    0x0a06: RewardsClaimed,
    0x0a07: VestingAllocated,
    0x0a08: VestedClaimed,
    0x0a09: VestingRevoked,
    0x0a0a: SeasonOpened,
    0x0a0b: SeasonSettled,
    0x0a10: MarketRewarded,
    0x0a11: RewardHourClosed,
    0x0a12: MakerRewarded,
    0x0a13: MakerRewardsClaimed,
    0x0a14: LaunchGranted,
    0x0a15: BootstrapClaimed,
    0x0b01: ResolutionProposed,
    0x0b02: ResolutionDisputed,
    0x0b03: PayoutShown,
    0x0b04: VoteCast,
    0x0b05: DisputeDecided,
    0x0b06: ResolutionFinal,
    0x0b07: BondSettled,
    0x0b08: Redeemed,
    0x0b09: EscrowSwept,
    0x0b0a: MarketResolving,
    0x0b0b: MarketResolved,
    0x0b0c: ListingBonded,
    0x0b0d: ListingEnded,
    0x0b0e: EarlyTriggered,
    0x0c01: RoleGranted,
    0x0c02: RoleRevoked,
    0x0c03: PrincipalSuspended,
    0x0c04: ReinstatePending,
    0x0c05: PrincipalReinstated,
    0x0c10: AuthorityOffered,
    0x0c11: AuthorityTransferred,
    0x0c12: OfferWithdrawn,
    0x0c13: OfferLapsed,
    0x0c14: AuthorityRenounced,
    0x0c18: ParameterSet,
    0x0c20: ActionProposed,
    0x0c21: ActionPayload,
    0x0c22: ActionApproved,
    0x0c23: ApprovalWithdrawn,
    0x0c24: ActionCancelled,
    0x0c25: ActionExecuted,
    0x0c26: ActionExpired,
    0x0d01: VaultDeposited,
    0x0d02: VaultExitQueued,
    0x0d03: VaultExitServed,
    0x0d04: VaultCohortServed,
    0x0d05: VaultEpochStarted,
    0x0d06: WorstCaseChanged,
    0x0d07: RiskUpdated,
    0x0d08: CoverageStateChanged,
    0x0d09: StageChanged,
    0x0d0a: LeverageCapChanged,
    0x0d0b: FeeCharged,
    0x0d0c: FeeDepthChanged,
    0x0d0d: FeeLoadChanged,
    0x0d0e: BuybackFunded,
    0x0d0f: TokensBurned,
    0x0d13: ManagementFeeTaken,
    0x0d14: InsuranceWeekEnded,
    0x0e01: VerseCreated,
    0x0e02: VerseMoved,
    0x0e03: MarketLinked,
    0x0e04: VerseHalted,
    0x0e05: VerseResumePending,
    0x0e06: VerseResumed,
    0x0e07: VerseResolved,
    0x0e10: ChainOpened,
    0x0e11: ChainStepped,
    0x0e12: ChainCharged,
    0x0e13: ChainUnwound,
    0x0e14: ChainClosed,
    0x0e15: FlashBorrowed,
    0x0e16: FlashRepaid,
    0x0e20: CreditMoved,
    0x0e21: CreditLocked,
    0x0e22: CreditReleased,
    0x0e23: CreditStaged,
    0x0f01: DarkAccepted,
    0x0f02: DarkCancelled,
    0x0f03: DarkCrossed,
    0x0f04: DarkFilled,
    0x0f05: DarkPrinted,
    0xff01: ContinuationRequired,
    0xff02: TimeAdvanced,
    0xff03: StateHashed,
    0xff04: SnapshotTaken,
    0xff05: RulesActivated,
}
