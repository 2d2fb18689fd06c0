//! Step 6 of P2.1.3: may this command act while something is halted? One function says what a command is about to
//! do, one table (`halts::matrix`) what each state allows; FROZEN answers before PAUSED before BREAKER_ACTIVE.

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::gate::{Action, Cell};
use crate::halts::breaker::{has_auction, phase, Breaker};
use crate::halts::matrix::{category, cell, pause_cell, HaltState};
use crate::halts::{MarketHalts, FULL_COVERAGE_PPM};
use crate::keeper::action;
use crate::limits::BREAKER_RECHECK_NS;
use crate::market::{kind as market_kind, level, Pause};
use crate::order::flag;
use crate::wire::command::{
    credit_release, order_flag, order_type, side, AdjustMargin, CancelAll, CancelDark, CancelOrder,
    ClaimPayout, CloseLeveraged, ClosePosition, Command, CreatePool, KeeperAct, Kind, Liquidate, OneMarket,
    OneSet, OpenLeveraged, PlaceDark, PlaceOrder, PlaceTwap, PoolLiquidity, ReleaseCredit, RepayLoan,
    ReplaceOrder, SwapAmm, TradeDistribution, ALL_MARKETS,
};
use crate::wire::error::{reject, Code, Reject};

/// What a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A column of the matrices, in a market or on the platform.
    Acts(Action, Option<u32>),
    /// Only a pause with this category in its mask stops it.
    Category(u8),
    /// Nothing stops it: clocks, hashes, pauses themselves.
    Free,
}

impl<B: Book> Engine<B> {
    /// Refuses what a pause or a breaker forbids.
    ///
    /// # Errors
    /// `FROZEN` and `PAUSED` (bound: until, given: level), `BREAKER_ACTIVE` (bound: until, given: breaker),
    /// `COVERAGE_TOO_LOW` (ppm); of the oracle matrix the codes of P6.4.
    #[inline(always)]
    pub(crate) fn check_halts(&self, command: &Command, kind: Kind, context: &Context) -> Result<(), Reject> {
        if self.state.halts.in_force != 0 {
            self.check_halts_in_force(command, kind, context)?;
        }
        if self.state.feeds.is_empty() && self.state.venues.is_empty() {
            return Ok(());
        }
        self.check_feeds(command, kind, context)
    }

    /// What the feeds and the outside books forbid, where there are any.
    #[inline(never)]
    fn check_feeds(&self, command: &Command, kind: Kind, context: &Context) -> Result<(), Reject> {
        match kind {
            Kind::PlaceOrder => {
                let order: &PlaceOrder = command.payload_ref();
                let action = self.risk_of(order.market, order.order_flags);
                self.check_feed_of((order.market, action), command, kind, context)
            }
            Kind::CancelOrder => Ok(()),
            _ => self.check_feed(command, kind, context),
        }
    }

    /// The oracle matrix (P6.5) for what happens in a leveraged market; withdrawals ask it for themselves.
    fn check_feed(&self, command: &Command, kind: Kind, context: &Context) -> Result<(), Reject> {
        let asks = matches!(
            kind,
            Kind::PlaceOrder
                | Kind::BatchItem
                | Kind::PlaceTwap
                | Kind::ReplaceOrder
                | Kind::ClosePosition
                | Kind::AdjustMargin
                | Kind::PlaceDark
                | Kind::OpenLeveraged
                | Kind::CloseLeveraged
                | Kind::SwapAmm
                | Kind::TradeDistribution
                | Kind::Liquidate
        );
        if !asks {
            return Ok(());
        }
        let Deed::Acts(action, Some(market)) = self.deed(command, kind, context) else { return Ok(()) };
        self.check_feed_of((market, action), command, kind, context)
    }

    /// What the matrix says of an action in a market.
    #[inline(always)]
    fn check_feed_of(
        &self,
        (market, action): (u32, Action),
        command: &Command,
        kind: Kind,
        context: &Context,
    ) -> Result<(), Reject> {
        let Some(perp) = self.state.perps.of_market(market) else {
            return self.check_venue(market, action, command.time_ns);
        };
        let checked = match self.state.feeds.check(perp.feed, action, command.time_ns) {
            Err(_) if action == Action::NewLeveraged && self.only_closes(command, kind, context) => {
                self.state.feeds.check(perp.feed, Action::Reduce, command.time_ns)
            }
            checked => checked,
        };
        match checked? {
            // Margin cannot leave a position later, so that "queued" is no.
            Cell::Queued => {
                let used = self.state.feeds.effective(perp.feed).expect("checked just now");
                Err(crate::oracle::matrix::refusal(used.state, used.since_ns))
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn check_halts_in_force(&self, command: &Command, kind: Kind, context: &Context) -> Result<(), Reject> {
        let (action, market) = match self.deed(command, kind, context) {
            Deed::Free => return Ok(()),
            Deed::Category(category) => return self.check_category(category),
            Deed::Acts(action, market) => (action, market),
        };
        let queues = matches!(
            kind,
            Kind::RequestWithdrawal
                | Kind::Transfer
                | Kind::AdjustMargin
                | Kind::RequestVaultExit
                | Kind::ClaimVaultExit
        );
        let refuses = |cell: Cell| match cell {
            Cell::Refused => true,
            Cell::Queued => !queues,
            // What mints complete sets out of money; what turns them back goes on.
            Cell::MergeOnly => matches!(kind, Kind::MintSet | Kind::AddLiquidity | Kind::CreatePool),
            _ => false,
        };
        let takes_risk = action == Action::NewLeveraged && refuses(self.halt_cell(action, market));
        let action = match takes_risk && self.only_closes(command, kind, context) {
            true => Action::Reduce,
            false => action,
        };
        self.check_pauses(action, market, &refuses)?;
        // The mirror of an outside book shows what it shows; in a halted market its orders are collected.
        if context.system && matches!(kind, Kind::PlaceOrder | Kind::ReplaceOrder) {
            return Ok(());
        }
        self.check_breakers(action, market, &refuses)
    }

    /// What halts say of an action in a market that the command names beside others.
    ///
    /// # Errors
    /// Those of pauses and breakers; what could only be done later, or only backwards, is refused too.
    pub(crate) fn check_market_halts(&self, action: Action, market: u32) -> Result<(), Reject> {
        if self.state.halts.in_force == 0 {
            return Ok(());
        }
        let refuses = |cell: Cell| matches!(cell, Cell::Refused | Cell::Queued | Cell::MergeOnly);
        self.check_pauses(action, Some(market), &refuses)?;
        self.check_breakers(action, Some(market), &refuses)
    }

    /// What the command is about to do, on what.
    pub(crate) fn deed(&self, command: &Command, kind: Kind, context: &Context) -> Deed {
        match kind {
            Kind::PlaceOrder | Kind::BatchItem => {
                let order: PlaceOrder = command.payload_as();
                Deed::Acts(self.risk_of(order.market, order.order_flags), Some(order.market))
            }
            Kind::PlaceTwap => {
                let order: PlaceTwap = command.payload_as();
                Deed::Acts(self.risk_of(order.market, order.order_flags), Some(order.market))
            }
            Kind::ReplaceOrder => {
                let request: ReplaceOrder = command.payload_as();
                let slot =
                    self.find_order(context.account, request.order, &request.target_key, command.time_ns);
                match slot.map(|slot| &self.state.orders[slot]) {
                    Ok(order) => Deed::Acts(self.risk_of(order.market, order.flags), Some(order.market)),
                    // The command itself says what is wrong with the order it names.
                    Err(_) => Deed::Free,
                }
            }
            Kind::ClosePosition => {
                Deed::Acts(Action::Reduce, Some(command.payload_as::<ClosePosition>().market))
            }
            Kind::OpenLeveraged => {
                Deed::Acts(Action::NewLeveraged, Some(command.payload_as::<OpenLeveraged>().market))
            }
            Kind::CloseLeveraged => {
                Deed::Acts(Action::Reduce, Some(command.payload_as::<CloseLeveraged>().market))
            }
            // Its legs' markets are judged one by one.
            Kind::LockCredit => Deed::Acts(Action::NewCollateralised, None),
            Kind::ReleaseCredit => {
                let request: ReleaseCredit = command.payload_as();
                let action = match request.mode {
                    credit_release::CLOSE => Action::Reduce,
                    credit_release::SETTLE => Action::MintMerge,
                    // Claims change their place inside of an account.
                    _ => Action::Cancel,
                };
                Deed::Acts(action, Some(request.market))
            }
            Kind::RepayLoan => Deed::Acts(Action::Deposit, Some(command.payload_as::<RepayLoan>().market)),
            Kind::CancelOrder => {
                let request: CancelOrder = command.payload_as();
                let slot =
                    self.find_order(context.account, request.order, &request.target_key, command.time_ns);
                Deed::Acts(Action::Cancel, slot.ok().map(|slot| self.state.orders[slot].market))
            }
            Kind::PlaceDark => {
                let market = command.payload_as::<PlaceDark>().market;
                Deed::Acts(self.risk_of(market, 0), Some(market))
            }
            Kind::CancelDark => {
                let order = self.state.dark.get(command.payload_as::<CancelDark>().order);
                Deed::Acts(Action::Cancel, order.map(|order| order.market))
            }
            Kind::CancelAll => {
                let market = command.payload_as::<CancelAll>().market;
                Deed::Acts(Action::Cancel, (market != ALL_MARKETS).then_some(market))
            }
            // Money that changes its place inside of an account or becomes a bond: as a cancel, so that a FREEZE
            // stops it and nothing else does.
            Kind::CancelWithdrawal
            | Kind::StakeToken
            | Kind::UnstakeToken
            | Kind::ClaimRewards
            | Kind::ClaimMakerRewards
            | Kind::ClaimBootstrap
            | Kind::ClaimVested
            | Kind::RegisterKeeper
            | Kind::StakeKeeper
            | Kind::UnstakeKeeper
            | Kind::WithdrawKeeperStake
            | Kind::DepositCredit
            | Kind::WithdrawCredit
            | Kind::StageCredit
            | Kind::FundInsurance => Deed::Acts(Action::Cancel, None),
            Kind::ProposeResolution => {
                Deed::Acts(Action::Cancel, Some(command.payload_as::<ClaimPayout>().market))
            }
            Kind::Deposit | Kind::DepositVault => Deed::Acts(Action::Deposit, None),
            Kind::RequestVaultExit | Kind::ClaimVaultExit => Deed::Acts(Action::VaultExit, None),
            Kind::RequestWithdrawal | Kind::Transfer => {
                Deed::Acts(self.withdrawal_of(context.account, command.sub), None)
            }
            Kind::AdjustMargin => {
                let request: AdjustMargin = command.payload_as();
                let action = if request.amount > 0 { Action::Deposit } else { Action::WithdrawWithPositions };
                Deed::Acts(action, Some(request.market))
            }
            Kind::Liquidate | Kind::CompleteLiquidation => {
                Deed::Acts(Action::Liquidate, Some(command.payload_as::<Liquidate>().market))
            }
            Kind::SwapAmm => Deed::Acts(Action::AmmSwap, Some(command.payload_as::<SwapAmm>().market)),
            Kind::TradeDistribution => {
                Deed::Acts(Action::AmmSwap, Some(command.payload_as::<TradeDistribution>().market))
            }
            Kind::KeeperAct => {
                let request: KeeperAct = command.payload_as();
                match request.action {
                    action::LIQUIDATE => Deed::Acts(Action::Liquidate, Some(request.market)),
                    action::CRANK => Deed::Acts(Action::Funding, Some(request.market)),
                    // Nothing else is ever left to a keeper: the command answers so.
                    _ => Deed::Free,
                }
            }
            Kind::CreatePool => {
                Deed::Acts(Action::MintMerge, Some(command.payload_as::<CreatePool>().market))
            }
            Kind::AddLiquidity | Kind::RemoveLiquidity | Kind::CollectLiquidity => {
                Deed::Acts(Action::MintMerge, Some(command.payload_as::<PoolLiquidity>().market))
            }
            Kind::MintSet | Kind::MergeSet => {
                Deed::Acts(Action::MintMerge, Some(command.payload_as::<OneSet>().market))
            }
            // As merging: claims become money again.
            Kind::Redeem => Deed::Acts(Action::MintMerge, Some(command.payload_as::<OneMarket>().market)),
            Kind::PublishPrice | Kind::PublishVenueBatch | Kind::VenueItem | Kind::RefreshVenue => {
                Deed::Acts(Action::OracleIn, None)
            }
            Kind::CrankFunding => Deed::Acts(Action::Funding, Some(command.payload_as::<OneMarket>().market)),
            Kind::SettleMarket | Kind::FinaliseResolution => {
                Deed::Acts(Action::SettleAtIndex, Some(command.payload_as::<OneMarket>().market))
            }
            Kind::CreateMarket
            | Kind::ListMarket
            | Kind::UpdateMarket
            | Kind::UpdateMarketRisk
            | Kind::CloseMarket
            | Kind::CreateVerse
            | Kind::LinkMarket
            | Kind::MoveVerse
            | Kind::RegisterAsset
            | Kind::UpdateAsset
            | Kind::ConfigureBreaker
            | Kind::RegisterFeed
            | Kind::UpdateFeed
            | Kind::SetFeedSource
            | Kind::LinkOwners
            | Kind::PublishRisk
            | Kind::LinkVenue
            | Kind::RewardMarket
            | Kind::GrantLaunch
            | Kind::SetSuitability
            | Kind::SetRateClass
            | Kind::GrantRole
            | Kind::RevokeRole
            | Kind::ProposeAction
            | Kind::ApproveAction
            | Kind::AllocateVesting
            | Kind::RevokeVesting
            | Kind::OpenSeason
            | Kind::SetParameter
            | Kind::ReinstatePrincipal
            | Kind::OfferAuthority
            | Kind::AcceptAuthority
            | Kind::ReinstateKeeper
            | Kind::SlashKeeper
            | Kind::CloseCase
            | Kind::ExecuteAction => Deed::Category(category::ADMIN),
            Kind::TripBreaker | Kind::CloseBreaker | Kind::OverrideFeed => {
                Deed::Category(category::EMERGENCY)
            }
            // Pausing, resuming, and what only takes power or access away.
            Kind::PauseMarket
            | Kind::ResumeMarket
            | Kind::HaltVerse
            | Kind::ResumeVerse
            | Kind::SuspendPrincipal
            | Kind::CancelAction
            | Kind::WithdrawOffer
            | Kind::RenounceAuthority
            | Kind::RemoveKeeper => Deed::Free,
            // Rights that end with a window: no halt may run the window out.
            Kind::DisputeResolution | Kind::VoteResolution | Kind::AppealSlash | Kind::DecideAppeal => {
                Deed::Free
            }
            // An account's own settings, a dead man's switch, and what has happened outside already.
            Kind::OpenAccount
            | Kind::OpenSubAccount
            | Kind::SetDelegate
            | Kind::ListAddress
            | Kind::UnlistAddress
            | Kind::SetCancelAllAfter
            | Kind::ConfirmWithdrawal => Deed::Free,
            // Its items, or steps, are judged one by one.
            Kind::PlaceBatch | Kind::OpenChain | Kind::CloseChain => Deed::Free,
            // Clocks and marks in the log.
            Kind::SettleSeason
            | Kind::PruneMarket
            | Kind::Tick
            | Kind::Continue
            | Kind::AdvanceTime
            | Kind::Snapshot
            | Kind::ActivateRules
            | Kind::Checkpoint => Deed::Free,
        }
    }

    /// The risk that an order takes: by the kind of its market and its flags.
    #[inline]
    fn risk_of(&self, market: u32, flags: u16) -> Action {
        let kind =
            self.state.markets.list.get(market as usize).map_or(market_kind::SPOT, |market| market.kind);
        if flags & order_flag::REDUCE_ONLY != 0 {
            return Action::Reduce;
        }
        match kind {
            market_kind::PERPETUAL => Action::NewLeveraged,
            _ if flags & order_flag::POST_ONLY != 0 => Action::Passive,
            _ => Action::NewCollateralised,
        }
    }

    /// Whether an order without the flag can do nothing but reduce, together with all orders of its side that are open
    /// already: then it is judged as one that reduces. Only asked where new risk is refused.
    #[cold]
    fn only_closes(&self, command: &Command, kind: Kind, context: &Context) -> bool {
        let (key, order_side, lots) = match kind {
            Kind::PlaceOrder => {
                let order: PlaceOrder = command.payload_as();
                if order.order_type > order_type::MARKET {
                    return false;
                }
                ((context.account, command.sub, order.market), order.side, order.lots)
            }
            Kind::ReplaceOrder => {
                let request: ReplaceOrder = command.payload_as();
                let slot =
                    self.find_order(context.account, request.order, &request.target_key, command.time_ns);
                let Ok(order) = slot.map(|slot| &self.state.orders[slot]) else { return false };
                if order.flags & flag::SPECIAL != 0 {
                    return false;
                }
                let more = match request.total_lots {
                    0 => 0,
                    // Any number may be asked for; what it may be is checked later.
                    total => total.saturating_sub(order.total),
                };
                ((order.account, order.sub, order.market), order.side, more)
            }
            _ => return false,
        };
        let Some(position) = self.state.perps.position(key.0, key.1, key.2) else { return false };
        let (opposite, open) = match order_side {
            side::BUY => (position.lots < 0, position.open_buy_lots),
            _ => (position.lots > 0, position.open_sell_lots),
        };
        opposite && open.saturating_add(lots) <= position.lots.abs()
    }

    /// A withdrawal of this sub-account.
    pub(crate) fn withdrawal_of(&self, account: u32, sub: u8) -> Action {
        if self.has_positions(account, sub) {
            Action::WithdrawWithPositions
        } else {
            Action::Withdraw
        }
    }

    /// Whether the sub-account has open positions.
    fn has_positions(&self, account: u32, sub: u8) -> bool {
        !self.state.accounts.positions(account, sub).is_empty()
    }

    fn check_category(&self, category: u8) -> Result<(), Reject> {
        match self.state.platform_pause {
            Some(pause) if pause.categories & category != 0 => Err(refusal(&pause)),
            _ => Ok(()),
        }
    }

    /// Pauses of the platform and of the market, a FREEZE first.
    fn check_pauses(
        &self,
        action: Action,
        market: Option<u32>,
        refuses: &dyn Fn(Cell) -> bool,
    ) -> Result<(), Reject> {
        let blocking = self
            .pauses(market)
            .filter(|pause| refuses(pause_cell(pause.level, pause.categories, action)))
            .reduce(|first, other| if other.level > first.level { other } else { first });
        match blocking {
            Some(pause) => Err(refusal(pause)),
            None => Ok(()),
        }
    }

    fn pauses(&self, market: Option<u32>) -> impl Iterator<Item = &Pause> {
        let of_market = market.and_then(|market| self.state.markets.list.get(market as usize));
        self.state.platform_pause.iter().chain(of_market.and_then(|market| market.pause.as_ref()))
    }

    /// Breakers of the platform and of the market that halt.
    pub(super) fn check_breakers(
        &self,
        action: Action,
        market: Option<u32>,
        refuses: &dyn Fn(Cell) -> bool,
    ) -> Result<(), Reject> {
        if let Some((breaker, _)) = self.breaker_rows(market).find(|&(_, row)| refuses(cell(row, action))) {
            return reject(Code::BREAKER_ACTIVE, breaker.until_ns, i64::from(breaker.id));
        }
        let short = self.state.halts.is_coverage_short();
        if short && refuses(cell(HaltState::CoverageShort, action)) {
            let coverage = self.state.halts.coverage_ppm.unwrap_or(0);
            return reject(Code::COVERAGE_TOO_LOW, FULL_COVERAGE_PPM, coverage);
        }
        Ok(())
    }

    /// Every breaker that halts, with its row of the matrix.
    fn breaker_rows(&self, market: Option<u32>) -> impl Iterator<Item = (&Breaker, HaltState)> {
        let halts = &self.state.halts;
        let of_market = market.and_then(|market| halts.of_market(market));
        let breakers = halts.platform.iter().chain(of_market.into_iter().flat_map(|market| &market.breakers));
        breakers.filter_map(|breaker| row_of(breaker).map(|row| (breaker, row)))
    }

    /// What all states together say about an action (P7.5: the stricter cell).
    pub(crate) fn halt_cell(&self, action: Action, market: Option<u32>) -> Cell {
        if self.state.halts.in_force == 0 {
            return Cell::Allowed;
        }
        let paused = self.pauses(market).map(|pause| pause_cell(pause.level, pause.categories, action));
        let halted = self.breaker_rows(market).map(|(_, row)| cell(row, action));
        let short = self.state.halts.is_coverage_short().then(|| cell(HaltState::CoverageShort, action));
        paused.chain(halted).chain(short).fold(Cell::Allowed, Cell::stricter)
    }

    /// Whether a pause keeps SYSTEM from liquidating in a market: of the matrix, only rows of pauses ever do.
    pub(crate) fn pauses_liquidation(&self, market: u32) -> bool {
        let refuses =
            |pause: &Pause| pause_cell(pause.level, pause.categories, Action::Liquidate) == Cell::Refused;
        self.state.halts.in_force != 0 && self.pauses(Some(market)).any(refuses)
    }

    /// New risk by an order that the engine itself sends now: a fired one, or a slice. Pauses hold them back before.
    ///
    /// # Errors
    /// `BREAKER_ACTIVE`, `COVERAGE_TOO_LOW`.
    pub(crate) fn check_new_risk(&self, market: u32) -> Result<(), Reject> {
        if self.state.halts.in_force == 0 {
            return Ok(());
        }
        self.check_breakers(self.risk_of(market, 0), Some(market), &|cell| cell == Cell::Refused)
    }

    /// Whether a halt makes the funding of this market zero (P7.5).
    pub(crate) fn is_funding_halted(&self, market: u32) -> bool {
        self.halt_cell(Action::Funding, Some(market)) == Cell::Zero
    }

    /// Whether orders of this market are collected instead of matched (P7.5 "auction", P3.7). One load while
    /// nothing is in force.
    #[inline]
    pub(crate) fn collects(&self, market: u32) -> bool {
        self.state.halts.in_force != 0
            && self.state.halts.of_market(market).is_some_and(MarketHalts::collects)
    }

    /// Until when a withdrawal of this sub-account is queued by a pause or a breaker; None when it may go now.
    pub(crate) fn withdrawal_waits_until(&self, account: u32, sub: u8, now_ns: i64) -> Option<i64> {
        if self.state.halts.in_force == 0 {
            return None;
        }
        let action = self.withdrawal_of(account, sub);
        let waits = |cell: Cell| matches!(cell, Cell::Queued | Cell::Refused);
        // What does not end by itself is looked at every few seconds.
        let looked_at_ns = now_ns.saturating_add(BREAKER_RECHECK_NS);
        let ends = |by_itself_ns: Option<i64>, until_ns: i64| {
            by_itself_ns.unwrap_or(if until_ns > now_ns { until_ns } else { looked_at_ns })
        };
        let paused = self
            .pauses(None)
            .filter(|pause| waits(pause_cell(pause.level, pause.categories, action)))
            .map(|pause| ends(pause.ends_ns(), pause.until_ns));
        let rows = self.breaker_rows(None).filter(|&(_, row)| waits(cell(row, action)));
        let halted = rows.map(|(breaker, _)| ends(breaker.due_ns(), breaker.until_ns));
        let short = self.state.halts.is_coverage_short() && waits(cell(HaltState::CoverageShort, action));
        paused.chain(halted).chain(short.then_some(looked_at_ns)).max()
    }
}

/// The row of a breaker that is not CLOSED; None where it halts nothing (probation).
fn row_of(breaker: &Breaker) -> Option<HaltState> {
    match breaker.phase {
        phase::TRIPPED => Some(HaltState::of_breaker(breaker.id)),
        phase::AUCTION if has_auction(breaker.id) => Some(HaltState::MarketAuction),
        _ => None,
    }
}

fn refusal(pause: &Pause) -> Reject {
    let code = if pause.level == level::FREEZE { Code::FROZEN } else { Code::PAUSED };
    Reject::new(code, pause.until_ns, i64::from(pause.level))
}
