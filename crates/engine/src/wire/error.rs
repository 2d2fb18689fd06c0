//! The error catalogue of protocol P20: one number, one name, one meaning, for ever.
//!
//! This table is the only definition: the Python exceptions, the API schema and the documentation page are
//! generated from it. Templates name `{given}` (the value that failed) and `{bound}` (what it violated);
//! [`super::message`] puts the values in.

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

    /// The entry's sentence with its values.
    pub fn message(self, bound: i64, given: i64) -> String {
        super::message::render(self.entry().template, bound, given)
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
    UNKNOWN_COMMAND = 1002 400 false "command kind {given:hex} is not in the catalogue of this build";
    UNSUPPORTED_VERSION = 1003 400 false "version {given} is not supported, this build reads {bound}";
    INVALID_TYPE_TAG = 1004 422 false "type tag {given:hex} is not {bound:hex}";
    INVALID_RECORD_LENGTH = 1005 422 false "record length {given} is not {bound}";
    CHECKSUM_MISMATCH = 1006 422 false "the checksum of the record does not match: it says {given:hex}, its bytes give {bound:hex}";
    RESERVED_NOT_ZERO = 1007 400 false "a reserved field or unused byte is {given}, it must be 0";
    DERIVED_ID_MISMATCH = 1008 422 false "the id does not derive from its key";
    WRONG_OWNER = 1009 403 false "the record belongs to another owner";
    ACCOUNT_NOT_FOUND = 1010 404 false "no such account";
    SUB_ACCOUNT_NOT_FOUND = 1011 404 false "sub-account {given} is not open";
    ASSET_NOT_FOUND = 1012 404 false "asset {given} is not registered, or not the settlement money or token that this needs";
    ALREADY_EXISTS = 1013 409 false "the record exists already (handle {given})";
    WRONG_SHARD = 1014 421 true "the command is for shard {given}, this is shard {bound}";
    UNAUTHORIZED_SIGNER = 1201 403 false "the signer may not act for this account";
    PERMISSION_DENIED = 1202 403 false "permission bit {bound} is missing";
    ROLE_EXPIRED = 1203 403 false "the role expired at {bound:time}, now it is {given:time}";
    PRINCIPAL_SUSPENDED = 1204 403 false "the principal is suspended since {bound:time}";
    SELF_APPROVAL = 1205 403 false "a second, different person must approve";
    ROLE_ESCALATION = 1206 403 false "the grantor does not hold permission bit {bound}";
    ROLE_FULL = 1207 409 false "the principal or role has reached its bound of {bound}";
    CONFLICT_OF_INTEREST = 1208 403 false "this is not for somebody with a stake of his own in it, or with a role that excludes it";
    DELEGATE_SCOPE = 1209 403 false "the delegate has scopes {given:hex}, {bound:hex} is needed";
    TIME_REGRESSION = 1301 409 false "the time {given:time} is before that of the last command, {bound:time}";
    TIME_JUMP = 1302 409 false "the time {given:time} is more than an hour after {bound:time}; AdvanceTime is needed";
    SEQUENCE_GAP = 1303 409 false "sequence {given} is not the next one, {bound}";
    COMMAND_EXPIRED = 1304 422 false "the command was valid until {bound:time}, now it is {given:time}";
    IDEMPOTENCY_CONFLICT = 1305 409 false "the client key was used with another body (first result {bound})";
    IDEMPOTENCY_WINDOW_FULL = 1306 429 true "the account has {bound} live client keys, wait until some expire";
    CONTINUATION_PENDING = 1307 503 true "continuation {bound} must be finished first";
    MATH_OVERFLOW = 2001 422 false "the result does not fit";
    INVALID_AMOUNT = 2002 422 false "the amount {given:micro} must be at least {bound:micro}";
    BELOW_MINIMUM = 2003 422 false "{given:micro} is below the minimum of {bound:micro}";
    ABOVE_MAXIMUM = 2004 422 false "{given:micro} is above the maximum of {bound:micro}";
    NOT_A_NUMBER = 2005 422 false "the value is not a finite decimal number";
    PARAMETER_OUT_OF_BOUNDS = 2006 422 false "parameter value {given} violates the bound {bound}";
    INVALID_BOUNDS = 2007 422 false "the bounds do not hold: {given} is on the wrong side of {bound}";
    INVALID_SIZE = 2101 422 false "size {given} lots must be from 1 to {bound}";
    ORDER_TOO_SMALL = 2102 422 false "the order is worth {given:micro}, the market's minimum is {bound:micro}";
    ORDER_TOO_LARGE = 2103 422 false "the order is worth {given:micro}, the market's maximum is {bound:micro}";
    LOT_MISALIGNED = 2104 422 false "the size is not a multiple of the lot, {bound:micro}";
    INVALID_PRICE = 2105 422 false "price {given} ticks is outside 1..{bound}";
    TICK_MISALIGNED = 2106 422 false "the price is not a multiple of the tick, {bound:micro}";
    PRICE_TOO_HIGH = 2107 422 false "price {given} ticks is above the band {bound}";
    PRICE_TOO_LOW = 2108 422 false "price {given} ticks is below the band {bound}";
    MARKET_ORDER_HAS_PRICE = 2109 422 false "a market order carries no price (given {given})";
    INVALID_ORDER_TYPE = 2110 422 false "order type, side, flags or their combination is invalid: {given}";
    INVALID_TIME_IN_FORCE = 2111 422 false "time in force {given} does not fit this order";
    POST_ONLY_WOULD_TAKE = 2112 422 false "would trade at {bound} ticks now";
    FOK_NOT_FILLABLE = 2113 422 false "only {bound} of {given} lots can be filled";
    NO_LIQUIDITY = 2114 422 false "the opposite side is empty or no reference price exists";
    REDUCE_ONLY_WOULD_INCREASE = 2115 422 false "only orders that reduce are taken here; {given} lots are more than the position has to give[, {bound} lots]";
    TRIGGER_WOULD_FIRE = 2116 422 false "the price is at {bound} ticks already, so a trigger at {given} would fire at once";
    INVALID_TRIGGER = 2117 422 false "the trigger {given} does not fit the order: its price must be on a tick[ and at most {bound}], its source one that the market has";
    INVALID_TRAIL = 2118 422 false "the trail {given} does not fit the order[: it is from 1 to {bound}]";
    INVALID_DISPLAY_SIZE = 2119 422 false "the displayed size of {given} lots does not fit the order[: the bound is {bound}]";
    INVALID_TWAP = 2120 422 false "the slices do not fit: {given} violates the bound {bound} of their number, interval, span or worth";
    INVALID_LINK = 2121 422 false "order {given} cannot be linked with this one";
    ORDER_EXPIRED = 2122 422 false "the expiry {given:time} is not after {bound:time}";
    ORDER_EXPIRY_TOO_FAR = 2123 422 false "the expiry {given:time} is after the latest one, {bound:time}";
    ORDER_NOT_FOUND = 2124 404 false "no such order ({given})";
    ORDER_NOT_OPEN = 2125 409 false "order {given} is not open any more";
    REPLACE_BELOW_FILLED = 2126 422 false "new total {given} lots is not above the filled {bound}";
    TOO_MANY_OPEN_ORDERS = 2127 422 false "open orders have reached the bound of {bound}";
    SELF_TRADE_PREVENTED = 2128 422 false "would trade with the own order {bound}";
    BATCH_TOO_LARGE = 2129 422 false "{given} items, a batch takes from 1 to {bound}";
    BATCH_ITEM_FAILED = 2130 422 false "item {bound} failed with {given:code}; nothing of the batch was applied";
    INVALID_SWITCH_WINDOW = 2131 422 false "window {given} s must be 0 or 5..{bound}";
    MARKET_NOT_FOUND = 2201 404 false "no such market ({given})";
    MARKET_NOT_ACTIVE = 2202 409 false "the market is {given:status}, it must be ACTIVE";
    MARKET_CLOSE_ONLY = 2203 409 false "the market takes only reducing orders";
    INVALID_MARKET_KIND = 2204 422 false "market kind {given} is not available in this build";
    INVALID_OUTCOME_COUNT = 2205 422 false "outcome count {given} is out of range: the bound is {bound}";
    INVALID_OUTCOME = 2206 422 false "outcome {given} is not below {bound}";
    INVALID_TICK_LOT = 2207 422 false "tick × lot must be a positive multiple of 10^6 ({given})";
    INVALID_TRANSITION = 2208 409 false "this does not go with the present state ({given}[, it would take {bound}])";
    MARKET_HAS_OPEN_INTEREST = 2209 409 false "somebody still holds something of this market ({given} left)";
    MARKET_LIMIT_REACHED = 2210 503 false "the shard has {bound} markets already";
    IN_RESOLUTION_BUFFER = 2211 409 false "trading ended at {bound:time}, shortly before the market settles";
    OPEN_INTEREST_CAP = 2212 422 false "open interest would be {given:micro}, the market's cap is {bound:micro}";
    SETTLEMENT_NOT_FINAL = 2213 409 true "what the market settles at is not final yet";
    POSITION_NOT_FOUND = 2301 404 false "there is no such position";
    TOO_MANY_POSITIONS = 2302 422 false "{bound} positions are open, which is the most";
    INVALID_LEVERAGE = 2303 422 false "leverage {given:hundredths} is below {bound:hundredths} or not a step of 0.01";
    LEVERAGE_TOO_HIGH = 2304 422 false "leverage {given:hundredths} is above the cap of {bound:cap}";
    SUITABILITY_REQUIRED = 2305 403 false "leverage above {bound:hundredths} needs a valid suitability attestation; {given:hundredths} was asked for";
    INSUFFICIENT_MARGIN = 2306 422 false "margin of {given:micro} is needed, {bound:micro} is there";
    POSITION_TOO_LARGE = 2307 422 false "the position would be worth {given:micro}, the market's limit is {bound:micro}";
    MAINTENANCE_ABOVE_ENTRY_MARGIN = 2308 422 false "the maintenance margin of {given:percent} would reach the entry margin of {bound:percent}";
    EXPOSURE_LIMIT = 2309 422 false "the account could cost the vault {given:micro}, the most for one account is {bound:micro}";
    POSITION_HEALTHY = 2401 409 false "the position is healthy: equity {given:micro}, maintenance margin {bound:micro}";
    LIQUIDATION_RATE_LIMITED = 2402 429 true "the market's liquidations of this second are used up: {given:micro} of {bound:micro} left";
    TRANCHE_COOLDOWN = 2403 429 true "the next tranche of this liquidation comes later[, at {bound:time}]";
    INSUFFICIENT_BALANCE = 2501 422 false "{given:micro} is needed, {bound:micro} is free";
    DUPLICATE_DEPOSIT = 2502 409 false "this external id was credited already";
    ASSET_CAP_EXCEEDED = 2503 422 false "the platform would hold {given:micro} of the asset, its cap is {bound:micro}";
    WITHDRAWAL_LOCKED = 2504 423 true "positions are open and their price feed is {given:feed}; it must be better than {bound:feed}";
    INSUFFICIENT_FREE_COLLATERAL = 2505 422 false "{given:micro} was asked for, positions leave {bound:micro}";
    WITHDRAWAL_NOT_FOUND = 2506 404 false "no such withdrawal ({given})";
    WITHDRAWAL_NOT_CANCELLABLE = 2507 409 false "the withdrawal is in state {given}, only QUEUED can be cancelled";
    TRANSFER_SAME_ACCOUNT = 2508 422 false "source and target sub-account are the same ({given})";
    ADDRESS_NOT_ALLOWED = 2509 403 false "the address is not listed or not usable before {bound:time}";
    INVALID_AMM_KIND = 2601 422 false "market maker kind {given} does not fit this market[, kind {bound} does]";
    INSUFFICIENT_SHARES = 2602 422 false "{given:micro} shares were asked for, {bound:micro} are free";
    CONVERGENCE_FAILED = 2603 422 false "the price could not be computed to the accuracy it needs; nothing was traded";
    SLIPPAGE_EXCEEDED = 2604 422 true "it would be {given} where the limit is {bound}; nothing was done";
    PRICE_IMPACT_TOO_HIGH = 2605 422 false "the price would move by {given:billionths}, {bound:billionths} is allowed";
    INSUFFICIENT_LIQUIDITY = 2606 422 false "the pool cannot pay this[, at least {given:micro} is needed]";
    POOL_DOMAIN_EXCEEDED = 2607 422 false "the trade would drive the pool's prices further apart than it can compute";
    INVALID_SEGMENTS = 2608 422 false "the number of segments must be even and at least 2";
    SIGMA_BELOW_MINIMUM = 2609 422 false "the width {given:micro} is below the least that the backing allows, {bound:micro}";
    PROBABILITY_SUM_INVALID = 2610 422 false "the probabilities are off from one by {given:billionths}, {bound:billionths} is allowed";
    LIQUIDITY_LOCKED = 2611 409 true "this liquidity is locked until {bound:time}";
    POOL_NOT_FOUND = 2612 404 false "market {given} has no pool";
    TOO_MANY_CLAIMS = 2613 422 false "{given} claims are held in this market, {bound} is the most";
    SET_INCOMPLETE = 2701 422 false "{given:micro} complete sets were asked for, the claims held make {bound:micro}";
    NOT_RESOLVED = 2702 409 true "the market is {given:status}; it pays when its outcome is final";
    NOTHING_TO_REDEEM = 2703 409 false "no claim on this market is held";
    FEED_NOT_FOUND = 3001 404 false "there is no price feed {given}";
    STALE_PRICE = 3002 409 true "the price is too old: the feed is {given:feed}[ since {bound:time}] and must be fresher for this";
    LOW_CONFIDENCE = 3003 409 true "the price is too uncertain: the feed is {given:feed}[ since {bound:time}] and its sources must agree closer for this";
    INSUFFICIENT_SOURCES = 3004 409 true "too few sources publish: the feed is {given:feed}[ since {bound:time}] and needs more of them for this";
    SOURCE_DIVERGENCE = 3005 409 true "the sources contradict each other: the feed is {given:feed}[ since {bound:time}] and they must agree for this";
    NON_POSITIVE_PRICE = 3006 422 false "there is no usable price: a price must be positive, and its feed VALID for this[ (since {bound:time})]";
    CROSSED_SOURCE = 3007 422 false "the source's bid {given} is not below its ask {bound}";
    PUBLISH_OUT_OF_ORDER = 3008 409 false "number or time {given} is not after the last one, {bound}";
    SOURCE_NOT_REGISTERED = 3009 403 false "the publisher is not a source of this feed";
    FUTURE_TIMESTAMP = 3010 422 false "the time {given:time} lies ahead of what is taken now, {bound:time}";
    INVALID_PROBABILITIES = 3011 422 false "the probabilities of the outcomes are too far from adding up to one";
    PUBLICATION_UNSIGNED = 3012 403 false "the publication carries no signature of its source";
    PUBLICATION_FORGED = 3013 403 false "the signature is not the source's over these values";
    PUBLICATION_FOREIGN = 3014 403 false "the publication is signed for another deployment";
    BREAKER_ACTIVE = 3101 423 true "a circuit breaker, an auction or a liquidation cascade stops this now ({given}[; {bound:time}])";
    PAUSED = 3102 423 true "paused at level {given} until {bound:time}";
    FROZEN = 3103 423 true "frozen until {bound:time}";
    BREAKER_NOT_TRIPPED = 3105 409 false "breaker {given} is not tripped";
    COOLDOWN_ACTIVE = 3106 409 true "the breaker was closed lately and can be tripped again from {bound:time} on";
    RESUME_CONDITION_UNMET = 3107 409 true "the conditions for resuming are not met ({bound:hex}: 1 a breaker, 2 a feed, 4 the breaker's condition, 8 its auction)";
    KEEPER_NOT_REGISTERED = 3201 403 false "the account is not registered as a keeper";
    KEEPER_SUSPENDED = 3202 403 false "the keeper is suspended with a score of {given:percent}; it is looked at again at {bound:time}";
    KEEPER_STAKE_TOO_LOW = 3203 403 false "the keeper's stake is {given:micro}, {bound:micro} is needed";
    KEEPER_RATE_LIMITED = 3204 429 true "the keeper may act again at {bound:time}";
    KEEPER_CAPABILITY = 3205 403 false "the keeper has the capabilities {given:hex}, {bound:hex} is needed";
    EVIDENCE_INVALID = 3206 422 false "the evidence is missing or is not what the engine knows";
    SLASH_TOO_LARGE = 3207 422 false "a slash of {given:percent} is above the most, {bound:percent}";
    UNBONDING = 3208 409 true "the stake is unbonding until {bound:time}";
    APPEAL_WINDOW_CLOSED = 3209 409 false "an appeal was possible until {bound:time}";
    NOT_ENOUGH_SIGNERS = 3210 403 false "{bound} keepers' officers must exist to sign a slash, there are {given}";
    NOTHING_DUE = 3211 409 true "there is nothing to do yet[; it is due at {bound:time}]";
    FUNDING_NOT_DUE = 3301 409 true "funding is charged at {bound:time}, now it is {given:time}";
    STAKE_LOCKED = 3401 409 true "the stake is locked until {bound:time}";
    NOTHING_TO_CLAIM = 3402 409 true "there is nothing to claim";
    VESTING_CLIFF = 3403 409 true "nothing vests before {bound:time}";
    VESTING_REVOKED = 3404 409 false "the vesting was revoked[ at {bound:time}]";
    SEASON_NOT_ACTIVE = 3405 409 false "season {given} is not active[, the last one is {bound}]";
    SUPPLY_EXCEEDED = 3406 422 false "{given:micro} tokens were asked for, {bound:micro} are available";
    INVALID_LOCK = 3407 422 false "a stake is locked for 0, 2,592,000 or 7,776,000 s, not {given}";
    TOO_MANY_STAKE_LOTS = 3408 422 false "{given} stakes are open, {bound} is the most";
    NOT_REVOCABLE = 3409 403 false "allocations of this pool are never revoked";
    NOT_IN_RESOLUTION = 3501 409 false "the market has no dispute in this round[ (its round is {bound})]";
    BOND_TOO_LOW = 3502 422 false "a bond of {given:micro} is below the {bound:micro} that is needed";
    DISPUTE_WINDOW_CLOSED = 3503 409 false "it could be disputed until {bound:time}";
    DISPUTE_WINDOW_OPEN = 3504 409 true "it can be disputed until {bound:time}";
    ALREADY_PROPOSED = 3505 409 false "an outcome is proposed already";
    ALREADY_VOTED = 3506 409 false "this arbiter has voted in this round";
    INVALID_PAYOUT_VECTOR = 3507 422 false "the payout does not fit: parts in ppm of existing outcomes that sum to 1,000,000, and not what stands already";
    MAX_ROUNDS_REACHED = 3508 409 false "round {given} is above the last one, {bound}";
    QUORUM_NOT_MET = 3509 409 true "{bound} equal votes are needed, there are {given}";
    EVIDENCE_LIMIT = 3510 422 false "{given} items of evidence, {bound} is the most";
    TOO_EARLY = 3511 409 true "this is possible from {bound:time} on";
    ALREADY_FINAL = 3512 409 false "the outcome is final";
    GOV_PROPOSAL_NOT_FOUND = 3601 404 false "there is no proposal {given}";
    TIMELOCK_ACTIVE = 3602 409 true "the time-lock runs until {bound:time}";
    ALREADY_APPROVED = 3603 409 false "the same principal has approved proposal {given} before";
    APPROVALS_MISSING = 3604 409 true "{bound} approvals are needed, there are {given}";
    GOV_PROPOSAL_EXPIRED = 3605 409 false "the proposal has expired[ at {bound:time}]";
    PARAMETER_COOLDOWN = 3606 409 true "the parameter may change again at {bound:time}";
    IMMUTABLE_PARAMETER = 3607 403 false "this parameter never changes";
    TRANSFER_NOT_PENDING = 3608 409 false "no transfer of this authority is pending";
    CONFIG_VERSION_MISMATCH = 3609 409 false "configuration version {given} is not the present {bound}";
    ZERO_AUTHORITY = 3610 422 false "an authority cannot be nobody (a key of zeros)";
    NOTICE_NOT_ELAPSED = 3701 409 true "the exit is served from {bound:time} on";
    VAULT_CAP = 3702 422 false "the vault would hold {given:micro}, the most is {bound:micro}";
    SHARES_ZERO = 3703 422 false "the amount is too small for a share";
    COVERAGE_TOO_LOW = 3704 423 true "the vault does not cover this now[: {given} where {bound} is needed]";
    STAGE_FORBIDS = 3705 423 true "the vault's stage does not allow this now[: {given} where {bound} is needed]";
    UTILISATION_CAP = 3706 422 true "the vault would have lent {given:micro}, the most is {bound:micro}";
    VERSE_NOT_FOUND = 3801 404 false "there is no verse {given}";
    VERSE_CYCLE = 3802 422 false "a verse cannot lie below itself";
    VERSE_DEPTH = 3803 422 false "level {given} of verses, {bound} is the deepest";
    VERSE_FULL = 3804 422 false "{bound} verses are the most: below one, or of an account's open chains";
    CHAIN_STEP_COUNT = 3805 422 false "a chain has from 1 to 3 steps, not {given}";
    CHAIN_CYCLE = 3806 422 false "step {given} does what step {bound} does already";
    CHAIN_STEP_FAILED = 3807 422 false "step {bound} failed with {given:code}; nothing of the chain was done";
    CROSS_SHARD_CHAIN = 3808 422 false "all steps of a chain must be of one shard";
    CREDIT_NOT_EXCLUSIVE = 3809 422 false "the legs do not exclude each other: they must be outcomes of one market";
    CREDIT_INSUFFICIENT = 3810 422 false "credit of {given:micro} is needed, {bound:micro} is available";
    FLASH_NOT_REPAID = 3811 422 false "{bound:micro} must be repaid in the same chain, {given:micro} is there";
    CORRELATION_TOO_HIGH = 3812 422 false "the markets' correlation is {given:percent}, a chain takes at most {bound:percent}";
    DARK_DISABLED = 3901 423 false "the dark cross is not enabled in this market";
    DARK_SIZE_TOO_SMALL = 3902 422 false "the order is worth {given:micro}, a dark order at least {bound:micro}";
    LIT_REFERENCE_INVALID = 3903 409 true "the public book gives no fair middle now: a side is empty, it is too wide or too old, or the market does not trade";
    CAPACITY_EXCEEDED = 9001 503 true "the table has reached its bound of {bound}";
    RATE_LIMITED = 9002 429 true "too many commands; the next one is taken from {bound:time} on";
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
