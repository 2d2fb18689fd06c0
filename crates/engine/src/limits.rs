//! Every bound of the engine, each in exactly one place (protocol P18.4).

pub const MAX_ACCOUNTS: usize = 1_000_000;
pub const MAX_SUB_ACCOUNTS: usize = 128;
pub const MAX_ASSETS: usize = 4_096;
pub const MAX_MARKETS: usize = 65_536;
pub const MAX_OPEN_ORDERS: usize = 2_000_000;
pub const MAX_ORDERS_PER_SUB_MARKET: u32 = 200;
pub const MAX_ORDERS_PER_ACCOUNT: u32 = 1_000;
pub const MAX_DELEGATES: usize = 16;
pub const MAX_ADDRESSES: usize = 16;
pub const MAX_PRINCIPALS: usize = 16_000;
pub const MAX_ROLES_PER_PRINCIPAL: usize = 32;
pub const MAX_PRINCIPALS_PER_ROLE: usize = 1_000;
pub const MAX_DUE: usize = 4_000_000;
pub const MAX_DEPOSITS: usize = 16_000_000;
pub const MAX_WITHDRAWALS: usize = 1_000_000;
pub const MAX_LIVE_KEYS: u32 = 4_096;

pub const MAX_PRICE: i64 = i32::MAX as i64;
pub const MAX_LOTS: i64 = 1 << 40;

/// Work of one command before it must continue in the next (P2.1.4).
pub const FILLS_PER_COMMAND: u32 = 48;
pub const CANCELS_PER_COMMAND: u32 = 64;
pub const DUE_PER_COMMAND: u32 = 16;

/// Orders that wait for a price, a time or another order, per market (P18.4).
pub const MAX_TRIGGERS_PER_MARKET: usize = 100_000;
/// Of one command: triggers that fire, trailing orders that change their group, fired orders that run.
pub const FIRED_PER_COMMAND: u32 = 16;
pub const TRAIL_MOVES_PER_COMMAND: u32 = 64;
pub const RUNS_PER_COMMAND: u32 = 4;
pub const MAX_TRAIL_PPM: i64 = 1_000_000;
/// An iceberg shows at least a hundredth of itself, by default a tenth (P2.5.5).
pub const ICEBERG_LEAST_PART: i64 = 100;
pub const ICEBERG_DEFAULT_PART: i64 = 10;
/// Slices of a time-sliced order, seconds between them, and from the first to the last (P2.5.6).
pub const TWAP_SLICES: (u16, u16) = (2, 100);
pub const TWAP_INTERVAL_S: (u32, u32) = (1, 3_600);
pub const MAX_TWAP_S: u32 = 86_400;
/// Orders of one atomic batch.
pub const MAX_ORDER_BATCH: u8 = 8;

pub const SECOND_NS: i64 = 1_000_000_000;
pub const HOUR_NS: i64 = 3_600 * SECOND_NS;
pub const DAY_NS: i64 = 24 * HOUR_NS;
pub const DEFAULT_VALIDITY_NS: i64 = 60 * SECOND_NS;
pub const MAX_VALIDITY_NS: i64 = 300 * SECOND_NS;
pub const MAX_TIME_JUMP_NS: i64 = HOUR_NS;
pub const MAX_EXPIRY_NS: i64 = 30 * DAY_NS;
pub const MAX_PAUSE_NS: i64 = 72 * HOUR_NS;
pub const RESUME_WINDOW_NS: i64 = 600 * SECOND_NS;
pub const ADDRESS_DELAY_NS: i64 = DAY_NS;
pub const PARAMETER_COOLDOWN_NS: i64 = DAY_NS;
pub const MAX_GRANT_NS: i64 = 365 * DAY_NS;
pub const MIN_SWITCH_S: u32 = 5;
pub const MAX_SWITCH_S: u32 = 86_400;
pub const MIN_WITHDRAWAL: i64 = 1_000_000;

/// Positions of a sub-account (P2.4.6); an isolated one holds a single one.
pub const MAX_POSITIONS: usize = 50;
/// Leverage without a valid suitability flag, in hundredths (P4.5).
pub const MAX_LEVERAGE_WITHOUT_SUITABILITY_E2: u32 = 1_000;
/// Leveraged markets that may take their index from one feed.
pub const MAX_MARKETS_PER_FEED: usize = 16;
/// Marks that one Tick recomputes because the book has moved.
pub const MARKS_PER_TICK: usize = 16;
/// Levels that a funding sample looks at on each side.
pub const IMPACT_LEVELS: u32 = 64;
/// Positions that one command settles in a closed market, and records that it looks at for them.
pub const SETTLEMENTS_PER_COMMAND: u32 = 6;
pub const SETTLEMENT_LOOKS: u32 = 512;

/// Actions of one command that end or reduce positions by liquidation, and candidates whose turn it sees (P2.1.4).
pub const LIQUIDATIONS_PER_COMMAND: u32 = 8;
pub const CANDIDATES_PER_COMMAND: u32 = 32;
/// Instructions that a command may spend on liquidations, looks and leveraged fills before it is continued: what P18.1
/// grants less what stamping and admitting the command takes. An action begins only where what is left admits what it
/// takes at most; these are the prices of actions, measured.
pub const EFFORT_PER_COMMAND: u32 = 15_000;
/// What a command may have spent when its first action begins, whatever that takes.
pub const SMALL_EFFORT: u32 = 2_000;
pub const FILL_EFFORT: u32 = 5_000;
pub const OUTCOME_FILL_EFFORT: u32 = 3_000;
pub const OUTCOME_CANCEL_EFFORT: u32 = 700;
/// Most outcomes of a market whose books are matched with each other (P3.6), 0..8; 0 = none. And what a set round takes
/// for each of its orders.
pub const SET_MATCHING_OUTCOMES: u8 = 8;
pub const SET_LEG_EFFORT: u32 = 1_600;
/// A look at a sub-account, and beside that for each of its positions: to value it, and to move its bounds.
pub const LOOK_EFFORT: u32 = 1_600;
pub const SURVEY_EFFORT: u32 = 130;
pub const BOUND_EFFORT: u32 = 280;
/// Positions whose bounds move with the look; those of the others move in the next command.
pub const BOUNDS_PER_LOOK: usize = 24;
/// Positions up to which a fill looks at its owner at once, not in the next command.
pub const FEW_POSITIONS: usize = 2;
/// A look at a candidate that stays one, without its positions.
pub const RIPEN_EFFORT: u32 = 700;
/// A candidate's turn; its plan, its sale's order, and what follows the sale.
pub const TURN_EFFORT: u32 = 500;
pub const STRESS_EFFORT: u32 = 700;
pub const PLAN_EFFORT: u32 = 1_000;
pub const SALE_EFFORT: u32 = 1_600;
pub const FINISH_EFFORT: u32 = 2_000;
/// An order that is cancelled before, and an order of the account that is looked at for that.
pub const CANCEL_EFFORT: u32 = 1_300;
pub const SCAN_EFFORT: u32 = 24;
/// Choosing the next position of a takeover, handing lots over, and a place of the ranking that is compared.
pub const PART_EFFORT: u32 = 1_500;
pub const TAKEOVER_EFFORT: u32 = 4_000;
pub const RANK_EFFORT: u32 = 500;
/// What a deficit takes from the stages before the winners, and a winner's profit or share.
pub const DEFICIT_EFFORT: u32 = 3_000;
pub const PROFIT_EFFORT: u32 = 400;
pub const SHARE_EFFORT: u32 = 1_200;
/// Accounts that one Tick passes after risk parameters changed, and sub-accounts of them that it looks at.
pub const SWEEP_RECORDS: usize = 256;
pub const SWEEP_LOOKS: u32 = 16;
/// Opposing positions that are compared for one fill of auto-deleveraging.
pub const ADL_LOOKS: usize = 16;
/// How long a liquidation under a cascade offers its lots before it takes (P5.9), and such orders of one market at one
/// time; what comes beyond them takes at once.
pub const OFFER_NS: i64 = 2 * SECOND_NS;
pub const OFFERS_PER_MARKET: usize = 16;
/// Markets whose position the fund offers anew at one look.
pub const FUND_ORDERS_PER_LOOK: usize = 2;
/// Levels of each side that the cascade check adds up, markets that one Tick checks, and markets that it passes for them.
pub const CASCADE_LEVELS: u32 = 64;
pub const CASCADE_RECORDS: usize = 64;
pub const CASCADES_PER_TICK: usize = 2;

/// Outcomes of an outcome market (P1.6.2).
pub const OUTCOMES: (u8, u8) = (2, 64);
/// Holdings of claims that are not zero. Orders and sets are refused beyond the second bound, so that what open orders
/// may still add fits.
pub const MAX_CLAIMS: usize = 16_000_000;
pub const CLAIMS_ROOM: usize = MAX_CLAIMS - MAX_OPEN_ORDERS;
/// An outcome market settles at least this long after its creation (row 0101).
pub const MIN_SETTLE_NS: i64 = HOUR_NS;
/// Before its settlement an outcome market takes no more orders (P2.4.1).
pub const RESOLUTION_BUFFER_NS: i64 = 60 * SECOND_NS;

/// Configuration ranges of a leveraged market.
pub const LEVERAGE_E2: (u32, u32) = (100, 10_000);
pub const SIZE_K_PPM: (u32, u32) = (0, 1_000);
pub const FLOOR_MMF_PPM: (u32, u32) = (1_000, 500_000);
/// Liquidation fee, 1e-6 bp: at most 500 bp.
pub const LIQUIDATION_FEE_E6BP: (u32, u32) = (0, 500_000_000);

/// Configuration ranges of a market.
pub const BAND_BP: (u16, u16) = (100, 9_000);
pub const SLIPPAGE_BP: (u16, u16) = (10, 500);
pub const MAX_FEE_E6BP: u32 = 100_000_000;
/// No price is further than this from the reference on its passive side.
pub const FAR_BAND_BP: u32 = 5_000;

/// Detection (P12): returns of one second that a market keeps, accounts that it tells apart, steps that are told at
/// once (the others a second later), open cases.
pub const DETECTION_RETURNS: usize = 120;
pub const DETECTION_ACCOUNTS: usize = 128;
pub const DETECTION_RAISED: usize = 8;
pub const MAX_CASES: usize = 4_096;
/// Due items that the judgement of one market counts as; three markets are judged in one command.
pub const DETECTION_DUE_COST: u32 = 5;
/// Declared pairs of owners (P12.3).
pub const MAX_OWNER_LINKS: usize = 65_536;

/// Outflow of withdrawals (P9.10): the platform's within 24 h of an asset in bp of its custody, an account's in
/// micro-units of the settlement asset.
pub const PLATFORM_OUTFLOW_BP: u32 = 2_500;
pub const ACCOUNT_OUTFLOW_CAP: i64 = 250_000_000_000;
/// A window of 24 h is kept in buckets of 15 minutes; the 97th covers the part of the oldest that still counts.
pub const OUTFLOW_BUCKET_NS: i64 = 900 * SECOND_NS;
pub const OUTFLOW_BUCKETS: i64 = 97;
/// A queue that waits for a pause looks again after this time, since people may end the pause early.
pub const OUTFLOW_RECHECK_NS: i64 = 60 * SECOND_NS;

/// Price feeds and their sources (P6, P18.4).
pub const MAX_FEEDS: usize = 65_536;
pub const MAX_SOURCES: usize = 16;
/// Feeds that may be switched to the same fallback at one time: each is told of every change of it.
pub const MAX_FALLBACK_USERS: usize = 16;
/// Expected interval between updates of a source in ms.
pub const FEED_INTERVAL_MS: (u32, u32) = (100, 60_000);
/// Largest confidence over value in ppm.
pub const FEED_CONFIDENCE_PPM: (u32, u32) = (1_000, 100_000);
/// Largest deviation between two sources in bp.
pub const FEED_DEVIATION_BP: (u32, u32) = (10, 2_000);
/// Bounds of the age at which a source no longer counts (P6.1.3).
pub const FEED_STALE_NS: (i64, i64) = (5 * SECOND_NS, 300 * SECOND_NS);
/// A source's clock may run ahead of the engine's by this much.
pub const MAX_SOURCE_AHEAD_NS: i64 = SECOND_NS;
/// Sources that disagree, or a mark far from the index, make a feed DIVERGENT after this time (P6.1.4).
pub const FEED_DIVERGENCE_NS: i64 = 60 * SECOND_NS;
/// Better inputs last this long before a feed's state improves, and this long before VALID after a loss (P6.2).
pub const FEED_BETTER_NS: i64 = 10 * SECOND_NS;
pub const FEED_VALID_NS: i64 = 60 * SECOND_NS;
/// An override of a feed: how long it waits for the second person, and how long it may last.
pub const OVERRIDE_PENDING_NS: i64 = 600 * SECOND_NS;
pub const MAX_OVERRIDE_NS: i64 = DAY_NS;
/// Longest window of the time-weighted index.
pub const MAX_TWAP_NS: i64 = HOUR_NS;

/// Keepers and their stakes (P13, P18.4).
pub const MAX_KEEPERS: usize = 1_024;
/// Accounts with a stake: keepers and those that were.
pub const MAX_KEEPER_STAKES: usize = 4_096;
/// Parts of one stake that wait for the end of their unbonding.
pub const MAX_UNBONDING_PARTS: usize = 8;
pub const MAX_SLASHES: usize = 256;
/// Large actions that wait for a second keeper.
pub const MAX_LARGE_ACTIONS: usize = 256;
pub const UNBONDING_NS: i64 = 7 * DAY_NS;
pub const APPEAL_WINDOW_NS: i64 = 7 * DAY_NS;
/// How long the first signature under a slash waits for the second.
pub const SLASH_SIGNING_NS: i64 = DAY_NS;
pub const MAX_SLASH_PPM: u32 = 100_000;
/// Signers of a slash, and how many must hold the permission for the rule to mean anything (2 of 3).
pub const SLASH_SIGNERS: usize = 2;
pub const SLASH_PANEL: usize = 3;
/// A duty missed for this long is evidence (P13.3).
pub const MISSED_DUTY_NS: i64 = HOUR_NS;
pub const KEEPER_IDLE_NS: i64 = HOUR_NS;
/// Insurance that one keeper alone may move, in micro-units of the settlement asset (P13.6).
pub const LARGE_INSURANCE: i64 = 100_000_000_000;
/// How long the first keeper's approval of a large action waits for the second.
pub const LARGE_ACTION_NS: i64 = 60 * SECOND_NS;
/// Micro-units of the settlement asset for a valid crank, out of `maker_fund` (P13.4).
pub const CRANK_REWARD: i64 = 10_000;
/// Conflicting publications that the cursor remembers as evidence.
pub const MAX_CONFLICTS: usize = 256;

/// Suspended principals that hold no role.
pub const MAX_SUSPENDED_OUTSIDERS: usize = 4_000;

/// Sources of venue quotes, markets of one batch (row 0702), expected interval of a venue's poll (P6.1.3), and how long
/// a source may be without a good batch before it alerts and before its markets halt (P6.7.4).
pub const MAX_VENUE_SOURCES: usize = 16;
pub const MAX_VENUE_BATCH: u32 = 1_000;
pub const VENUE_POLL_NS: i64 = 60 * SECOND_NS;
pub const VENUE_ALERT_NS: i64 = 180 * SECOND_NS;
pub const VENUE_BREAKER_NS: i64 = 300 * SECOND_NS;

/// Governance (P14).
pub const MAX_OPEN_ACTIONS: usize = 10;
/// Ended actions that late commands still get an answer about.
pub const MAX_CLOSED_ACTIONS: usize = 64;
pub const ACTION_WINDOW_NS: i64 = 7 * DAY_NS;
pub const MAX_APPROVALS: usize = 8;
pub const MAX_OFFERS: usize = 64;
pub const OFFER_LAPSE_NS: i64 = 7 * DAY_NS;
pub const MAX_SUITABILITY_NS: i64 = 365 * DAY_NS;

/// Extremes that a breaker's price window keeps at most (P7.2).
pub const MAX_WINDOW_SAMPLES: usize = 4_096;
/// Accounts that B4 tells apart within its window; above its largest threshold.
pub const MAX_LIQUIDATED_ACCOUNTS: usize = 1_024;
/// Pauses that wait for their second person.
pub const MAX_PAUSE_REQUESTS: usize = 64;
/// Markets whose oracle breaker one command handles.
pub const FEED_MARKETS_PER_STEP: usize = 16;
/// Markets whose part of the platform's mean move one Tick looks at again.
pub const WEIGHED_MARKETS_PER_TICK: u32 = 8;
/// Price levels that one command of a call auction looks at.
pub const AUCTION_LEVELS_PER_COMMAND: u32 = 128;
/// Longest FREEZE (P7.5).
pub const MAX_FREEZE_NS: i64 = DAY_NS;
/// Call auction and probation behind a halt (P7.4).
pub const AUCTION_NS: i64 = 30 * SECOND_NS;
pub const PROBATION_NS: i64 = 60 * SECOND_NS;
/// How long a breaker whose condition does not hold waits before it looks again.
pub const BREAKER_RECHECK_NS: i64 = 10 * SECOND_NS;
/// Width of the call auction's band on each side of the reference (P3.7); of outcome markets absolute.
pub const AUCTION_BAND_BP: u32 = 1_000;

/// Resolution of outcome markets (P15).
pub const MAX_OUTCOMES: u8 = OUTCOMES.1;
/// Rounds 0 to 5 (P15.2): at most one dispute each.
pub const RESOLUTION_ROUNDS: u8 = 6;
/// Outcomes that a command's explicit payout vector names.
pub const PACKED_PAYOUTS: usize = 6;
/// Arbiters that agree, votes of one round, and the time for them (P15.3).
pub const ARBITER_QUORUM: usize = 3;
pub const ARBITER_VOTES: usize = 5;
pub const ARBITER_WINDOW_NS: i64 = 48 * HOUR_NS;
/// Who held a market within this time has no vote in it (P15.3); how many have left which market that are remembered.
pub const ARBITER_BAR_NS: i64 = 7 * DAY_NS;
pub const MAX_EXITS: usize = 1_000_000;
/// Seconds within which a jump of a price triggers early (P15.5), and books whose moves are watched at once.
pub const EARLY_WINDOW_S: i64 = 60;
pub const MAX_EARLY_WINDOWS: usize = 4_096;
/// From FINAL to the moment from which a market may be pruned (P1.6.5).
pub const PRUNE_AFTER_NS: i64 = 48 * HOUR_NS;
/// Items of evidence of one resolution (P15.4).
pub const MAX_EVIDENCE: u8 = 100;
/// Largest bond that exposure alone can ask for, in micro-units (P15.6).
pub const MAX_EXPOSURE_BOND: i64 = 100_000_000_000;

/// Coverage and vault (P9): verse roots and asset classes that correlate, value beyond which no deposit is taken,
/// open exit tickets, cohorts that one look serves.
pub const MAX_COVERAGE_BUCKETS: usize = 2_048;
pub const VAULT_NAV_CAP: i64 = 1_000_000_000_000_000;
pub const MAX_VAULT_HOLDERS: usize = 1_000_000;
pub const MAX_VAULT_TICKETS: usize = 100_000;
pub const COHORTS_PER_LOOK: usize = 4;
/// Notice before an exit, and the share of an epoch's first value that may leave within it (P9.9).
pub const VAULT_NOTICE_NS: i64 = DAY_NS;
pub const VAULT_OUTFLOW_PCT: i64 = 20;
/// The token (P11): stakes of one account, assets in which stakers are rewarded, vesting schedules.
pub const MAX_STAKE_LOTS: usize = 64;
pub const MAX_REWARD_ASSETS: usize = 4;
/// Books whose makers a season rewards, accounts with a score in one of them, pairs of them that traded (P11.4).
pub const MAX_REWARDED_BOOKS: usize = 64;
pub const MAX_MAKERS_PER_BOOK: usize = 512;
pub const MAX_REWARD_PAIRS: usize = 256;
/// Distance from the middle that still counts, least size of a side and of a rewarded fill in micro-quote, and the time
/// between two rewarded fills of one account in one book.
pub const REWARD_BAND_BP: u32 = 50;
pub const REWARD_LEAST: i64 = 100_000_000;
pub const REWARD_PAUSE_NS: i64 = 60 * SECOND_NS;
/// Orders of one side that a sample looks at; and orders, accounts and scores that one command handles.
pub const SAMPLED_ORDERS: usize = 512;
pub const SAMPLED_PER_COMMAND: usize = 48;
pub const COUNTED_PER_COMMAND: usize = 24;
pub const REWARDED_PER_COMMAND: usize = 8;
/// How long deposits of the vault earn units × time of the bootstrap reward (P9.11): 180 days from the first one on.
pub const BOOTSTRAP_S: i64 = 15_552_000;
pub const MAX_VESTING_SCHEDULES: usize = 65_536;
/// A vesting schedule may start this far in the future.
pub const MAX_VESTING_DELAY_NS: i64 = 365 * DAY_NS;

/// Accounts whose volume of 30 days is kept (P8.4), and records that a new one looks at for an idle one.
pub const MAX_VOLUME_ACCOUNTS: usize = 65_536;
pub const VOLUME_RECLAIM_LOOKS: u32 = 16;
/// Books with an elastic fee whose volatility and depth are kept (P8.3), books whose depth one Tick measures, and levels
/// of each side that it looks at.
pub const MAX_ADJUSTED_BOOKS: usize = 65_536;
pub const DEPTHS_PER_TICK: usize = 2;
/// Micro-units of the settlement asset that a purchase of the token waits for, and the most that one spends (P8.8).
pub const BUYBACK_LEAST: i64 = 1_000_000;
pub const BUYBACK_MOST: i64 = 10_000_000_000;
pub const ADJUSTED_DEPTH_LEVELS: u32 = 32;

/// Verses (P15.8): all of them, levels of a tree, verses directly below one.
pub const MAX_VERSES: usize = 1_024;
pub const MAX_VERSE_DEPTH: u8 = 6;
pub const MAX_VERSE_CHILDREN: u8 = 64;
/// Of one command that halts a verse or ends its halt: markets that it looks at, and pauses that it changes.
pub const VERSE_LINKS_PER_STEP: u32 = 64;
pub const VERSE_PAUSES_PER_STEP: u32 = 12;
/// Smallest and largest amounts of one swap, and funding of a new pool, in micro-quote (P10.1, P10.2.4).
pub const MIN_SWAP: i64 = 1_000;
pub const MAX_SWAP: i64 = 1_000_000_000_000;
pub const MIN_LMSR_FUNDING: i64 = 100_000_000;
pub const MIN_PM_FUNDING: i64 = 50_000_000;
/// Largest change of a probability by one swap, unless the caller raises it, and how far.
pub const DEFAULT_IMPACT_BP: u16 = 500;
pub const MAX_IMPACT_BP: u16 = 2_000;
/// How long new liquidity stays (row 0502).
pub const LIQUIDITY_LOCK_NS: i64 = DAY_NS;
/// Funding of a distribution market (P10.1), and claims of one sub-account in one of them (row 0503).
pub const MIN_DISTRIBUTION_FUNDING: i64 = 200_000_000;
pub const MAX_DISTRIBUTION_CLAIMS: usize = 32;
/// Providers of all pools.
pub const MAX_POOL_PROVIDERS: usize = 1_000_000;

/// Leveraged outcome positions of the shard and of one account (P4.6): a pledge is a sub-account of its owner.
pub const MAX_LOANS: usize = 16_384;
pub const MAX_LOANS_PER_ACCOUNT: usize = 50;
/// How often a market with such positions is looked at, which is also how long one sale follows the other, and how long a
/// position that finds no buyer waits.
pub const LOAN_LOOK_NS: i64 = SECOND_NS;
pub const LOAN_RETRY_NS: i64 = 5 * SECOND_NS;
/// Of one look: pledges whose money is shared out, positions that the market pays, and positions that are
/// valued. Loans that one due item charges with interest.
pub const LOANS_SETTLED_PER_LOOK: usize = 2;
pub const LOANS_PAID_PER_LOOK: usize = 1;
pub const LOANS_VALUED_PER_LOOK: usize = 16;
pub const LOANS_SEEN_PER_LEG: usize = 64;
/// Of which this many may wait, for a buyer or because their group is sound (P4.6.6).
pub const LOANS_PASSED_PER_LEG: usize = 1_024;
/// Positions of a market that may be in groups, and how many groups a look values, apart from the other positions: no
/// credited position hides another one, and each group gets its turn.
pub const MAX_GROUPED_PER_MARKET: usize = 512;
pub const GROUPS_VALUED_PER_LOOK: usize = 8;
const _: () = assert!(MAX_GROUPED_PER_MARKET < LOANS_PASSED_PER_LEG);
pub const LOANS_CHARGED_PER_ITEM: usize = 4;
/// Instructions of these, at most.
pub const LOAN_LOOK_EFFORT: u32 = 1_000;
pub const LOAN_MARK_EFFORT: u32 = 200;
pub const LOAN_VALUE_EFFORT: u32 = 300;
pub const LOAN_SETTLE_EFFORT: u32 = 2_500;
pub const LOAN_CHARGE_EFFORT: u32 = 1_200;
/// Pricing a liquidation's sale into a pool, and the sizes that are tried for one position, each a quarter of the one
/// before, and by one look.
pub const LOAN_POOL_EFFORT: u32 = 6_000;
pub const LOAN_POOL_TRIES: u32 = 4;
pub const LOAN_POOL_TRIES_PER_LOOK: u32 = 8;
/// After so long without a fill insurance may take over what is under water (P5.6), as in leveraged markets: at most this
/// part of the fund and this much, in micro-units.
pub const LOAN_TAKEOVER_NS: i64 = 5 * SECOND_NS;
pub const LOAN_INSURANCE_PCT: i64 = 20;
pub const LOAN_INSURANCE_LIMIT: i64 = 1_000_000_000_000;

/// Chains (P15.9): steps of one, open ones of an account and of the shard, verses that those of an account may touch.
pub const MAX_CHAIN_STEPS: usize = 3;
pub const MAX_CHAINS_PER_ACCOUNT: usize = 5;
pub const MAX_CHAINS: usize = 65_536;
pub const MAX_CHAIN_VERSES: usize = 3;
/// Fills of a chain's order in a book: what one command's effort admits.
pub const CHAIN_BOOK_FILLS: u32 = EFFORT_PER_COMMAND / OUTCOME_FILL_EFFORT;
/// Least base in micro-units, and the largest correlation of two markets of a chain in ppm.
pub const MIN_CHAIN_BASE: i64 = 1_000_000;
pub const MAX_CHAIN_CORRELATION_PPM: u32 = 500_000;
/// Fees of a chain whose markets lie in at most one verse, of another one, and of a flash loan, in bp (P8.10).
pub const CHAIN_FEE_BP: u32 = 50;
pub const CROSS_VERSE_FEE_BP: u32 = 100;
pub const FLASH_FEE_BP: u32 = 200;
/// Effective leverage by verse depth 0, 1, 2 and deeper, in hundredths.
pub const CHAIN_LEVERAGE_E2: [u32; 4] = [10_000, 5_000, 2_500, 1_000];
/// Verse credits of the shard and of one account (P15.10): a credit is a sub-account of its owner. Legs of one command, and
/// markets in which one credit has claims.
pub const MAX_CREDITS: usize = 65_536;
pub const MAX_CREDITS_PER_ACCOUNT: usize = 16;
pub const MAX_CREDIT_LEGS: usize = 32;
/// Fills of all legs of one command, and resting orders that planning one leg looks at: fills and expired ones.
pub const CREDIT_FILLS: u32 = 48;
pub const MAX_CREDIT_VISITS: u32 = CREDIT_FILLS + CANCELS_PER_COMMAND;
/// Instructions, at most: to check a leg, to accept an order, of a step that moves sets, and of each of its claims.
pub const CREDIT_LEG_EFFORT: u32 = 600;
pub const CREDIT_ORDER_EFFORT: u32 = 1_500;
pub const CREDIT_STEP_EFFORT: u32 = 1_000;
pub const CREDIT_CLAIM_EFFORT: u32 = 200;

/// Dark midpoint cross (P16): resting orders of one side of a book, of an account, and of the shard; their least notional
/// in micro-quote; rounds of an allocation; crosses whose print is still to come, and how long it takes.
pub const MAX_DARK_PER_SIDE: usize = 32;
pub const MAX_DARK_PER_ACCOUNT: usize = 16;
pub const MAX_DARK_ORDERS: usize = 4_096;
pub const MIN_DARK_NOTIONAL: i64 = 10_000_000_000;
pub const DARK_ROUNDS: u32 = 32;
pub const MAX_DARK_PRINTS: usize = 65_536;
pub const DARK_PRINT_DELAY_NS: i64 = 60 * SECOND_NS;
/// Widest spread of the lit book; of outcome markets absolute.
pub const DARK_SPREAD_BP: u16 = 500;
/// Instructions of a round of allocation, of a fill and of a cancel, at most.
pub const DARK_ROUND_EFFORT: u32 = 7_000;
pub const DARK_FILL_EFFORT: u32 = 5_000;
pub const DARK_CANCEL_EFFORT: u32 = 1_500;
