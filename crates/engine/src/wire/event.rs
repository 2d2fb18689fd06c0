//! Results, events and postings: the one way out (protocol P2.2.1, P1.5.5).

use super::record::Record;
use crate::record;

pub use super::chains::{ChainBody, ChainChargeBody, ChainEndBody, ChainStepBody, FlashBody};
pub use super::credit::{credit_cause, CreditBody, CreditLegs, CreditMoneyBody};
pub use super::dark::{
    DarkAcceptedBody, DarkCancelledBody, DarkCrossedBody, DarkFilledBody, DarkPrintedBody,
};
pub use super::detection::{CaseBody, DetectionBody, OwnerLinkBody, SlowedBody};
pub use super::fees::{BurnBody, BuybackBody, FeeDepthBody, FeeLoadBody};
pub use super::flow::RateClassBody;
pub use super::governance::{ActionBody, ActionPayloadBody, ActionStateBody, OfferBody, ParameterBody};
pub use super::halts::{AuctionBody, BreakerBody, BreakerReasonBody, BreakerSettingsBody, CoverageBody};
pub use super::keepers::{
    KeeperBody, KeeperDutyBody, KeeperScoreBody, KeeperStakeBody, LargeActionBody, RewardBody, SlashBody,
};
pub use super::leverage::{LoanBridgedBody, OutcomeMarkBody, OutcomeMarksBody};
pub use super::liquidation::{
    liquidation_end, loss_stage, AdlBody, BackstopBody, CascadeBody, FundBody, HealthBody,
    LiquidationEndBody, LiquidationFlagBody, LiquidationStartBody, LiquidationStepBody, LossCoveredBody,
    LossSocialisedBody,
};
pub use super::listing::{early_cause, EarlyBody, ListingBody, ListingEndBody};
pub use super::loan::{
    loan_cause, InterestIndexBody, LoanBody, LoanInterestBody, LoanLiquidatedBody, LoanLossBody,
    LoanMovedBody,
};
pub use super::loan_pool::LoanSwappedBody;
pub use super::makers::{
    BootstrapClaimBody, LaunchGrantBody, MakerRewardedBody, RewardHourBody, RewardedBody,
};
pub use super::oracle::{
    FeedBody, FeedSourceBody, FeedStateBody, IndexBody, OverrideBody, OverridePendingBody, SourceBody,
};
pub use super::orders::{
    link_kind, resize_cause, FiredBody, IcebergBody, LinkBody, ResizeBody, SliceBody, TriggerBody, TwapBody,
};
pub use super::outcome::{claims_cause, ClaimsBody, SetBody};
pub use super::perpetual::{
    funding_skip, position_cause, AmountBody, FundingBody, MarkBody, MarketRiskBody, PositionBody,
    SuitabilityBody,
};
pub use super::pool::{
    DistributionBody, DistributionMoveBody, DistributionPaidBody, LiquidityBody, PoolBody, RescaleBody,
    SwapBody,
};
pub use super::resolution::{
    BondBody, ClaimBody, DecisionBody, FinalBody, PayoutBody, PrunedBody, RedeemedBody, SweptBody, VoteBody,
};
pub use super::sets::SetFilledBody;
pub use super::token::{RewardsBody, RewardsSharedBody, SeasonBody, StakeBody, TokenIssueBody, VestingBody};
pub use super::venue::{VenueBatchBody, VenueLinkBody, VenueOutageBody, VenueQuoteBody, VenueRefreshBody};
pub use super::verses::{VerseBody, VerseHaltBody, VerseLinkBody, VerseResolvedBody, VerseResumeBody};

pub use super::vault::{
    CoverageStateBody, FeeBody, LeverageCapBody, RiskBody, VaultCohortBody, VaultDepositBody, VaultEpochBody,
    VaultExitBody, VaultPaidBody, WorstCaseBody,
};
pub use super::vault_terms::{InsuranceWeekBody, ManagementFeeBody};

pub const RESULT_TAG: u8 = 0x81;
pub const EVENT_TAG: u8 = 0x82;
pub const EVENT_VERSION: u8 = 1;
/// Bytes of one event.
pub const EVENT_SIZE: usize = 128;

record! {
    /// One per command.
    CommandResult: 48 {
        seq: u64,
        /// 0 when accepted, else a code of the error catalogue.
        code: u16,
        accepted: u8,
        /// 1: the stored answer of an earlier command with the same key and body.
        duplicate: u8,
        event_count: u32,
        /// Index of the first event inside the batch.
        first_event: u32,
        reserved: u32,
        /// Handle that the command created: order, market, account, asset, ticket or token.
        value: u64,
        /// The violated bound of a reject (0 where none applies).
        bound: i64,
        /// The value that violated it.
        given: i64,
    }
}

record! {
    /// An event; `body` is one of the bodies below, zero behind it.
    Event: 128 {
        tag: u8,
        version: u8,
        length: u16,
        flags: u32,
        seq: u64,
        time_ns: i64,
        kind: u16,
        /// Position among the events of its command.
        index: u16,
        posting_count: u16,
        shard: u16,
        /// Index of the first posting inside the batch.
        first_posting: u32,
        market: u32,
        account: u32,
        /// Sub-account of `account`.
        sub: u8,
        reserved: u8,
        reserved2: u16,
        order: u64,
        body: [u8; 72],
    }
}

impl Event {
    /// Reads the body as `B`.
    #[inline]
    pub fn body_as<B: Record>(&self) -> B {
        bytemuck::pod_read_unaligned(&self.body[..B::SIZE])
    }
}

record! {
    /// A signed movement on one balance line; per event and asset they sum to zero.
    Posting: 16 {
        /// User lines: account handle. System lines: key (market or pool handle) or 0.
        owner: u32,
        asset: u16,
        line: u8,
        sub: u8,
        amount: i64,
    }
}

/// `market` of events that concern none.
pub const NO_MARKET: u32 = u32::MAX;
/// `account` of events that concern none.
pub const NO_ACCOUNT: u32 = u32::MAX;

macro_rules! event_kinds {
    ($( $name:ident = $code:literal $body:ty; )*) => {
        /// Event kinds; append-only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum EventKind { $($name = $code),* }

        impl EventKind {
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name),*];
            pub const fn from_code(code: u16) -> Option<EventKind> {
                match code { $($code => Some(EventKind::$name),)* _ => None }
            }
            pub const fn name(self) -> &'static str {
                match self { $(EventKind::$name => stringify!($name)),* }
            }
            pub const fn body_fields(self) -> &'static [super::record::Field] {
                match self { $(EventKind::$name => <$body as Record>::FIELDS),* }
            }
            /// Name of the body record.
            pub const fn body_name(self) -> &'static str {
                match self { $(EventKind::$name => <$body as Record>::NAME),* }
            }
            /// Bytes of the body in use.
            pub const fn body_size(self) -> usize {
                match self { $(EventKind::$name => <$body as Record>::SIZE),* }
            }
        }
    };
}

event_kinds! {
    MarketCreated = 0x0101 MarketBody;
    MarketUpdated = 0x0102 MarketBody;
    PauseSet = 0x0103 PauseBody;
    ResumePending = 0x0104 ResumeBody;
    Resumed = 0x0105 ResumeBody;
    MarketClosing = 0x0106 StatusBody;
    MarketClosed = 0x0107 StatusBody;
    MarketActivated = 0x0108 StatusBody;
    MarketIdentified = 0x0109 IdentityBody;
    MarketRiskSet = 0x010A MarketRiskBody;
    MarketSettled = 0x010B StatusBody;
    MarketPruned = 0x010C PrunedBody;
    BreakerTripped = 0x0120 BreakerBody;
    BreakerReasoned = 0x0121 BreakerReasonBody;
    BreakerExtended = 0x0122 BreakerBody;
    BreakerHalfOpen = 0x0123 BreakerBody;
    BreakerClosed = 0x0124 BreakerBody;
    BreakerResumePending = 0x0125 BreakerBody;
    BreakerConfigured = 0x0126 BreakerSettingsBody;
    PausePending = 0x0127 PauseBody;
    AuctionStarted = 0x0128 AuctionBody;
    AuctionUncrossed = 0x0129 AuctionBody;
    AuctionEnded = 0x012A AuctionBody;
    CoverageShort = 0x012C CoverageBody;
    AssetRegistered = 0x0110 AssetBody;
    AssetUpdated = 0x0111 AssetBody;
    AccountOpened = 0x0201 AccountBody;
    SubAccountOpened = 0x0202 SubAccountBody;
    DelegateSet = 0x0203 DelegateBody;
    Deposited = 0x0204 CollateralBody;
    WithdrawalQueued = 0x0205 CollateralBody;
    WithdrawalReleased = 0x0206 CollateralBody;
    WithdrawalCancelled = 0x0207 CollateralBody;
    WithdrawalSettled = 0x0208 CollateralBody;
    WithdrawalReturned = 0x0209 CollateralBody;
    Transferred = 0x020A CollateralBody;
    AddressListed = 0x020B AddressBody;
    AddressUnlisted = 0x020C AddressBody;
    SuitabilitySet = 0x020D SuitabilityBody;
    WithdrawalRescheduled = 0x0210 CollateralBody;
    RateClassSet = 0x0211 RateClassBody;
    OrderAccepted = 0x0301 OrderBody;
    OrderRested = 0x0302 OrderBody;
    Trade = 0x0303 TradeBody;
    OrderCancelled = 0x0304 CancelBody;
    OrderReplaced = 0x0305 OrderBody;
    SelfTradePrevented = 0x0306 PreventedBody;
    CancelAllDone = 0x0307 CountBody;
    SwitchArmed = 0x0308 SwitchBody;
    SwitchDisarmed = 0x0309 SwitchBody;
    SwitchFired = 0x030A SwitchBody;
    TriggerPlaced = 0x0310 TriggerBody;
    TriggerFired = 0x0311 FiredBody;
    OrderActivated = 0x0312 OrderBody;
    IcebergShown = 0x0313 IcebergBody;
    TwapPlaced = 0x0314 TwapBody;
    SliceSent = 0x0315 SliceBody;
    SliceEnded = 0x0316 SliceBody;
    OrderLinked = 0x0317 LinkBody;
    OrderResized = 0x0318 ResizeBody;
    BatchApplied = 0x0319 CountBody;
    PositionChanged = 0x0401 PositionBody;
    PositionSettled = 0x0402 PositionBody;
    MarginAdjusted = 0x0403 AmountBody;
    InsuranceFunded = 0x0404 AmountBody;
    HealthWarning = 0x0405 HealthBody;
    LiquidationFlagged = 0x0406 LiquidationFlagBody;
    LiquidationStarted = 0x0407 LiquidationStartBody;
    LiquidationStepped = 0x0408 LiquidationStepBody;
    LossCovered = 0x040A LossCoveredBody;
    BackstopTaken = 0x040B BackstopBody;
    AdlExecuted = 0x040C AdlBody;
    LossSocialised = 0x040D LossSocialisedBody;
    LiquidationEnded = 0x040E LiquidationEndBody;
    CascadeChanged = 0x040F CascadeBody;
    FundSettled = 0x0410 FundBody;
    LoanOpened = 0x0420 LoanBody;
    LoanMoved = 0x0421 LoanMovedBody;
    LoanCharged = 0x0422 LoanInterestBody;
    InterestIndexMoved = 0x0423 InterestIndexBody;
    LoanLiquidated = 0x0424 LoanLiquidatedBody;
    LoanLossCovered = 0x0425 LoanLossBody;
    OutcomeMarked = 0x0426 OutcomeMarkBody;
    OutcomeMarksSet = 0x0427 OutcomeMarksBody;
    LoanBridged = 0x0428 LoanBridgedBody;
    LoanSwapped = 0x0429 LoanSwappedBody;
    PoolCreated = 0x0501 PoolBody;
    AmmSwapped = 0x0502 SwapBody;
    LiquidityAdded = 0x0503 LiquidityBody;
    LiquidityRemoved = 0x0504 LiquidityBody;
    PoolRescaled = 0x0505 RescaleBody;
    LiquidityCollected = 0x0506 LiquidityBody;
    DistributionCreated = 0x0507 DistributionBody;
    DistributionMoved = 0x0508 DistributionMoveBody;
    DistributionPaid = 0x0509 DistributionPaidBody;
    SetMinted = 0x0601 SetBody;
    SetMerged = 0x0602 SetBody;
    ClaimsMoved = 0x0604 ClaimsBody;
    SetFilled = 0x0605 SetFilledBody;
    MarkUpdated = 0x0701 MarkBody;
    SourceUpdated = 0x0710 SourceBody;
    IndexUpdated = 0x0711 IndexBody;
    FeedStateChanged = 0x0712 FeedStateBody;
    FeedChanged = 0x0713 FeedBody;
    FeedSourceSet = 0x0714 FeedSourceBody;
    FeedOverridePending = 0x0715 OverridePendingBody;
    FeedOverridden = 0x0716 OverrideBody;
    FeedOverrideEnded = 0x0717 OverrideBody;
    VenueLinked = 0x0720 VenueLinkBody;
    VenueQuoted = 0x0721 VenueQuoteBody;
    VenueRefreshed = 0x0722 VenueRefreshBody;
    VenueBatchApplied = 0x0723 VenueBatchBody;
    VenueOutage = 0x0724 VenueOutageBody;
    ManipulationAlert = 0x0740 DetectionBody;
    CaseOpened = 0x0741 CaseBody;
    AccountSlowed = 0x0742 SlowedBody;
    AccountFreed = 0x0743 SlowedBody;
    CaseClosed = 0x0744 CaseBody;
    OwnersLinked = 0x0745 OwnerLinkBody;
    FundingIndexUpdated = 0x0901 FundingBody;
    KeeperRegistered = 0x0801 KeeperBody;
    KeeperRemoved = 0x0802 KeeperBody;
    KeeperStakeChanged = 0x0803 KeeperStakeBody;
    KeeperScored = 0x0804 KeeperScoreBody;
    KeeperSuspended = 0x0805 KeeperScoreBody;
    KeeperReinstated = 0x0806 KeeperScoreBody;
    KeeperReviewed = 0x0807 KeeperScoreBody;
    KeeperIdle = 0x0808 KeeperScoreBody;
    KeeperDutyMissed = 0x0809 KeeperDutyBody;
    KeeperActionPending = 0x080A LargeActionBody;
    KeeperActionConfirmed = 0x080B LargeActionBody;
    KeeperActionLapsed = 0x080C LargeActionBody;
    KeeperRewarded = 0x080D RewardBody;
    SlashSigned = 0x0810 SlashBody;
    SlashLapsed = 0x0811 SlashBody;
    SlashOpened = 0x0812 SlashBody;
    SlashAppealed = 0x0813 SlashBody;
    SlashReversed = 0x0814 SlashBody;
    SlashConfirmed = 0x0815 SlashBody;
    KeeperSlashed = 0x0816 SlashBody;
    TokenIssued = 0x0A01 TokenIssueBody;
    Staked = 0x0A02 StakeBody;
    Unstaked = 0x0A03 StakeBody;
    StakeReweighed = 0x0A04 StakeBody;
    RewardsShared = 0x0A05 RewardsSharedBody;
    RewardsClaimed = 0x0A06 RewardsBody;
    VestingAllocated = 0x0A07 VestingBody;
    VestedClaimed = 0x0A08 VestingBody;
    VestingRevoked = 0x0A09 VestingBody;
    SeasonOpened = 0x0A0A SeasonBody;
    SeasonSettled = 0x0A0B SeasonBody;
    MarketRewarded = 0x0A10 RewardedBody;
    RewardHourClosed = 0x0A11 RewardHourBody;
    MakerRewarded = 0x0A12 MakerRewardedBody;
    MakerRewardsClaimed = 0x0A13 RewardsBody;
    LaunchGranted = 0x0A14 LaunchGrantBody;
    BootstrapClaimed = 0x0A15 BootstrapClaimBody;
    ResolutionProposed = 0x0B01 ClaimBody;
    ResolutionDisputed = 0x0B02 ClaimBody;
    PayoutShown = 0x0B03 PayoutBody;
    VoteCast = 0x0B04 VoteBody;
    DisputeDecided = 0x0B05 DecisionBody;
    ResolutionFinal = 0x0B06 FinalBody;
    BondSettled = 0x0B07 BondBody;
    Redeemed = 0x0B08 RedeemedBody;
    EscrowSwept = 0x0B09 SweptBody;
    MarketResolving = 0x0B0A StatusBody;
    MarketResolved = 0x0B0B StatusBody;
    ListingBonded = 0x0B0C ListingBody;
    ListingEnded = 0x0B0D ListingEndBody;
    EarlyTriggered = 0x0B0E EarlyBody;
    RoleGranted = 0x0C01 RoleBody;
    RoleRevoked = 0x0C02 RoleBody;
    PrincipalSuspended = 0x0C03 RoleBody;
    ReinstatePending = 0x0C04 RoleBody;
    PrincipalReinstated = 0x0C05 RoleBody;
    AuthorityOffered = 0x0C10 OfferBody;
    AuthorityTransferred = 0x0C11 OfferBody;
    OfferWithdrawn = 0x0C12 OfferBody;
    OfferLapsed = 0x0C13 OfferBody;
    AuthorityRenounced = 0x0C14 OfferBody;
    ParameterSet = 0x0C18 ParameterBody;
    ActionProposed = 0x0C20 ActionBody;
    ActionPayload = 0x0C21 ActionPayloadBody;
    ActionApproved = 0x0C22 ActionStateBody;
    ApprovalWithdrawn = 0x0C23 ActionStateBody;
    ActionCancelled = 0x0C24 ActionStateBody;
    ActionExecuted = 0x0C25 ActionStateBody;
    ActionExpired = 0x0C26 ActionStateBody;
    VerseCreated = 0x0E01 VerseBody;
    VerseMoved = 0x0E02 VerseLinkBody;
    CreditMoved = 0x0E20 CreditMoneyBody;
    CreditLocked = 0x0E21 CreditBody;
    CreditReleased = 0x0E22 CreditBody;
    CreditStaged = 0x0E23 CreditLegs;
    MarketLinked = 0x0E03 VerseLinkBody;
    VerseHalted = 0x0E04 VerseHaltBody;
    VerseResumePending = 0x0E05 VerseResumeBody;
    VerseResumed = 0x0E06 VerseResumeBody;
    VerseResolved = 0x0E07 VerseResolvedBody;
    ChainOpened = 0x0E10 ChainBody;
    ChainStepped = 0x0E11 ChainStepBody;
    ChainCharged = 0x0E12 ChainChargeBody;
    ChainUnwound = 0x0E13 ChainStepBody;
    ChainClosed = 0x0E14 ChainEndBody;
    FlashBorrowed = 0x0E15 FlashBody;
    FlashRepaid = 0x0E16 FlashBody;
    VaultDeposited = 0x0D01 VaultDepositBody;
    VaultExitQueued = 0x0D02 VaultExitBody;
    VaultExitServed = 0x0D03 VaultPaidBody;
    VaultCohortServed = 0x0D04 VaultCohortBody;
    VaultEpochStarted = 0x0D05 VaultEpochBody;
    WorstCaseChanged = 0x0D06 WorstCaseBody;
    RiskUpdated = 0x0D07 RiskBody;
    CoverageStateChanged = 0x0D08 CoverageStateBody;
    StageChanged = 0x0D09 CoverageStateBody;
    LeverageCapChanged = 0x0D0A LeverageCapBody;
    FeeCharged = 0x0D0B FeeBody;
    FeeDepthChanged = 0x0D0C FeeDepthBody;
    FeeLoadChanged = 0x0D0D FeeLoadBody;
    BuybackFunded = 0x0D0E BuybackBody;
    TokensBurned = 0x0D0F BurnBody;
    ManagementFeeTaken = 0x0D13 ManagementFeeBody;
    InsuranceWeekEnded = 0x0D14 InsuranceWeekBody;
    DarkAccepted = 0x0F01 DarkAcceptedBody;
    DarkCancelled = 0x0F02 DarkCancelledBody;
    DarkCrossed = 0x0F03 DarkCrossedBody;
    DarkFilled = 0x0F04 DarkFilledBody;
    DarkPrinted = 0x0F05 DarkPrintedBody;
    ContinuationRequired = 0xFF01 TokenBody;
    TimeAdvanced = 0xFF02 TimeBody;
    StateHashed = 0xFF03 HashBody;
    SnapshotTaken = 0xFF04 HashBody;
    RulesActivated = 0xFF05 TokenBody;
}

record! {
    /// The market's parameters after the event.
    MarketBody: 72 {
        market_kind: u8,
        status: u8,
        base: u16,
        quote: u16,
        market_flags: u16,
        tick_size: i64,
        lot_size: i64,
        /// Micro-quote per tick and lot.
        unit: i64,
        settle_time_ns: i64,
        taker_fee_e6bp: u32,
        maker_fee_e6bp: u32,
        band_bp: u16,
        slippage_bp: u16,
        config_version: u32,
        min_notional: i64,
        max_notional: i64,
    }
}

record! {
    /// The id of a market or other derived record and the nonce it derives from.
    IdentityBody: 48 { id: [u8; 32], nonce: u64, outcome_count: u8, reserved: u8, reserved2: u16, feed: u32 }
}

record! {
    /// A pause: level 0 NONE with a mask, 1 PARTIAL, 2 FULL, 3 FREEZE. Of PausePending `until_ns` is the last moment
    /// of the second person.
    PauseBody: 64 { level: u8, categories: u8, reserved: u16, pause_id: u32, until_ns: i64, reason: [u8; 48] }
}

record! {
    ResumeBody: 48 { pause_id: u32, reserved: u32, until_ns: i64, principal: [u8; 32] }
}

record! {
    StatusBody: 8 { status: u8, previous: u8, reserved: u16, reserved2: u32 }
}

record! {
    AssetBody: 56 {
        symbol: [u8; 16],
        asset: u16,
        reserved: u16,
        reserved2: u32,
        initial_asset_bp: u16,
        maintenance_asset_bp: u16,
        initial_liability_bp: u16,
        maintenance_liability_bp: u16,
        deposit_cap: i64,
        /// Bits of `asset_flag`.
        asset_flags: u32,
        /// u32::MAX = none.
        feed: u32,
        collateral_cap: i64,
    }
}

record! {
    AccountBody: 64 { account_id: [u8; 32], owner_key: [u8; 32] }
}

record! {
    SubAccountBody: 8 { index: u8, margin_mode: u8, reserved: u16, reserved2: u32 }
}

record! {
    DelegateBody: 48 { key: [u8; 32], scopes: u32, reserved: u32, expiry_ns: i64 }
}

record! {
    /// Deposits, withdrawals, transfers. `reference` = external id or address hash.
    CollateralBody: 64 {
        asset: u16,
        to_sub: u8,
        reserved: u8,
        reserved2: u32,
        amount: i64,
        ticket: u64,
        eta_ns: i64,
        reference: [u8; 32],
    }
}

record! {
    AddressBody: 48 { asset: u16, reserved: u16, reserved2: u32, usable_from_ns: i64, address_hash: [u8; 32] }
}

record! {
    /// An order as it stands after the event.
    OrderBody: 72 {
        side: u8,
        order_type: u8,
        time_in_force: u8,
        self_trade_prevention: u8,
        order_flags: u16,
        outcome: u8,
        /// 1 when the order (rest) is in the book after this event.
        resting: u8,
        /// Limit, or the protective limit of a market order, in ticks.
        price: i64,
        total_lots: i64,
        remaining_lots: i64,
        expiry_ns: i64,
        /// Micro-units of `held` that secure the order.
        reserve: i64,
        /// Rank within the price level (lower first).
        priority: u64,
        client_key: [u8; 16],
    }
}

record! {
    /// A fill. The header names the taker's account and order.
    TradeBody: 72 {
        maker_order: u64,
        maker_account: u32,
        maker_sub: u8,
        /// Side of the taker.
        taker_side: u8,
        trade_kind: u8,
        outcome: u8,
        price: i64,
        lots: i64,
        /// Micro-quote.
        notional: i64,
        taker_fee: i64,
        maker_fee: i64,
        maker_remaining: i64,
        taker_remaining: i64,
    }
}

record! {
    CancelBody: 40 {
        reason: u8,
        side: u8,
        reserved: u16,
        reserved2: u32,
        price: i64,
        remaining_lots: i64,
        /// Micro-units returned from `held` to `free`.
        released: i64,
        filled_lots: i64,
    }
}

record! {
    /// Self-trade prevention by DECREMENT: both shrink, nothing trades.
    PreventedBody: 40 { maker_order: u64, lots: i64, maker_remaining: i64, taker_remaining: i64, price: i64 }
}

record! {
    CountBody: 8 { count: u64 }
}

record! {
    SwitchBody: 16 { deadline_ns: i64, window_s: u32, reserved: u32 }
}

record! {
    RoleBody: 48 { principal: [u8; 32], role: u8, reserved: u8, reserved2: u16, reserved3: u32, expiry_ns: i64 }
}

record! {
    TokenBody: 8 { token: u64 }
}

record! {
    TimeBody: 64 { previous_ns: i64, jump_ns: i64, reason: [u8; 48] }
}

record! {
    HashBody: 64 { state_hash: [u8; 32], cursor_hash: [u8; 32] }
}

/// Why an order left the book (P2.3.2).
pub mod cancel_reason {
    pub const USER: u8 = 1;
    pub const CANCEL_ALL: u8 = 2;
    pub const SWITCH: u8 = 3;
    pub const IOC: u8 = 4;
    pub const FOK: u8 = 5;
    pub const POST_ONLY: u8 = 6;
    pub const SELF_TRADE: u8 = 7;
    pub const REDUCE_ONLY: u8 = 8;
    pub const BAND: u8 = 9;
    pub const SLIPPAGE: u8 = 10;
    pub const MARGIN: u8 = 11;
    pub const LINKED: u8 = 12;
    pub const MARKET_CLOSED: u8 = 13;
    pub const LIQUIDATION: u8 = 14;
    pub const EXPIRY: u8 = 15;
    pub const TWAP_END: u8 = 16;

    /// Names in code order, starting with 1.
    pub const NAMES: [&str; 16] = [
        "user",
        "cancel_all",
        "switch",
        "ioc",
        "fok",
        "post_only",
        "self_trade",
        "reduce_only",
        "band",
        "slippage",
        "margin",
        "linked",
        "market_closed",
        "liquidation",
        "expiry",
        "twap_end",
    ];
}

/// Trade kinds of P3.9.
pub mod trade_kind {
    pub const TRANSFER: u8 = 0;
    pub const MINT: u8 = 1;
    pub const MERGE: u8 = 2;
    pub const PERP: u8 = 3;
    pub const AMM: u8 = 4;
    pub const DARK: u8 = 5;
    pub const LIQUIDATION: u8 = 6;
    pub const ADL: u8 = 7;
}
