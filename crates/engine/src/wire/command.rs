//! Commands: the one way in. A 120-byte envelope and a 72-byte payload per kind (protocol P2.1, P2.2).

use super::record::Record;
use crate::record;

pub use super::chains::{ChainStep, CloseChain, OpenChain};
pub use super::credit::{credit_release, CreditLegs, CreditMoney, ReleaseCredit};
pub use super::dark::{CancelDark, PlaceDark};
pub use super::detection::{CloseCase, LinkOwners};
pub use super::flow::SetRateClass;
pub use super::governance::*;
pub use super::halts::*;
pub use super::keepers::*;
pub use super::listing::ListMarket;
pub use super::loan::{CloseLeveraged, OpenLeveraged, RepayLoan};
pub use super::makers::{GrantLaunch, RewardMarket};
pub use super::oracle::*;
pub use super::orders::*;
pub use super::outcome::OneSet;
pub use super::perpetual::{
    AdjustMargin, ClosePosition, FundInsurance, Liquidate, OneMarket, SetSuitability, UpdateAsset,
    UpdateMarketRisk,
};
pub use super::pool::{CreatePool, PoolLiquidity, SwapAmm, TradeDistribution};
pub use super::resolution::{ClaimPayout, PruneMarket, VoteResolution};
pub use super::token::{
    AllocateVesting, ClaimRewards, OpenSeason, SettleSeason, StakeToken, UnstakeToken, VestingTarget,
};
pub use super::vault::{ClaimVaultExit, DepositVault, PublishRisk, RequestVaultExit};
pub use super::venue::{LinkVenue, PublishVenueBatch, RefreshVenue, VenueItem};
pub use super::verses::{CreateVerse, HaltVerse, LinkMarket, MoveVerse, ResumeVerse};

/// Tag of a command record (record tags 01–1D belong to the entities of P1.3.4; the log's own start at 80).
pub const COMMAND_TAG: u8 = 0x80;
/// Version of the command layout.
pub const COMMAND_VERSION: u8 = 1;
/// Bytes of one command.
pub const COMMAND_SIZE: usize = 192;
/// Bytes of the payload area.
pub const PAYLOAD_SIZE: usize = 72;
/// Bytes of a proposed command's payload.
pub const PROPOSAL_SIZE: usize = 64;
/// `market` value that means every market.
pub const ALL_MARKETS: u32 = u32::MAX;
/// `sub` or `side` value that means all.
pub const ALL: u8 = u8::MAX;

record! {
    /// The envelope of P2.1.1. `seq` and `time_ns` are stamped by the sequencer.
    Command: 192 {
        tag: u8,
        version: u8,
        /// 192; a larger value is kept for commands with an attachment.
        length: u16,
        flags: u32,
        /// Dense, +1 per command.
        seq: u64,
        /// Nanoseconds since the Unix epoch, never decreasing.
        time_ns: i64,
        kind: u16,
        shard: u16,
        /// Sub-account 0..127.
        sub: u8,
        /// Variant inside the kind, e.g. Tick or Continue of FF01.
        op: u8,
        reserved: u16,
        /// Authenticated public key of the sender.
        principal: [u8; 32],
        /// Derived id of the account acted on.
        account: [u8; 32],
        /// Idempotency key and client order id; zero only for cancels and SYSTEM.
        client_key: [u8; 16],
        /// Last moment at which the command may take effect; 0 = time + 60 s, at most time + 300 s.
        valid_until_ns: i64,
        payload: [u8; 72],
    }
}

impl Command {
    /// An envelope of this kind with every other field zero.
    pub fn new(kind: Kind) -> Self {
        let (kind, op) = kind.code();
        Command {
            tag: COMMAND_TAG,
            version: COMMAND_VERSION,
            length: COMMAND_SIZE as u16,
            kind,
            op,
            ..Self::zero()
        }
    }

    /// Made by the engine from an action that governance has approved.
    #[inline]
    pub(crate) fn is_governed(&self) -> bool {
        self.flags & internal::GOVERNED != 0
    }

    /// Only asks whether the command would be accepted: handlers return where nothing can fail any more.
    #[inline]
    pub(crate) fn is_trial(&self) -> bool {
        self.flags & internal::TRIAL != 0
    }

    /// Writes a payload; the bytes behind it stay zero.
    pub fn with<P: Record>(mut self, payload: &P) -> Self {
        self.payload = [0; PAYLOAD_SIZE];
        self.payload[..P::SIZE].copy_from_slice(payload.bytes());
        self
    }

    /// The payload area as `P`, where it lies.
    #[inline(always)]
    pub fn payload_ref<P: Record>(&self) -> &P {
        const { assert!(align_of::<P>() <= align_of::<Command>()) };
        bytemuck::from_bytes(&self.payload[..P::SIZE])
    }

    /// Reads the payload area as `P`.
    #[inline]
    pub fn payload_as<P: Record>(&self) -> P {
        bytemuck::pod_read_unaligned(&self.payload[..P::SIZE])
    }
}

macro_rules! kinds {
    ($( $(#[$meta:meta])* $name:ident = ($kind:literal, $op:literal) $payload:ty; )*) => {
        /// Command kinds: catalogue number (P2.2) and variant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $( $(#[$meta])* $name ),* }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            /// `(kind, op)` as written in the envelope.
            pub const fn code(self) -> (u16, u8) {
                match self { $(Kind::$name => ($kind, $op)),* }
            }

            #[inline]
            pub const fn from_code(kind: u16, op: u8) -> Option<Kind> {
                match (kind, op) { $(($kind, $op) => Some(Kind::$name),)* _ => None }
            }

            pub const fn name(self) -> &'static str {
                match self { $(Kind::$name => stringify!($name)),* }
            }

            /// Bytes of the payload in use; the rest of the area must be zero.
            #[inline]
            pub const fn payload_size(self) -> usize {
                match self { $(Kind::$name => <$payload as Record>::SIZE),* }
            }

            pub const fn payload_fields(self) -> &'static [super::record::Field] {
                match self { $(Kind::$name => <$payload as Record>::FIELDS),* }
            }

            /// Name of the payload record.
            pub const fn payload_name(self) -> &'static str {
                match self { $(Kind::$name => <$payload as Record>::NAME),* }
            }
        }
    };
}

kinds! {
    CreateMarket = (0x0101, 0) CreateMarket;
    ListMarket = (0x0101, 1) ListMarket;
    UpdateMarket = (0x0102, 0) UpdateMarket;
    UpdateMarketRisk = (0x0102, 1) UpdateMarketRisk;
    PauseMarket = (0x0103, 0) PauseMarket;
    ResumeMarket = (0x0104, 0) ResumeMarket;
    CloseMarket = (0x0105, 0) CloseMarket;
    SettleMarket = (0x0106, 0) OneMarket;
    PruneMarket = (0x0107, 0) PruneMarket;
    TripBreaker = (0x0108, 0) Breaker;
    CloseBreaker = (0x0108, 1) Breaker;
    ConfigureBreaker = (0x0108, 2) ConfigureBreaker;
    CreatePool = (0x0109, 0) CreatePool;
    RegisterAsset = (0x0110, 0) RegisterAsset;
    UpdateAsset = (0x0110, 1) UpdateAsset;
    OpenAccount = (0x0201, 0) OpenAccount;
    OpenSubAccount = (0x0202, 0) OpenSubAccount;
    SetDelegate = (0x0202, 1) SetDelegate;
    Deposit = (0x0203, 0) Deposit;
    RequestWithdrawal = (0x0204, 0) RequestWithdrawal;
    CancelWithdrawal = (0x0205, 0) CancelWithdrawal;
    ConfirmWithdrawal = (0x0206, 0) ConfirmWithdrawal;
    Transfer = (0x0207, 0) Transfer;
    ListAddress = (0x0208, 0) ListAddress;
    UnlistAddress = (0x0208, 1) ListAddress;
    SetSuitability = (0x0209, 0) SetSuitability;
    SetRateClass = (0x0209, 1) SetRateClass;
    PlaceOrder = (0x0301, 0) PlaceOrder;
    PlaceTwap = (0x0301, 1) PlaceTwap;
    PlaceBatch = (0x0302, 0) PlaceBatch;
    BatchItem = (0x0302, 1) PlaceOrder;
    CancelOrder = (0x0303, 0) CancelOrder;
    ReplaceOrder = (0x0304, 0) ReplaceOrder;
    CancelAll = (0x0305, 0) CancelAll;
    SetCancelAllAfter = (0x0306, 0) SetCancelAllAfter;
    ClosePosition = (0x0401, 0) ClosePosition;
    CloseLeveraged = (0x0401, 1) CloseLeveraged;
    OpenLeveraged = (0x0402, 0) OpenLeveraged;
    AdjustMargin = (0x0403, 0) AdjustMargin;
    RepayLoan = (0x0403, 1) RepayLoan;
    Liquidate = (0x0404, 0) Liquidate;
    CompleteLiquidation = (0x0405, 0) Liquidate;
    SwapAmm = (0x0501, 0) SwapAmm;
    AddLiquidity = (0x0502, 0) PoolLiquidity;
    RemoveLiquidity = (0x0502, 1) PoolLiquidity;
    CollectLiquidity = (0x0502, 2) PoolLiquidity;
    TradeDistribution = (0x0503, 0) TradeDistribution;
    MintSet = (0x0601, 0) OneSet;
    MergeSet = (0x0602, 0) OneSet;
    Redeem = (0x0603, 0) OneMarket;
    PublishPrice = (0x0701, 0) PublishPrice;
    PublishVenueBatch = (0x0702, 0) PublishVenueBatch;
    VenueItem = (0x0702, 1) VenueItem;
    RefreshVenue = (0x0702, 2) RefreshVenue;
    LinkVenue = (0x0702, 3) LinkVenue;
    RegisterFeed = (0x0703, 0) RegisterFeed;
    UpdateFeed = (0x0703, 1) RegisterFeed;
    SetFeedSource = (0x0703, 2) SetFeedSource;
    OverrideFeed = (0x0703, 3) OverrideFeed;
    LinkOwners = (0x0704, 0) LinkOwners;
    CloseCase = (0x0704, 1) CloseCase;
    PublishRisk = (0x0704, 2) PublishRisk;
    RegisterKeeper = (0x0801, 0) RegisterKeeper;
    RemoveKeeper = (0x0801, 1) KeeperTarget;
    ReinstateKeeper = (0x0801, 2) KeeperTarget;
    StakeKeeper = (0x0802, 0) KeeperStake;
    UnstakeKeeper = (0x0802, 1) KeeperStake;
    WithdrawKeeperStake = (0x0802, 2) KeeperStake;
    KeeperAct = (0x0803, 0) KeeperAct;
    SlashKeeper = (0x0804, 0) SlashKeeper;
    AppealSlash = (0x0805, 0) SlashAppeal;
    DecideAppeal = (0x0805, 1) SlashAppeal;
    CrankFunding = (0x0901, 0) OneMarket;
    StakeToken = (0x0A01, 0) StakeToken;
    UnstakeToken = (0x0A01, 1) UnstakeToken;
    ClaimRewards = (0x0A02, 0) ClaimRewards;
    ClaimVested = (0x0A03, 0) VestingTarget;
    RevokeVesting = (0x0A03, 1) VestingTarget;
    AllocateVesting = (0x0A03, 2) AllocateVesting;
    OpenSeason = (0x0A04, 0) OpenSeason;
    SettleSeason = (0x0A04, 1) SettleSeason;
    RewardMarket = (0x0A05, 0) RewardMarket;
    ClaimMakerRewards = (0x0A05, 1) Empty;
    GrantLaunch = (0x0A05, 2) GrantLaunch;
    ClaimBootstrap = (0x0A05, 3) Empty;
    ProposeResolution = (0x0B01, 0) ClaimPayout;
    DisputeResolution = (0x0B02, 0) ClaimPayout;
    VoteResolution = (0x0B03, 0) VoteResolution;
    FinaliseResolution = (0x0B04, 0) OneMarket;
    ProposeAction = (0x0C01, 0) ProposeAction;
    ApproveAction = (0x0C02, 0) OneAction;
    CancelAction = (0x0C02, 1) OneAction;
    ExecuteAction = (0x0C03, 0) OneAction;
    GrantRole = (0x0C04, 0) GrantRole;
    RevokeRole = (0x0C04, 1) GrantRole;
    SuspendPrincipal = (0x0C04, 2) SuspendPrincipal;
    ReinstatePrincipal = (0x0C04, 3) SuspendPrincipal;
    OfferAuthority = (0x0C05, 0) OfferAuthority;
    AcceptAuthority = (0x0C05, 1) OneOffer;
    WithdrawOffer = (0x0C05, 2) OneOffer;
    RenounceAuthority = (0x0C05, 3) RenounceAuthority;
    SetParameter = (0x0C06, 0) SetParameter;
    DepositVault = (0x0D01, 0) DepositVault;
    RequestVaultExit = (0x0D02, 0) RequestVaultExit;
    ClaimVaultExit = (0x0D02, 1) ClaimVaultExit;
    FundInsurance = (0x0D03, 0) FundInsurance;
    OpenChain = (0x0E01, 0) OpenChain;
    CloseChain = (0x0E01, 1) CloseChain;
    CreateVerse = (0x0E02, 0) CreateVerse;
    LinkMarket = (0x0E02, 1) LinkMarket;
    MoveVerse = (0x0E02, 2) MoveVerse;
    HaltVerse = (0x0E02, 3) HaltVerse;
    ResumeVerse = (0x0E02, 4) ResumeVerse;
    LockCredit = (0x0E03, 0) CreditLegs;
    ReleaseCredit = (0x0E03, 1) ReleaseCredit;
    DepositCredit = (0x0E03, 2) CreditMoney;
    WithdrawCredit = (0x0E03, 3) CreditMoney;
    StageCredit = (0x0E03, 4) CreditLegs;
    PlaceDark = (0x0F01, 0) PlaceDark;
    CancelDark = (0x0F01, 1) CancelDark;
    Tick = (0xFF01, 0) Empty;
    Continue = (0xFF01, 1) Continue;
    AdvanceTime = (0xFF01, 2) AdvanceTime;
    Snapshot = (0xFF01, 3) Empty;
    ActivateRules = (0xFF01, 4) ActivateRules;
    Checkpoint = (0xFF01, 5) Empty;
}

record! {
    /// A payload without fields.
    Empty: 0 {}
}

record! {
    /// 0101. Fees in 1e-6 bp, bands in bp, notionals in micro-quote.
    CreateMarket: 72 {
        /// Creator's nonce; the market id derives from (creator account, nonce).
        nonce: u64,
        market_kind: u8,
        outcome_count: u8,
        base: u16,
        quote: u16,
        market_flags: u16,
        /// Micro-quote per whole unit.
        tick_size: i64,
        /// Micro-base per lot.
        lot_size: i64,
        settle_time_ns: i64,
        feed: u32,
        band_bp: u16,
        slippage_bp: u16,
        taker_fee_e6bp: u32,
        maker_fee_e6bp: u32,
        min_notional: i64,
        max_notional: i64,
    }
}

record! {
    /// 0102. Bit i of `field_mask` selects the i-th of: band, slippage, taker fee, maker fee, min, max notional.
    UpdateMarket: 40 {
        market: u32,
        /// The market's configuration version that this change was written against.
        config_version: u32,
        field_mask: u32,
        band_bp: u16,
        slippage_bp: u16,
        taker_fee_e6bp: u32,
        maker_fee_e6bp: u32,
        min_notional: i64,
        max_notional: i64,
    }
}

record! {
    /// 0103. Level 0 NONE (only with a mask), 1 PARTIAL, 2 FULL, 3 FREEZE; categories: bits of
    /// `halts::matrix::category` that are stopped besides. `until_ns` at most 72 h ahead, of a FREEZE 24 h. FREEZE and a
    /// mask with LIQUIDATION (FULL only) take effect with the same command of a second EMERGENCY principal in 600 s.
    PauseMarket: 64 { market: u32, level: u8, categories: u8, reserved: u16, until_ns: i64, reason: [u8; 48] }
}

record! {
    /// 0104. Two RESUMER principals, neither the pauser.
    ResumeMarket: 8 { market: u32, pause_id: u32 }
}

record! {
    /// 0105.
    CloseMarket: 8 { market: u32, reserved: u32 }
}

record! {
    /// 0110. Symbol in ASCII, zero padded; weights in bp (P1.4.5).
    RegisterAsset: 40 {
        symbol: [u8; 16],
        initial_asset_bp: u16,
        maintenance_asset_bp: u16,
        initial_liability_bp: u16,
        maintenance_liability_bp: u16,
        /// Platform-wide cap of deposits in micro-units; 0 = no cap.
        deposit_cap: i64,
        /// Bits of `asset_flag`.
        asset_flags: u32,
        reserved: u32,
    }
}

record! {
    /// 0201.
    OpenAccount: 32 { owner_key: [u8; 32] }
}

record! {
    /// 0202/0. `margin_mode` 0 CROSS, 1 ISOLATED.
    OpenSubAccount: 8 { index: u8, margin_mode: u8, reserved: u16, reserved2: u32 }
}

record! {
    /// 0202/1. Scopes: 1 TRADE, 2 CANCEL, 4 TRANSFER_IN; 0 removes the delegate.
    SetDelegate: 48 { key: [u8; 32], scopes: u32, reserved: u32, expiry_ns: i64 }
}

record! {
    /// 0203. Amount in micro-units.
    Deposit: 48 { asset: u16, reserved: u16, reserved2: u32, amount: i64, external_id: [u8; 32] }
}

record! {
    /// 0204.
    RequestWithdrawal: 48 { asset: u16, reserved: u16, reserved2: u32, amount: i64, address_hash: [u8; 32] }
}

record! {
    /// 0205.
    CancelWithdrawal: 8 { ticket: u64 }
}

record! {
    /// 0206. `ok` 1 settled, 0 returned.
    ConfirmWithdrawal: 48 { ticket: u64, ok: u8, reserved: u8, reserved2: u16, reserved3: u32, external_id: [u8; 32] }
}

record! {
    /// 0207. From the envelope's sub-account to `to_sub` of the same owner.
    Transfer: 16 { to_sub: u8, reserved: u8, asset: u16, reserved2: u32, amount: i64 }
}

record! {
    /// 0208.
    ListAddress: 40 { asset: u16, reserved: u16, reserved2: u32, address_hash: [u8; 32] }
}

record! {
    /// 0301. Price in ticks, sizes in lots.
    PlaceOrder: 72 {
        market: u32,
        outcome: u8,
        /// 0 buy, 1 sell.
        side: u8,
        order_type: u8,
        time_in_force: u8,
        /// Limit in ticks; 0 for MARKET.
        price: i64,
        lots: i64,
        /// GTD only.
        expiry_ns: i64,
        display_lots: i64,
        trigger_price: i64,
        trail: i64,
        order_flags: u16,
        self_trade_prevention: u8,
        trigger_source: u8,
        /// MARKET: allowed distance from the reference; 0 = the market's default.
        slippage_bp: u16,
        leverage_e2: u16,
        linked_order: u64,
    }
}

record! {
    /// 0303. By order id, or by `target_key` when `order` is 0.
    CancelOrder: 24 { order: u64, target_key: [u8; 16] }
}

record! {
    /// 0304. 0 keeps the present value.
    ReplaceOrder: 40 { order: u64, target_key: [u8; 16], price: i64, total_lots: i64 }
}

record! {
    /// 0305. `market` ALL_MARKETS, `sub` and `side` FF = all. A zero envelope account with EMERGENCY clears the market.
    CancelAll: 8 { market: u32, sub: u8, side: u8, reserved: u16 }
}

record! {
    /// 0306. 0 = off, else 5..86,400 s.
    SetCancelAllAfter: 8 { window_s: u32, reserved: u32 }
}

record! {
    /// 0C04. Role number as in `roles`.
    GrantRole: 48 { principal: [u8; 32], role: u8, reserved: u8, reserved2: u16, reserved3: u32, expiry_ns: i64 }
}

record! {
    /// 0C04 variants 2 and 3.
    SuspendPrincipal: 32 { principal: [u8; 32] }
}

record! {
    /// FF01/1.
    Continue: 8 { token: u64 }
}

record! {
    /// FF01/2: the clock moves on by more than an hour.
    AdvanceTime: 48 { reason: [u8; 48] }
}

record! {
    /// FF01/4.
    ActivateRules: 8 { rules_version: u32, reserved: u32 }
}

/// Flags of commands that the engine makes itself; from outside any flag is `RESERVED_NOT_ZERO`.
pub(crate) mod internal {
    /// An approved action is executed.
    pub const GOVERNED: u32 = 1;
    /// Checks alone.
    pub const TRIAL: u32 = 2;
}

/// Order sides.
pub mod side {
    pub const BUY: u8 = 0;
    pub const SELL: u8 = 1;
}

/// Order types of P2.5. STOP, TAKE_PROFIT and TRAILING_STOP fire as market orders when `price` is 0 (a protective
/// limit from the trigger price) and as limit orders otherwise; STOP_LIMIT always has a price.
pub mod order_type {
    pub const LIMIT: u8 = 0;
    pub const MARKET: u8 = 1;
    pub const STOP: u8 = 2;
    pub const STOP_LIMIT: u8 = 3;
    pub const TAKE_PROFIT: u8 = 4;
    pub const TRAILING_STOP: u8 = 5;
    pub const ICEBERG: u8 = 6;
    pub const TWAP: u8 = 7;
}

/// Prices that a trigger may watch (P2.5.3).
pub mod trigger_source {
    pub const MARK: u8 = 0;
    pub const INDEX: u8 = 1;
    pub const LAST_TRADE: u8 = 2;
}

/// Asset flags of RegisterAsset.
pub mod asset_flag {
    /// The unit of account of leveraged markets; at most one asset.
    pub const SETTLEMENT: u32 = 1;
    /// Valued at min(1, index) (P1.4.5).
    pub const STABLE: u32 = 2;
    /// Keepers stake it; at most one asset.
    pub const STAKE: u32 = 4;
    /// The platform's token: its whole supply comes into being with the registration (P11.1); at most one asset.
    pub const TOKEN: u32 = 8;
}

/// Time in force.
pub mod time_in_force {
    pub const GTC: u8 = 0;
    pub const IOC: u8 = 1;
    pub const FOK: u8 = 2;
    pub const GTD: u8 = 3;
}

/// Order flags.
pub mod order_flag {
    pub const POST_ONLY: u16 = 1;
    pub const REDUCE_ONLY: u16 = 2;
    /// `linked_order` names the other order of a one-cancels-the-other pair.
    pub const OCO: u16 = 4;
    /// `linked_order` names the entry of a bracket; this is its take-profit or stop.
    pub const BRACKET: u16 = 8;
    /// `trail` is in ppm of the extreme instead of ticks.
    pub const TRAIL_PPM: u16 = 16;
}

/// Self-trade prevention modes of P3.4.
pub mod stp {
    pub const CANCEL_NEWEST: u8 = 0;
    pub const CANCEL_OLDEST: u8 = 1;
    pub const CANCEL_BOTH: u8 = 2;
    pub const DECREMENT: u8 = 3;
}

/// Delegate scopes of P1.5.2.
pub mod scope {
    pub const TRADE: u32 = 1;
    pub const CANCEL: u32 = 2;
    pub const TRANSFER_IN: u32 = 4;
    pub const ALL: u32 = 7;
}
