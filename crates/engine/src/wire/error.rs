//! The error catalogue of protocol P20: one number, one name, one meaning, for ever.
//!
//! This table is the only definition: the Python exceptions, the API schema and the documentation page are
//! generated from it. Templates name `{given}` (the value that failed) and `{bound}` (what it violated).

/// One entry of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub code: Code,
    pub number: u16,
    pub name: &'static str,
    pub http_status: u16,
    /// The same command may succeed later without change.
    pub retryable: bool,
    pub template: &'static str,
}

macro_rules! catalogue {
    ($( $name:ident = $number:literal $status:literal $retry:literal $template:literal; )*) => {
        /// Reject and failure codes.
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code { $($name = $number),* }

        /// Every entry, in ascending number.
        pub const CATALOGUE: &[Entry] = &[
            $(Entry {
                code: Code::$name, number: $number, name: stringify!($name), http_status: $status,
                retryable: $retry, template: $template,
            }),*
        ];
    };
}

impl Code {
    /// The entry of this code.
    pub fn entry(self) -> &'static Entry {
        let index = CATALOGUE.binary_search_by_key(&(self as u16), |entry| entry.number);
        &CATALOGUE[index.expect("every code is in the catalogue")]
    }

    /// The code with this number.
    pub fn from_number(number: u16) -> Option<Code> {
        CATALOGUE.binary_search_by_key(&number, |entry| entry.number).ok().map(|index| CATALOGUE[index].code)
    }
}

/// A refusal: code, the violated bound and the value that violated it. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    pub code: Code,
    pub bound: i64,
    pub given: i64,
}

impl Reject {
    #[inline]
    pub const fn new(code: Code, bound: i64, given: i64) -> Self {
        Reject { code, bound, given }
    }
}

impl From<Code> for Reject {
    #[inline]
    fn from(code: Code) -> Self {
        Reject::new(code, 0, 0)
    }
}

/// Shorthand for `Err(Reject)`.
#[inline]
pub fn reject<T>(code: Code, bound: i64, given: i64) -> Result<T, Reject> {
    Err(Reject::new(code, bound, given))
}

catalogue! {
    MALFORMED_FRAME = 1001 400 false "the bytes are not a whole number of command records: {given} bytes, a record has {bound}";
    UNKNOWN_COMMAND = 1002 400 false "command kind {given:#06x} is not in the catalogue of this build";
    UNSUPPORTED_VERSION = 1003 400 false "version {given} is not supported, this build reads {bound}";
    INVALID_TYPE_TAG = 1004 422 false "type tag {given:#04x} is not {bound:#04x}";
    INVALID_RECORD_LENGTH = 1005 422 false "record length {given} is not {bound}";
    CHECKSUM_MISMATCH = 1006 422 false "checksum mismatch: given {given}, bound {bound}";
    RESERVED_NOT_ZERO = 1007 400 false "a reserved field or unused byte is {given}, it must be 0";
    DERIVED_ID_MISMATCH = 1008 422 false "the id does not derive from its key";
    WRONG_OWNER = 1009 403 false "the record belongs to another owner";
    ACCOUNT_NOT_FOUND = 1010 404 false "no such account";
    SUB_ACCOUNT_NOT_FOUND = 1011 404 false "sub-account {given} is not open";
    ASSET_NOT_FOUND = 1012 404 false "asset {given} is not registered";
    ALREADY_EXISTS = 1013 409 false "the record exists already (handle {given})";
    WRONG_SHARD = 1014 421 true "the command is for shard {given}, this is shard {bound}";
    UNAUTHORIZED_SIGNER = 1201 403 false "the signer may not act for this account";
    PERMISSION_DENIED = 1202 403 false "permission bit {bound} is missing";
    ROLE_EXPIRED = 1203 403 false "the role expired at {bound} ns, now {given} ns";
    PRINCIPAL_SUSPENDED = 1204 403 false "the principal is suspended since {bound} ns";
    SELF_APPROVAL = 1205 403 false "a second, different person must approve";
    ROLE_ESCALATION = 1206 403 false "the grantor does not hold permission bit {bound}";
    ROLE_FULL = 1207 409 false "the principal or role has reached its bound of {bound}";
    CONFLICT_OF_INTEREST = 1208 403 false "role {given} excludes role {bound}";
    DELEGATE_SCOPE = 1209 403 false "the delegate has scopes {given:#x}, {bound:#x} is needed";
    TIME_REGRESSION = 1301 409 false "time {given} ns is before the last command at {bound} ns";
    TIME_JUMP = 1302 409 false "time {given} ns is more than an hour after {bound} ns; AdvanceTime is needed";
    SEQUENCE_GAP = 1303 409 false "sequence {given} is not the next one, {bound}";
    COMMAND_EXPIRED = 1304 422 false "valid until {bound} ns, now {given} ns";
    IDEMPOTENCY_CONFLICT = 1305 409 false "the client key was used with another body (first result {bound})";
    IDEMPOTENCY_WINDOW_FULL = 1306 429 true "the account has {bound} live client keys, wait until some expire";
    CONTINUATION_PENDING = 1307 503 true "continuation {bound} must be finished first";
    MATH_OVERFLOW = 2001 422 false "the result does not fit";
    INVALID_AMOUNT = 2002 422 false "amount {given} must be at least {bound}";
    BELOW_MINIMUM = 2003 422 false "{given} is below the minimum {bound}";
    ABOVE_MAXIMUM = 2004 422 false "{given} is above the maximum {bound}";
    NOT_A_NUMBER = 2005 422 false "the value is not a finite decimal number";
    PARAMETER_OUT_OF_BOUNDS = 2006 422 false "parameter value {given} violates the bound {bound}";
    INVALID_BOUNDS = 2007 422 false "invalid bounds: given {given}, bound {bound}";
    INVALID_SIZE = 2101 422 false "size {given} lots must be from 1 to {bound}";
    ORDER_TOO_SMALL = 2102 422 false "notional {given} micro is below the minimum {bound}";
    ORDER_TOO_LARGE = 2103 422 false "notional {given} micro is above the maximum {bound}";
    LOT_MISALIGNED = 2104 422 false "the size is not a multiple of the lot {bound} micro";
    INVALID_PRICE = 2105 422 false "price {given} ticks is outside 1..{bound}";
    TICK_MISALIGNED = 2106 422 false "the price is not a multiple of the tick {bound} micro";
    PRICE_TOO_HIGH = 2107 422 false "price {given} ticks is above the band {bound}";
    PRICE_TOO_LOW = 2108 422 false "price {given} ticks is below the band {bound}";
    MARKET_ORDER_HAS_PRICE = 2109 422 false "a market order carries no price (given {given})";
    INVALID_ORDER_TYPE = 2110 422 false "order type, side, flags or their combination is invalid: {given}";
    INVALID_TIME_IN_FORCE = 2111 422 false "time in force {given} does not fit this order";
    POST_ONLY_WOULD_TAKE = 2112 422 false "would trade at {bound} ticks now";
    FOK_NOT_FILLABLE = 2113 422 false "only {bound} of {given} lots can be filled";
    NO_LIQUIDITY = 2114 422 false "the opposite side is empty or no reference price exists";
    REDUCE_ONLY_WOULD_INCREASE = 2115 422 false "reduce only would increase: given {given}, bound {bound}";
    TRIGGER_WOULD_FIRE = 2116 422 false "trigger would fire: given {given}, bound {bound}";
    INVALID_TRIGGER = 2117 422 false "invalid trigger: given {given}, bound {bound}";
    INVALID_TRAIL = 2118 422 false "invalid trail: given {given}, bound {bound}";
    INVALID_DISPLAY_SIZE = 2119 422 false "invalid display size: given {given}, bound {bound}";
    INVALID_TWAP = 2120 422 false "invalid twap: given {given}, bound {bound}";
    INVALID_LINK = 2121 422 false "invalid link: given {given}, bound {bound}";
    ORDER_EXPIRED = 2122 422 false "expiry {given} ns is not after {bound} ns";
    ORDER_EXPIRY_TOO_FAR = 2123 422 false "expiry {given} ns is after the latest, {bound} ns";
    ORDER_NOT_FOUND = 2124 404 false "no such order ({given})";
    ORDER_NOT_OPEN = 2125 409 false "order {given} is not open any more";
    REPLACE_BELOW_FILLED = 2126 422 false "new total {given} lots is not above the filled {bound}";
    TOO_MANY_OPEN_ORDERS = 2127 422 false "open orders have reached the bound of {bound}";
    SELF_TRADE_PREVENTED = 2128 422 false "would trade with the own order {bound}";
    BATCH_TOO_LARGE = 2129 422 false "batch too large: given {given}, bound {bound}";
    BATCH_ITEM_FAILED = 2130 422 false "batch item failed: given {given}, bound {bound}";
    INVALID_SWITCH_WINDOW = 2131 422 false "window {given} s must be 0 or 5..{bound}";
    MARKET_NOT_FOUND = 2201 404 false "no such market ({given})";
    MARKET_NOT_ACTIVE = 2202 409 false "market status is {given}, ACTIVE is needed";
    MARKET_CLOSE_ONLY = 2203 409 false "the market takes only reducing orders";
    INVALID_MARKET_KIND = 2204 422 false "market kind {given} is not available in this build";
    INVALID_OUTCOME_COUNT = 2205 422 false "outcome count {given} is out of range: the bound is {bound}";
    INVALID_OUTCOME = 2206 422 false "outcome {given} is not below {bound}";
    INVALID_TICK_LOT = 2207 422 false "tick × lot must be a positive multiple of 10^6 ({given})";
    INVALID_TRANSITION = 2208 409 false "not possible in state {given}";
    MARKET_HAS_OPEN_INTEREST = 2209 409 false "market has open interest: given {given}, bound {bound}";
    MARKET_LIMIT_REACHED = 2210 503 false "the shard has {bound} markets already";
    IN_RESOLUTION_BUFFER = 2211 409 false "in resolution buffer: given {given}, bound {bound}";
    OPEN_INTEREST_CAP = 2212 422 false "open interest cap: given {given}, bound {bound}";
    SETTLEMENT_NOT_FINAL = 2213 409 true "settlement not final: given {given}, bound {bound}";
    POSITION_NOT_FOUND = 2301 404 false "position not found: given {given}, bound {bound}";
    TOO_MANY_POSITIONS = 2302 422 false "too many positions: given {given}, bound {bound}";
    INVALID_LEVERAGE = 2303 422 false "invalid leverage: given {given}, bound {bound}";
    LEVERAGE_TOO_HIGH = 2304 422 false "leverage too high: given {given}, bound {bound}";
    SUITABILITY_REQUIRED = 2305 403 false "suitability required: given {given}, bound {bound}";
    INSUFFICIENT_MARGIN = 2306 422 false "insufficient margin: given {given}, bound {bound}";
    POSITION_TOO_LARGE = 2307 422 false "position too large: given {given}, bound {bound}";
    MAINTENANCE_ABOVE_ENTRY_MARGIN = 2308 422 false "maintenance above entry margin: given {given}, bound {bound}";
    EXPOSURE_LIMIT = 2309 422 false "exposure limit: given {given}, bound {bound}";
    POSITION_HEALTHY = 2401 409 false "position healthy: given {given}, bound {bound}";
    LIQUIDATION_RATE_LIMITED = 2402 429 true "liquidation rate limited: given {given}, bound {bound}";
    TRANCHE_COOLDOWN = 2403 429 true "tranche cooldown: given {given}, bound {bound}";
    INSUFFICIENT_BALANCE = 2501 422 false "{given} micro needed, {bound} free";
    DUPLICATE_DEPOSIT = 2502 409 false "this external id was credited already";
    ASSET_CAP_EXCEEDED = 2503 422 false "the asset would hold {given} micro, its cap is {bound}";
    WITHDRAWAL_LOCKED = 2504 423 true "withdrawal locked: given {given}, bound {bound}";
    INSUFFICIENT_FREE_COLLATERAL = 2505 422 false "insufficient free collateral: given {given}, bound {bound}";
    WITHDRAWAL_NOT_FOUND = 2506 404 false "no such withdrawal ({given})";
    WITHDRAWAL_NOT_CANCELLABLE = 2507 409 false "the withdrawal is in state {given}, only QUEUED can be cancelled";
    TRANSFER_SAME_ACCOUNT = 2508 422 false "source and target sub-account are the same ({given})";
    ADDRESS_NOT_ALLOWED = 2509 403 false "the address is not listed or not usable before {bound} ns";
    INVALID_AMM_KIND = 2601 422 false "invalid amm kind: given {given}, bound {bound}";
    INSUFFICIENT_SHARES = 2602 422 false "insufficient shares: given {given}, bound {bound}";
    CONVERGENCE_FAILED = 2603 422 false "convergence failed: given {given}, bound {bound}";
    SLIPPAGE_EXCEEDED = 2604 422 true "slippage exceeded: given {given}, bound {bound}";
    PRICE_IMPACT_TOO_HIGH = 2605 422 false "price impact too high: given {given}, bound {bound}";
    INSUFFICIENT_LIQUIDITY = 2606 422 false "insufficient liquidity: given {given}, bound {bound}";
    POOL_DOMAIN_EXCEEDED = 2607 422 false "pool domain exceeded: given {given}, bound {bound}";
    INVALID_SEGMENTS = 2608 422 false "invalid segments: given {given}, bound {bound}";
    SIGMA_BELOW_MINIMUM = 2609 422 false "sigma below minimum: given {given}, bound {bound}";
    PROBABILITY_SUM_INVALID = 2610 422 false "probability sum invalid: given {given}, bound {bound}";
    LIQUIDITY_LOCKED = 2611 409 true "liquidity locked: given {given}, bound {bound}";
    POOL_NOT_FOUND = 2612 404 false "pool not found: given {given}, bound {bound}";
    TOO_MANY_CLAIMS = 2613 422 false "too many claims: given {given}, bound {bound}";
    SET_INCOMPLETE = 2701 422 false "set incomplete: given {given}, bound {bound}";
    NOT_RESOLVED = 2702 409 true "not resolved: given {given}, bound {bound}";
    NOTHING_TO_REDEEM = 2703 409 false "nothing to redeem: given {given}, bound {bound}";
    FEED_NOT_FOUND = 3001 404 false "feed not found: given {given}, bound {bound}";
    STALE_PRICE = 3002 409 true "stale price: given {given}, bound {bound}";
    LOW_CONFIDENCE = 3003 409 true "low confidence: given {given}, bound {bound}";
    INSUFFICIENT_SOURCES = 3004 409 true "insufficient sources: given {given}, bound {bound}";
    SOURCE_DIVERGENCE = 3005 409 true "source divergence: given {given}, bound {bound}";
    NON_POSITIVE_PRICE = 3006 422 false "non positive price: given {given}, bound {bound}";
    CROSSED_SOURCE = 3007 422 false "crossed source: given {given}, bound {bound}";
    PUBLISH_OUT_OF_ORDER = 3008 409 false "publish out of order: given {given}, bound {bound}";
    SOURCE_NOT_REGISTERED = 3009 403 false "source not registered: given {given}, bound {bound}";
    FUTURE_TIMESTAMP = 3010 422 false "future timestamp: given {given}, bound {bound}";
    INVALID_PROBABILITIES = 3011 422 false "invalid probabilities: given {given}, bound {bound}";
    PUBLICATION_UNSIGNED = 3012 403 false "the publication carries no signature of its source";
    PUBLICATION_FORGED = 3013 403 false "the signature is not the source's over these values";
    PUBLICATION_FOREIGN = 3014 403 false "the publication is signed for another deployment";
    BREAKER_ACTIVE = 3101 423 true "breaker active: given {given}, bound {bound}";
    PAUSED = 3102 423 true "paused at level {given} until {bound} ns";
    FROZEN = 3103 423 true "frozen: given {given}, bound {bound}";
    BREAKER_NOT_TRIPPED = 3105 409 false "breaker not tripped: given {given}, bound {bound}";
    COOLDOWN_ACTIVE = 3106 409 true "cooldown active: given {given}, bound {bound}";
    RESUME_CONDITION_UNMET = 3107 409 true "the conditions for resuming are not met";
    KEEPER_NOT_REGISTERED = 3201 403 false "keeper not registered: given {given}, bound {bound}";
    KEEPER_SUSPENDED = 3202 403 false "keeper suspended: given {given}, bound {bound}";
    KEEPER_STAKE_TOO_LOW = 3203 403 false "keeper stake too low: given {given}, bound {bound}";
    KEEPER_RATE_LIMITED = 3204 429 true "keeper rate limited: given {given}, bound {bound}";
    KEEPER_CAPABILITY = 3205 403 false "keeper capability: given {given}, bound {bound}";
    EVIDENCE_INVALID = 3206 422 false "evidence invalid: given {given}, bound {bound}";
    SLASH_TOO_LARGE = 3207 422 false "slash too large: given {given}, bound {bound}";
    UNBONDING = 3208 409 true "unbonding: given {given}, bound {bound}";
    APPEAL_WINDOW_CLOSED = 3209 409 false "appeal window closed: given {given}, bound {bound}";
    NOT_ENOUGH_SIGNERS = 3210 403 false "not enough signers: given {given}, bound {bound}";
    NOTHING_DUE = 3211 409 true "nothing due: given {given}, bound {bound}";
    FUNDING_NOT_DUE = 3301 409 true "funding not due: given {given}, bound {bound}";
    STAKE_LOCKED = 3401 409 true "stake locked: given {given}, bound {bound}";
    NOTHING_TO_CLAIM = 3402 409 true "nothing to claim: given {given}, bound {bound}";
    VESTING_CLIFF = 3403 409 true "vesting cliff: given {given}, bound {bound}";
    VESTING_REVOKED = 3404 409 false "vesting revoked: given {given}, bound {bound}";
    SEASON_NOT_ACTIVE = 3405 409 false "season not active: given {given}, bound {bound}";
    SUPPLY_EXCEEDED = 3406 422 false "supply exceeded: given {given}, bound {bound}";
    INVALID_LOCK = 3407 422 false "invalid lock: given {given}, bound {bound}";
    TOO_MANY_STAKE_LOTS = 3408 422 false "too many stake lots: given {given}, bound {bound}";
    NOT_REVOCABLE = 3409 403 false "not revocable: given {given}, bound {bound}";
    NOT_IN_RESOLUTION = 3501 409 false "not in resolution: given {given}, bound {bound}";
    BOND_TOO_LOW = 3502 422 false "bond too low: given {given}, bound {bound}";
    DISPUTE_WINDOW_CLOSED = 3503 409 false "dispute window closed: given {given}, bound {bound}";
    DISPUTE_WINDOW_OPEN = 3504 409 true "dispute window open: given {given}, bound {bound}";
    ALREADY_PROPOSED = 3505 409 false "already proposed: given {given}, bound {bound}";
    ALREADY_VOTED = 3506 409 false "already voted: given {given}, bound {bound}";
    INVALID_PAYOUT_VECTOR = 3507 422 false "invalid payout vector: given {given}, bound {bound}";
    MAX_ROUNDS_REACHED = 3508 409 false "max rounds reached: given {given}, bound {bound}";
    QUORUM_NOT_MET = 3509 409 true "quorum not met: given {given}, bound {bound}";
    EVIDENCE_LIMIT = 3510 422 false "evidence limit: given {given}, bound {bound}";
    TOO_EARLY = 3511 409 true "not before {bound} ns";
    ALREADY_FINAL = 3512 409 false "already final: given {given}, bound {bound}";
    GOV_PROPOSAL_NOT_FOUND = 3601 404 false "gov proposal not found: given {given}, bound {bound}";
    TIMELOCK_ACTIVE = 3602 409 true "timelock active: given {given}, bound {bound}";
    ALREADY_APPROVED = 3603 409 false "already approved: given {given}, bound {bound}";
    APPROVALS_MISSING = 3604 409 true "approvals missing: given {given}, bound {bound}";
    GOV_PROPOSAL_EXPIRED = 3605 409 false "gov proposal expired: given {given}, bound {bound}";
    PARAMETER_COOLDOWN = 3606 409 true "the parameter may change again at {bound} ns";
    IMMUTABLE_PARAMETER = 3607 403 false "this parameter never changes";
    TRANSFER_NOT_PENDING = 3608 409 false "transfer not pending: given {given}, bound {bound}";
    CONFIG_VERSION_MISMATCH = 3609 409 false "configuration version {given} is not the present {bound}";
    ZERO_AUTHORITY = 3610 422 false "zero authority: given {given}, bound {bound}";
    NOTICE_NOT_ELAPSED = 3701 409 true "notice not elapsed: given {given}, bound {bound}";
    VAULT_CAP = 3702 422 false "vault cap: given {given}, bound {bound}";
    SHARES_ZERO = 3703 422 false "shares zero: given {given}, bound {bound}";
    COVERAGE_TOO_LOW = 3704 423 true "coverage too low: given {given}, bound {bound}";
    STAGE_FORBIDS = 3705 423 true "stage forbids: given {given}, bound {bound}";
    UTILISATION_CAP = 3706 422 true "utilisation cap: given {given}, bound {bound}";
    VERSE_NOT_FOUND = 3801 404 false "verse not found: given {given}, bound {bound}";
    VERSE_CYCLE = 3802 422 false "verse cycle: given {given}, bound {bound}";
    VERSE_DEPTH = 3803 422 false "verse depth: given {given}, bound {bound}";
    VERSE_FULL = 3804 422 false "verse full: given {given}, bound {bound}";
    CHAIN_STEP_COUNT = 3805 422 false "chain step count: given {given}, bound {bound}";
    CHAIN_CYCLE = 3806 422 false "chain cycle: given {given}, bound {bound}";
    CHAIN_STEP_FAILED = 3807 422 false "chain step failed: given {given}, bound {bound}";
    CROSS_SHARD_CHAIN = 3808 422 false "cross shard chain: given {given}, bound {bound}";
    CREDIT_NOT_EXCLUSIVE = 3809 422 false "credit not exclusive: given {given}, bound {bound}";
    CREDIT_INSUFFICIENT = 3810 422 false "credit insufficient: given {given}, bound {bound}";
    FLASH_NOT_REPAID = 3811 422 false "flash not repaid: given {given}, bound {bound}";
    CORRELATION_TOO_HIGH = 3812 422 false "correlation too high: given {given}, bound {bound}";
    DARK_DISABLED = 3901 423 false "dark disabled: given {given}, bound {bound}";
    DARK_SIZE_TOO_SMALL = 3902 422 false "dark size too small: given {given}, bound {bound}";
    LIT_REFERENCE_INVALID = 3903 409 true "lit reference invalid: given {given}, bound {bound}";
    CAPACITY_EXCEEDED = 9001 503 true "the table has reached its bound of {bound}";
    RATE_LIMITED = 9002 429 true "too many commands, this one is taken from {bound} ns on, now {given} ns";
    JOURNAL_CORRUPT = 9003 500 false "the journal is damaged at block {given}";
    REPLAY_MISMATCH = 9004 500 false "replay differs first at sequence {given}";
    INVARIANT_BROKEN = 9005 500 false "invariant {bound} is broken at sequence {given}";
    ENGINE_STOPPED = 9006 503 true "the engine stopped at sequence {bound}; an operator must restart it after a verified replay";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_so_that_lookup_by_bisection_holds() {
        assert!(CATALOGUE.windows(2).all(|pair| pair[0].number < pair[1].number));
    }

    #[test]
    fn every_code_finds_its_own_entry() {
        for entry in CATALOGUE {
            assert_eq!(entry.code.entry().name, entry.name);
            assert_eq!(Code::from_number(entry.number), Some(entry.code));
        }
        assert_eq!(Code::from_number(0), None);
    }
}
