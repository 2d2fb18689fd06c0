//! `apply(state, command) → (result, events)`: the envelope's checks in the order of protocol P2.1.3.

use crate::apply::liquidation::Liquidation;
use crate::apply::work::Work;
use crate::book::{Book, FastBook, Level, ReferenceBook};
use crate::cursor::Cursor;
use crate::genesis::Genesis;
use crate::idempotency::Known;
use crate::limits::{DEFAULT_VALIDITY_NS, MAX_TIME_JUMP_NS, MAX_VALIDITY_NS};
use crate::output::Output;
use crate::roles::permission;
use crate::state::State;
use crate::wire::command::{scope, Command, Kind, COMMAND_SIZE, COMMAND_TAG, COMMAND_VERSION};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::CommandResult;

const PLACE_ORDER: (u16, u8) = Kind::PlaceOrder.code();
const CANCEL_ORDER: (u16, u8) = Kind::CancelOrder.code();

/// Rule versions that this build links.
pub const RULES_VERSION: u32 = 2;

/// Who acts, on what, as far as the envelope tells.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Handle of the envelope's account; meaningless for commands without one.
    pub account: u32,
    /// The principal holds SYSTEM: mirror accounts and the sequencer.
    pub system: bool,
}

/// The state machine of one shard.
#[derive(Clone)]
pub struct Engine<B: Book = FastBook> {
    pub(crate) state: State<B>,
    pub(crate) cursor: Cursor,
    pub(crate) shard: u16,
    /// Unfinished work and its token; nothing else is accepted until it is done (P2.1.4).
    pub(crate) pending: Option<(u64, Work)>,
    pub(crate) stopped: Option<u64>,
    /// Time of the command before the present one, for TimeAdvanced.
    pub(crate) previous_ns: i64,
    /// Token of the last Tick's continuations: what is due goes on behind them.
    pub(crate) ticking: u64,
    /// What the bounded work of the last command spent.
    pub(crate) effort: u32,
    /// Room for the next liquidation: it is of no meaning.
    pub(crate) spare_job: Option<Box<Liquidation>>,
}

/// An engine is once on the stack while it is made, in a frame below 4,096 bytes (P20). What makes it grow beyond this
/// belongs into a box.
const MAX_ENGINE_BYTES: usize = 3_200;
const _: () = assert!(std::mem::size_of::<Engine<FastBook>>() <= MAX_ENGINE_BYTES);
const _: () = assert!(std::mem::size_of::<Engine<ReferenceBook>>() <= MAX_ENGINE_BYTES);

impl<B: Book> Engine<B> {
    /// An engine before its first command.
    ///
    /// # Errors
    /// A sentence when the genesis configuration contradicts itself or asks for unknown rules.
    pub fn new(genesis: &Genesis) -> Result<Self, String> {
        if genesis.rules_version != RULES_VERSION {
            return Err(format!("rules version {} is not linked, {RULES_VERSION} is", genesis.rules_version));
        }
        let mut engine = Self::blank(genesis.shard, genesis.time_ns);
        engine.state.begin(genesis)?;
        Ok(engine)
    }

    /// An engine with nothing in it, to be filled in place: a whole state beside a whole engine would not fit into
    /// one stack frame (P20).
    #[inline(never)]
    pub(crate) fn blank(shard: u16, time_ns: i64) -> Self {
        Engine {
            state: State::blank(),
            cursor: Cursor::new(time_ns, RULES_VERSION),
            shard,
            pending: None,
            stopped: None,
            previous_ns: 0,
            ticking: 0,
            effort: 0,
            spare_job: None,
        }
    }

    /// Applies one stamped command. A reject writes no event and changes no business state.
    ///
    /// # Panics
    /// When an invariant is broken; [`crate::sequence`] turns that into a stopped engine.
    pub fn apply(&mut self, command: &Command, output: &mut Output) -> CommandResult {
        output.begin();
        let answer = match self.stopped {
            Some(seq) => reject(Code::ENGINE_STOPPED, seq as i64, command.seq as i64),
            None => self.admit(command, output),
        };
        let (first_event, event_count) = output.command_events();
        let mut result = CommandResult {
            seq: command.seq,
            code: 0,
            accepted: 1,
            duplicate: 0,
            event_count,
            first_event,
            reserved: 0,
            value: 0,
            bound: 0,
            given: 0,
        };
        match answer {
            Ok((value, duplicate)) => {
                result.value = value;
                result.duplicate = u8::from(duplicate);
            }
            Err(refusal) => {
                debug_assert_eq!(event_count, 0, "a reject wrote events: {refusal:?}");
                result.accepted = 0;
                result.code = refusal.code as u16;
                result.bound = refusal.bound;
                result.given = refusal.given;
            }
        }
        result
    }

    /// Decodes, checks the stamp, moves the cursor, then runs the command.
    fn admit(&mut self, command: &Command, output: &mut Output) -> Result<(u64, bool), Reject> {
        let kind = decode(command);
        let addressed = kind.and_then(|kind| self.check_shard(command).map(|()| kind));
        // A wrong stamp is no part of the log, so that it moves nothing; what it would have been refused for
        // anyway is the better answer (P2.1.3).
        self.check_stamp(command, kind.ok()).map_err(|stamp| addressed.err().unwrap_or(stamp))?;
        self.previous_ns = self.cursor.time_ns;
        self.cursor.seq = command.seq;
        self.cursor.time_ns = command.time_ns;
        self.effort = 0;
        self.cursor.idempotency.purge(command.time_ns);
        let answer = addressed.and_then(|kind| self.run(command, kind, output));
        if answer.is_ok() && self.pending.is_none() && self.state.liquidations.has_looks() {
            // Who must be looked at is, before anything else happens (P5.1).
            self.suspend(command, command.seq, Work::Looks, output);
        }
        self.cursor.meter(answer.as_ref().err().map(|refusal| refusal.code));
        answer
    }

    fn check_shard(&self, command: &Command) -> Result<(), Reject> {
        if command.shard != self.shard {
            return reject(Code::WRONG_SHARD, i64::from(self.shard), i64::from(command.shard));
        }
        Ok(())
    }

    fn check_stamp(&self, command: &Command, kind: Option<Kind>) -> Result<(), Reject> {
        if command.seq != self.cursor.seq + 1 {
            return reject(Code::SEQUENCE_GAP, self.cursor.seq as i64 + 1, command.seq as i64);
        }
        let now = self.cursor.time_ns;
        if command.time_ns == now {
            // As most commands of a batch.
            return Ok(());
        }
        if command.time_ns < now {
            return reject(Code::TIME_REGRESSION, now, command.time_ns);
        }
        if command.time_ns.saturating_sub(now) > MAX_TIME_JUMP_NS && kind != Some(Kind::AdvanceTime) {
            return reject(Code::TIME_JUMP, now, command.time_ns);
        }
        Ok(())
    }

    fn run(&mut self, command: &Command, kind: Kind, output: &mut Output) -> Result<(u64, bool), Reject> {
        if let Some((token, _)) = &self.pending {
            if kind != Kind::Continue {
                if kind == Kind::BatchItem && self.collects_batch() {
                    return self.collect_item(command, output);
                }
                return reject(Code::CONTINUATION_PENDING, *token as i64, command.seq as i64);
            }
        }
        let valid_until_ns = validity(command)?;
        // The key belongs to the envelope's account. A command on no account (an operator's) has no key table.
        let handle = self.state.accounts.find(&command.account);
        let keyed = command.client_key != [0; 16];
        let known = match handle {
            Some(account) if keyed => {
                let hash = body_hash(command);
                let keys = &self.cursor.idempotency;
                Some((account, keys.check(account, &command.client_key, hash, command.time_ns)?, hash))
            }
            _ => None,
        };
        let system = self.state.roles.standing(&command.principal, command.time_ns)?;
        if !keyed && !system && !matches!(kind, Kind::CancelOrder | Kind::CancelAll) {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
        }
        let context = self.authorize(command, kind, handle, system)?;
        if let Some((_, Known::Answer(value), _)) = known {
            return Ok((value, true));
        }
        self.check_halts(command, kind, &context)?;
        if context.account != u32::MAX && !system {
            self.check_rate(command, kind, context.account)?;
        }
        let value = match kind {
            Kind::PlaceOrder => self.place_order(command, context, output)?,
            _ => self.dispatch(command, kind, context, output)?,
        };
        self.after_money(command, output);
        if !self.state.claims.left.is_empty() {
            self.note_exits(command.time_ns);
        }
        if self.state.triggers.has_work() && self.pending.is_none() {
            self.suspend(command, command.seq, Work::Triggers, output);
        }
        // A batch's key is kept when its last item has applied it.
        if let Some((account, known, hash)) = known.filter(|_| kind != Kind::PlaceBatch) {
            let keys = &mut self.cursor.idempotency;
            keys.store(account, &command.client_key, known, hash, value, valid_until_ns);
        }
        Ok((value, false))
    }

    /// Step 5 of P2.1.3: may this principal send this command?
    #[inline(always)]
    pub(crate) fn authorize(
        &self,
        command: &Command,
        kind: Kind,
        handle: Option<u32>,
        system: bool,
    ) -> Result<Context, Reject> {
        if command.principal == [0; 32] {
            return Err(Code::UNAUTHORIZED_SIGNER.into());
        }
        // Nearly every command is one of these two.
        let account = match kind {
            Kind::PlaceOrder => self.trader(command, handle)?,
            Kind::CancelOrder => self.canceller(command, handle)?,
            _ => return self.authorize_by_kind(command, kind, handle, system),
        };
        Ok(Context { account, system })
    }

    /// [`Engine::authorize`] of any kind; somebody signed.
    #[inline(never)]
    fn authorize_by_kind(
        &self,
        command: &Command,
        kind: Kind,
        handle: Option<u32>,
        system: bool,
    ) -> Result<Context, Reject> {
        let need = |bit| self.state.roles.require(&command.principal, bit, command.time_ns);
        let account = match kind {
            Kind::Tick
            | Kind::Continue
            | Kind::AdvanceTime
            | Kind::Snapshot
            | Kind::ActivateRules
            | Kind::Checkpoint => {
                need(permission::SYSTEM)?;
                u32::MAX
            }
            Kind::Deposit | Kind::ConfirmWithdrawal => {
                need(permission::SYSTEM)?;
                match kind {
                    Kind::Deposit => self.sub_of(command, handle)?,
                    _ => u32::MAX,
                }
            }
            Kind::CreateMarket => {
                need(permission::CREATE_MARKET)?;
                self.owned(command, handle, 0)?
            }
            // Any account where governance allows it; else nobody has this permission.
            Kind::ListMarket => self.lister(self.owned(command, handle, 0)?)?,
            Kind::CloseMarket
            | Kind::RegisterAsset
            | Kind::CreateVerse
            | Kind::LinkMarket
            | Kind::MoveVerse
            | Kind::LinkVenue => {
                need(permission::CREATE_MARKET)?;
                u32::MAX
            }
            Kind::RewardMarket => {
                need(permission::FEES)?;
                u32::MAX
            }
            Kind::UpdateMarket
            | Kind::UpdateMarketRisk
            | Kind::UpdateAsset
            | Kind::SetParameter
            | Kind::ConfigureBreaker
            | Kind::RegisterFeed
            | Kind::UpdateFeed
            | Kind::SetFeedSource => {
                need(permission::CONFIG)?;
                u32::MAX
            }
            Kind::SetSuitability | Kind::SetRateClass | Kind::LinkOwners => {
                need(permission::RISK)?;
                self.sub_of(command, handle)?
            }
            Kind::PublishPrice | Kind::PublishVenueBatch | Kind::VenueItem | Kind::RefreshVenue => {
                need(permission::ORACLE)?;
                u32::MAX
            }
            Kind::CloseCase | Kind::PublishRisk => {
                need(permission::RISK)?;
                u32::MAX
            }
            // Anyone with an account or a role: the command itself checks what is due, and who earns.
            Kind::SettleMarket | Kind::CrankFunding | Kind::ExecuteAction | Kind::FinaliseResolution => {
                u32::MAX
            }
            Kind::RemoveKeeper | Kind::ReinstateKeeper | Kind::SlashKeeper => {
                need(permission::KEEPERS)?;
                u32::MAX
            }
            Kind::DecideAppeal | Kind::VoteResolution => {
                need(permission::RESOLVE_VOTE)?;
                u32::MAX
            }
            Kind::ProposeAction => {
                need(permission::PROPOSE)?;
                u32::MAX
            }
            Kind::ApproveAction => {
                need(permission::APPROVE)?;
                u32::MAX
            }
            // The command itself knows the holder, the proposer or the nominee.
            Kind::CancelAction
            | Kind::OfferAuthority
            | Kind::AcceptAuthority
            | Kind::WithdrawOffer
            | Kind::RenounceAuthority => u32::MAX,
            Kind::GrantLaunch => {
                need(permission::TOKEN)?;
                self.sub_of(command, handle)?
            }
            Kind::AllocateVesting | Kind::RevokeVesting | Kind::OpenSeason => {
                need(permission::TOKEN)?;
                u32::MAX
            }
            Kind::SettleSeason | Kind::CompleteLiquidation | Kind::PruneMarket => {
                need(permission::SYSTEM)?;
                u32::MAX
            }
            Kind::Liquidate if system => u32::MAX,
            Kind::Liquidate => {
                need(permission::LIQUIDATE)?;
                self.owned(command, handle, 0)?
            }
            Kind::KeeperAct => {
                need(permission::CRANK)?;
                self.owned(command, handle, 0)?
            }
            Kind::TripBreaker | Kind::OverrideFeed | Kind::PauseMarket | Kind::HaltVerse => {
                need(permission::PAUSE)?;
                u32::MAX
            }
            Kind::ResumeMarket | Kind::CloseBreaker | Kind::ResumeVerse => {
                need(permission::RESUME)?;
                u32::MAX
            }
            Kind::GrantRole | Kind::RevokeRole | Kind::SuspendPrincipal | Kind::ReinstatePrincipal => {
                need(permission::ROLES)?;
                u32::MAX
            }
            Kind::OpenAccount => u32::MAX,
            Kind::CancelAll if command.account == [0; 32] => {
                need(permission::PAUSE)?;
                u32::MAX
            }
            Kind::PlaceOrder
            | Kind::PlaceTwap
            | Kind::PlaceBatch
            | Kind::BatchItem
            | Kind::ReplaceOrder
            | Kind::SwapAmm
            | Kind::TradeDistribution
            | Kind::OpenLeveraged
            | Kind::CloseLeveraged
            | Kind::LockCredit
            | Kind::ReleaseCredit
            | Kind::StageCredit
            | Kind::ClosePosition => self.trader(command, handle)?,
            Kind::CancelOrder | Kind::CancelAll | Kind::SetCancelAllAfter | Kind::CancelDark => {
                self.canceller(command, handle)?
            }
            Kind::PlaceDark => {
                let account = self.trader(command, handle)?;
                need(permission::DARK)?;
                account
            }
            Kind::OpenSubAccount
            | Kind::SetDelegate
            | Kind::RequestWithdrawal
            | Kind::CancelWithdrawal
            | Kind::Transfer
            | Kind::AdjustMargin
            | Kind::RepayLoan
            | Kind::CreatePool
            | Kind::AddLiquidity
            | Kind::RemoveLiquidity
            | Kind::CollectLiquidity
            | Kind::OpenChain
            | Kind::CloseChain
            | Kind::MintSet
            | Kind::MergeSet
            | Kind::Redeem
            | Kind::ProposeResolution
            | Kind::DisputeResolution
            | Kind::FundInsurance
            | Kind::DepositCredit
            | Kind::WithdrawCredit
            | Kind::DepositVault
            | Kind::RequestVaultExit
            | Kind::ClaimVaultExit
            | Kind::RegisterKeeper
            | Kind::StakeKeeper
            | Kind::UnstakeKeeper
            | Kind::WithdrawKeeperStake
            | Kind::AppealSlash
            | Kind::ListAddress
            | Kind::StakeToken
            | Kind::UnstakeToken
            | Kind::ClaimRewards
            | Kind::ClaimMakerRewards
            | Kind::ClaimBootstrap
            | Kind::ClaimVested
            | Kind::UnlistAddress => self.owned(command, handle, 0)?,
        };
        Ok(Context { account, system })
    }

    /// The account of an owner or delegate who may trade for it.
    #[inline(always)]
    fn trader(&self, command: &Command, handle: Option<u32>) -> Result<u32, Reject> {
        self.owned(command, handle, scope::TRADE)
    }

    /// The account of an owner or delegate who may cancel for it.
    #[inline(always)]
    fn canceller(&self, command: &Command, handle: Option<u32>) -> Result<u32, Reject> {
        self.owned(command, handle, scope::CANCEL)
    }

    fn sub_of(&self, command: &Command, handle: Option<u32>) -> Result<u32, Reject> {
        let account = handle.ok_or(Reject::from(Code::ACCOUNT_NOT_FOUND))?;
        if self.state.accounts.list[account as usize].sub(command.sub).is_none() {
            return reject(Code::SUB_ACCOUNT_NOT_FOUND, 127, i64::from(command.sub));
        }
        Ok(account)
    }

    /// The account, if the principal is its owner or a delegate with `scopes` (0 = owner only).
    #[inline]
    fn owned(&self, command: &Command, handle: Option<u32>, scopes: u32) -> Result<u32, Reject> {
        let account = handle.ok_or(Reject::from(Code::ACCOUNT_NOT_FOUND))?;
        let entry = &self.state.accounts.list[account as usize];
        if entry.owner_key != command.principal {
            let delegate = entry.delegates.iter().find(|delegate| delegate.key == command.principal);
            let Some(delegate) = delegate else {
                return Err(Code::UNAUTHORIZED_SIGNER.into());
            };
            if delegate.expiry_ns <= command.time_ns {
                return reject(Code::ROLE_EXPIRED, delegate.expiry_ns, command.time_ns);
            }
            if scopes == 0 || delegate.scopes & scopes != scopes {
                return reject(Code::DELEGATE_SCOPE, i64::from(scopes), i64::from(delegate.scopes));
            }
        }
        self.sub_of(command, handle)
    }

    /// Sequence number that the next command must carry.
    pub fn next_seq(&self) -> u64 {
        self.cursor.seq + 1
    }

    /// Time of the last command in ns.
    pub fn time_ns(&self) -> i64 {
        self.cursor.time_ns
    }

    pub fn shard(&self) -> u16 {
        self.shard
    }

    /// Instructions that the bounded work of the last command was counted for, at most: see
    /// [`crate::limits::EFFORT_PER_COMMAND`].
    pub fn effort_spent(&self) -> u32 {
        self.effort
    }

    /// Token that the next command must continue.
    pub fn pending_token(&self) -> Option<u64> {
        self.pending.as_ref().map(|(token, _)| *token)
    }

    /// Sequence number at which an invariant broke.
    pub fn stopped(&self) -> Option<u64> {
        self.stopped
    }

    /// Stops the engine for good (P0.5).
    pub fn stop(&mut self) {
        self.stopped.get_or_insert(self.cursor.seq);
    }

    /// Earliest due item in ns: when the next Tick has work.
    pub fn next_due_ns(&self) -> Option<i64> {
        self.state.due.first().map(|due| due.0)
    }

    /// The principal that the sequencer signs its own commands with.
    pub fn system_principal(&self) -> [u8; 32] {
        self.state.roles.first_system().expect("genesis has a SYSTEM principal")
    }

    /// Micro-units on a line of an account; None for an unknown account.
    pub fn balance(&self, account: &[u8; 32], sub: u8, asset: u16, line: u8) -> Option<i64> {
        let handle = self.state.accounts.find(account)?;
        Some(self.state.accounts.balance(handle, sub, asset, line))
    }

    /// Micro-units on a system line.
    pub fn system_balance(&self, line: u8, key: u32, asset: u16) -> i64 {
        self.state.system.get(line, key, asset)
    }

    /// The best `depth` levels of a side.
    pub fn levels(&self, market: u32, book_side: u8, depth: usize) -> Vec<Level> {
        let mut levels = Vec::new();
        if depth == 0 {
            return levels;
        }
        if let Some(book) = self.state.books.get(market as usize) {
            book.levels(book_side, &mut |level| {
                levels.push(level);
                levels.len() < depth
            });
        }
        levels
    }

    /// Number of open orders, markets and accounts.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.state.orders.len(), self.state.markets.list.len(), self.state.accounts.list.len())
    }

    /// Accepted and rejected commands of the last `seconds` of command time.
    pub fn metered(&self, seconds: i64) -> (u64, u64) {
        self.cursor.metered(seconds)
    }
}

/// Step 1 of P2.1.3: length, tag, version, reserved bytes, kind.
#[inline]
fn decode(command: &Command) -> Result<Kind, Reject> {
    if command.length as usize != COMMAND_SIZE {
        return reject(Code::INVALID_RECORD_LENGTH, COMMAND_SIZE as i64, i64::from(command.length));
    }
    if command.tag != COMMAND_TAG {
        return reject(Code::INVALID_TYPE_TAG, i64::from(COMMAND_TAG), i64::from(command.tag));
    }
    if command.version != COMMAND_VERSION {
        return reject(Code::UNSUPPORTED_VERSION, i64::from(COMMAND_VERSION), i64::from(command.version));
    }
    // Nearly every command is one of these two.
    let (kind, behind) = match (command.kind, command.op) {
        PLACE_ORDER => (Kind::PlaceOrder, behind(command, Kind::PlaceOrder.payload_size())),
        CANCEL_ORDER => (Kind::CancelOrder, behind(command, Kind::CancelOrder.payload_size())),
        (code, op) => {
            let Some(kind) = Kind::from_code(code, op) else {
                return reject(Code::UNKNOWN_COMMAND, 0, i64::from(code));
            };
            (kind, behind(command, kind.payload_size()))
        }
    };
    let reserved = u32::from(command.reserved) | command.flags | u32::from(behind);
    if reserved != 0 {
        return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(reserved));
    }
    if command.sub > 127 {
        return reject(Code::SUB_ACCOUNT_NOT_FOUND, 127, i64::from(command.sub));
    }
    Ok(kind)
}

/// The bits that are set in the payload area behind a payload of this size.
#[inline(always)]
fn behind(command: &Command, size: usize) -> u8 {
    command.payload[size..].iter().fold(0, |bits, &byte| bits | byte)
}

/// Step 4: the moment until which the command's key is kept.
#[inline]
pub(crate) fn validity(command: &Command) -> Result<i64, Reject> {
    match command.valid_until_ns {
        0 => Ok(command.time_ns.saturating_add(DEFAULT_VALIDITY_NS)),
        until if until < command.time_ns => reject(Code::COMMAND_EXPIRED, until, command.time_ns),
        until if until > command.time_ns.saturating_add(MAX_VALIDITY_NS) => {
            reject(Code::PARAMETER_OUT_OF_BOUNDS, command.time_ns.saturating_add(MAX_VALIDITY_NS), until)
        }
        until => Ok(until),
    }
}

/// What makes two commands of one account with one key the same: kind, sub-account and payload.
///
/// Two lanes of folded multiplications; not keyed, since a sender who finds a collision only gets its own earlier
/// answer back.
#[inline]
pub(crate) fn body_hash(command: &Command) -> u64 {
    const FACTORS: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F];
    let fold = |state: u64, word: u64, factor: u64| {
        let product = u128::from(state ^ word) * u128::from(factor);
        (product as u64) ^ ((product >> 64) as u64)
    };
    let words: &[u64; COMMAND_SIZE / 8] = bytemuck::must_cast_ref(command);
    // Word 3 holds kind, sub-account and variant; words 15..24 are the payload.
    let mut lanes = [fold(FACTORS[0], words[3], FACTORS[1]), FACTORS[1]];
    for pair in [15, 17, 19, 21] {
        lanes[0] = fold(lanes[0], words[pair], FACTORS[1]);
        lanes[1] = fold(lanes[1], words[pair + 1], FACTORS[0]);
    }
    lanes[1] = fold(lanes[1], words[23], FACTORS[0]);
    fold(lanes[0], lanes[1], FACTORS[1])
}
