//! The auditor: separate code that rebuilds ledger, orders and books from events alone and checks the
//! invariants of protocol P17.1 after every batch.
//!
//! It shares no rule with the engine: reserves, fees, splits and book order are computed here again. It costs
//! a bounded amount of work per event, so that it can follow a production shard beside the journal's sync.

mod bonds;
mod book;
mod bridges;
mod chain_orders;
mod chains;
mod counts;
mod credits;
mod dark;
mod early;
mod fault;
mod feeds;
mod fees;
mod funding;
mod groups;
mod halts;
mod index;
mod ledger;
mod liquidation;
mod listing;
mod loan_swaps;
mod loans;
mod margin;
mod marks;
mod orders;
mod outcome;
mod perpetual;
mod pool;
mod position;
mod question;
mod records;
mod resolution;
mod sets;
mod slashes;
mod specials;
mod stakes;
mod stress;
mod takeover;
mod token;
mod validity;
mod vault;
mod venue;
mod verses;
mod waterfall;

use fault::{ensure, fault, Check, Fault};
use records::{check_own_lines, Records};

use crate::genesis::Genesis;
use crate::wire::command::{Command, Continue, Kind};
use crate::wire::event::{CommandResult, Event, EventKind, Posting, EVENT_SIZE, EVENT_TAG, EVENT_VERSION};

const FILLS_PER_COMMAND: u32 = 48;
const CANCELS_PER_COMMAND: u32 = 64;
const LAST_CODE_OF_CATALOGUE: u16 = 9_999;

/// A broken invariant: which one, at which command, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Identifier of P17.1, e.g. `I07`.
    pub invariant: &'static str,
    pub seq: u64,
    pub detail: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "invariant {} is broken at sequence {}: {}", self.invariant, self.seq, self.detail)
    }
}

impl std::error::Error for Violation {}

/// What the auditor knows of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Market {
    base: u16,
    quote: u16,
    status: u8,
    kind: u8,
    outcome_count: u8,
    config_version: u32,
    tick_size: i64,
    lot_size: i64,
    unit: i64,
    taker_fee_e6bp: u32,
    maker_fee_e6bp: u32,
    /// Takers pay the elastic fee (P8.2).
    elastic: bool,
    settle_time_ns: i64,
}

impl Market {
    fn has_outcomes(&self) -> bool {
        matches!(self.kind, outcome::OUTCOME | outcome::DISTRIBUTION)
    }

    /// The worst rate that an order placed now accepts.
    fn fee_cap_e6bp(&self) -> u32 {
        self.taker_fee_e6bp.max(self.maker_fee_e6bp)
    }
}

/// Bounded work of the present command (P2.1.4).
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    fills: u32,
    cancels: u32,
}

/// An independent reading of the log. The first violation is final: every later check repeats it.
#[derive(Clone, Debug)]
pub struct Auditor {
    shard: u16,
    seq: u64,
    time_ns: i64,
    /// When the present command, or the one that it continues, was taken.
    began_ns: i64,
    ledger: ledger::Ledger,
    books: book::Books,
    /// What is special about open orders, by id.
    specials: crate::hash::Map<u64, specials::Special>,
    markets: Vec<Market>,
    records: Records,
    /// What fees, dust and stakes brought to the fee lines less what these paid, by asset (I11).
    fees: Vec<i128>,
    positions: position::Positions,
    values: margin::Values,
    feeds: feeds::Feeds,
    slashes: slashes::Slashes,
    liquidations: liquidation::Liquidations,
    /// Boxed like other large parts: no frame may hold the whole auditor (P20).
    token: Box<token::Token>,
    /// Positions that the last event has moved and the next ones show.
    waiting: perpetual::Waiting,
    /// Token that the next accepted command must continue.
    pending: Option<u64>,
    /// Who sent the present command.
    principal: [u8; 32],
    halts: halts::Halts,
    outcomes: outcome::Outcomes,
    sets: sets::Sets,
    stakes: stakes::Stakes,
    resolutions: resolution::Resolutions,
    listings: listing::Listings,
    early: early::Early,
    verses: verses::Verses,
    vault: Box<vault::Vault>,
    venues: venue::Shows,
    pools: pool::Pools,
    questions: question::Questions,
    loans: loans::Loans,
    dark: Box<dark::Dark>,
    tiers: Box<fees::Tiers>,
    marks: marks::Marks,
    chains: chains::Chains,
    credits: credits::Credits,
    work: Work,
    violation: Option<Violation>,
}

impl Auditor {
    /// An auditor before the first command of a log with this genesis configuration.
    pub fn new(genesis: &Genesis) -> Self {
        let grants = genesis.grants.iter().map(|grant| (grant.principal, grant.role));
        Auditor {
            shard: genesis.shard,
            seq: 0,
            time_ns: genesis.time_ns,
            began_ns: genesis.time_ns,
            ledger: ledger::Ledger::default(),
            books: book::Books::default(),
            specials: Default::default(),
            markets: Vec::new(),
            records: Records::new(grants),
            fees: Vec::new(),
            positions: position::Positions::default(),
            values: margin::Values::default(),
            feeds: feeds::Feeds::default(),
            slashes: slashes::Slashes::default(),
            liquidations: liquidation::Liquidations::default(),
            token: Box::default(),
            waiting: perpetual::Waiting::default(),
            pending: None,
            principal: [0; 32],
            halts: halts::Halts::default(),
            outcomes: outcome::Outcomes::default(),
            sets: sets::Sets::default(),
            stakes: stakes::Stakes::default(),
            resolutions: resolution::Resolutions::default(),
            listings: listing::Listings::default(),
            early: early::Early::default(),
            verses: verses::Verses::default(),
            vault: Box::default(),
            venues: venue::Shows::default(),
            pools: pool::Pools::default(),
            questions: question::Questions::default(),
            loans: loans::Loans::default(),
            dark: Box::default(),
            tiers: Box::default(),
            marks: marks::Marks::default(),
            chains: chains::Chains::default(),
            credits: credits::Credits::default(),
            work: Work::default(),
            violation: None,
        }
    }

    /// Checks the next batch of the log.
    ///
    /// # Errors
    /// The first invariant that does not hold, with the sequence number of its command.
    pub fn check(
        &mut self,
        commands: &[Command],
        results: &[CommandResult],
        events: &[Event],
        postings: &[Posting],
    ) -> Result<(), Violation> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        let outcome = self.check_batch(commands, results, events, postings);
        outcome.map_err(|Fault { invariant, detail }| {
            let violation = Violation { invariant, seq: self.seq, detail };
            self.violation = Some(violation.clone());
            violation
        })
    }

    /// Recomputes every invariant of the present state from scratch; slow, for tests, snapshots and take-over.
    ///
    /// # Errors
    /// As [`Auditor::check`].
    pub fn verify(&self) -> Result<(), Violation> {
        let violation = |Fault { invariant, detail }: Fault| Violation { invariant, seq: self.seq, detail };
        self.verify_state().map_err(violation)
    }

    fn check_batch(
        &mut self,
        commands: &[Command],
        results: &[CommandResult],
        events: &[Event],
        postings: &[Posting],
    ) -> Check {
        ensure!(
            commands.len() == results.len(),
            "I18",
            "{} commands have {} results",
            commands.len(),
            results.len()
        );
        let (mut event_at, mut posting_at) = (0, 0);
        for (command, result) in commands.iter().zip(results) {
            self.check_stamp(command, result, event_at)?;
            let next = event_at + result.event_count as usize;
            ensure!(
                next <= events.len(),
                "I18",
                "results name {next} events, the batch has {}",
                events.len()
            );
            self.begin_command(command, result)?;
            for (index, event) in events[event_at..next].iter().enumerate() {
                let end = posting_at + event.posting_count as usize;
                ensure!(end <= postings.len(), "I01", "events name {end} postings of {}", postings.len());
                self.check_header(command, event, index, posting_at)?;
                self.check_event(event, &postings[posting_at..end])?;
                posting_at = end;
            }
            event_at = next;
            self.end_command()?;
            self.check_quiet_tick(command, result)?;
        }
        ensure!(event_at == events.len(), "I19", "{} events belong to no command", events.len() - event_at);
        ensure!(
            posting_at == postings.len(),
            "I01",
            "{} postings belong to no event",
            postings.len() - posting_at
        );
        Ok(())
    }

    #[inline]
    fn check_stamp(&mut self, command: &Command, result: &CommandResult, event_at: usize) -> Check {
        let (seq, time_ns) = (self.seq + 1, self.time_ns);
        self.seq = seq;
        ensure!(
            command.seq == seq && result.seq == seq,
            "I18",
            "command {} with result {} follows {}",
            command.seq,
            result.seq,
            seq - 1
        );
        ensure!(command.time_ns >= time_ns, "I18", "time {} follows {time_ns}", command.time_ns);
        self.time_ns = command.time_ns;
        self.tiers.adjust.meter(command.time_ns);
        let (accepted, silent) = (result.accepted == 1, result.event_count == 0);
        ensure!(
            accepted == (result.code == 0) && result.accepted <= 1 && result.code <= LAST_CODE_OF_CATALOGUE,
            "I19",
            "result has code {} and accepted {}",
            result.code,
            result.accepted
        );
        ensure!(
            !accepted || command.shard == self.shard,
            "I18",
            "a command of shard {} is accepted in {}",
            command.shard,
            self.shard
        );
        ensure!(accepted || silent, "I19", "a reject has {} events", result.event_count);
        ensure!(
            result.duplicate == 0 || silent,
            "I19",
            "a repeated command has {} events",
            result.event_count
        );
        ensure!(
            silent || result.first_event as usize == event_at,
            "I18",
            "events start at {}, not {event_at}",
            result.first_event
        );
        Ok(())
    }

    /// While work is pending only its continuation may be accepted.
    #[inline]
    fn begin_command(&mut self, command: &Command, result: &CommandResult) -> Check {
        self.work = Work::default();
        if result.accepted == 0 {
            return Ok(());
        }
        self.principal = command.principal;
        if (command.kind, command.op) == Kind::CloseChain.code() && result.event_count > 0 {
            self.begin_chain(&command.payload_as());
        }
        let Some(token) = self.pending else {
            self.began_ns = self.time_ns;
            return Ok(());
        };
        let continues = (command.kind, command.op) == Kind::Continue.code();
        ensure!(
            continues && command.payload_as::<Continue>().token == token,
            "I18",
            "command kind {:#06x} is accepted while continuation {token} is pending",
            command.kind
        );
        self.pending = None;
        Ok(())
    }

    #[inline]
    fn check_header(&self, command: &Command, event: &Event, index: usize, posting_at: usize) -> Check {
        let whole = event.tag == EVENT_TAG
            && event.version == EVENT_VERSION
            && event.length as usize == EVENT_SIZE
            && event.flags == 0
            && event.reserved == 0
            && event.reserved2 == 0;
        ensure!(whole, "I18", "event {index} has a damaged header");
        ensure!(
            event.seq == command.seq && event.time_ns == command.time_ns && event.shard == command.shard,
            "I18",
            "event {index} carries sequence {} and time {} of shard {}",
            event.seq,
            event.time_ns,
            event.shard
        );
        ensure!(event.index as usize == index, "I18", "event {index} calls itself {}", event.index);
        ensure!(
            event.posting_count == 0 || event.first_posting as usize == posting_at,
            "I01",
            "postings of event {index} start at {}, not {posting_at}",
            event.first_posting
        );
        Ok(())
    }

    #[inline]
    fn check_event(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let Some(kind) = EventKind::from_code(event.kind) else {
            return Err(fault("I26", format_args!("event kind {:#06x} is unknown", event.kind)));
        };
        self.ledger.apply(postings)?;
        self.chains.watch(kind, event);
        if event.sub >= credits::FIRST_CREDIT {
            self.note_credit_money(event, postings);
        }
        match kind {
            EventKind::Trade => self.trade(event, postings)?,
            EventKind::SetFilled => self.set_filled(event, postings)?,
            EventKind::OrderAccepted
            | EventKind::OrderRested
            | EventKind::OrderCancelled
            | EventKind::OrderReplaced
            | EventKind::SelfTradePrevented => {
                check_own_lines(event, postings)?;
                self.check_order(kind, event)?;
            }
            EventKind::TriggerPlaced
            | EventKind::TriggerFired
            | EventKind::OrderActivated
            | EventKind::IcebergShown
            | EventKind::TwapPlaced
            | EventKind::SliceSent
            | EventKind::SliceEnded
            | EventKind::OrderLinked
            | EventKind::OrderResized => {
                check_own_lines(event, postings)?;
                self.check_special(kind, event)?;
            }
            EventKind::ContinuationRequired => self.pending = Some(event.body_as::<Continue>().token),
            EventKind::PositionChanged
            | EventKind::PositionSettled
            | EventKind::MarginAdjusted
            | EventKind::InsuranceFunded
            | EventKind::MarkUpdated
            | EventKind::FundingIndexUpdated
            | EventKind::MarketRiskSet
            | EventKind::MarketSettled
            | EventKind::SuitabilitySet => self.check_leveraged(kind, event, postings)?,
            EventKind::HealthWarning
            | EventKind::LiquidationFlagged
            | EventKind::LiquidationStarted
            | EventKind::LiquidationStepped
            | EventKind::LossCovered
            | EventKind::BackstopTaken
            | EventKind::AdlExecuted
            | EventKind::LossSocialised
            | EventKind::LiquidationEnded
            | EventKind::CascadeChanged
            | EventKind::FundSettled => self.check_liquidation(kind, event, postings)?,
            EventKind::LoanOpened
            | EventKind::LoanMoved
            | EventKind::LoanCharged
            | EventKind::InterestIndexMoved
            | EventKind::LoanLiquidated
            | EventKind::LoanLossCovered
            | EventKind::LoanBridged
            | EventKind::LoanSwapped => self.check_loans(kind, event, postings)?,
            EventKind::OutcomeMarked | EventKind::OutcomeMarksSet => {
                check_own_lines(event, postings)?;
                self.check_marks(kind, event)?;
            }
            EventKind::CreditMoved
            | EventKind::CreditLocked
            | EventKind::CreditReleased
            | EventKind::CreditStaged => self.check_credit(kind, event, postings)?,
            EventKind::DarkAccepted
            | EventKind::DarkCancelled
            | EventKind::DarkCrossed
            | EventKind::DarkFilled
            | EventKind::DarkPrinted => self.check_dark(kind, event, postings)?,
            EventKind::PoolCreated
            | EventKind::AmmSwapped
            | EventKind::LiquidityAdded
            | EventKind::LiquidityRemoved
            | EventKind::LiquidityCollected
            | EventKind::PoolRescaled => self.check_pool(kind, event, postings)?,
            EventKind::ChainOpened
            | EventKind::ChainStepped
            | EventKind::ChainCharged
            | EventKind::ChainUnwound
            | EventKind::ChainClosed
            | EventKind::FlashBorrowed
            | EventKind::FlashRepaid => self.check_chain(kind, event, postings)?,
            EventKind::DistributionCreated | EventKind::DistributionMoved | EventKind::DistributionPaid => {
                self.check_question(kind, event, postings)?
            }
            EventKind::SetMinted | EventKind::SetMerged | EventKind::ClaimsMoved => {
                self.check_claims(kind, event, postings)?;
            }
            EventKind::ResolutionProposed
            | EventKind::ResolutionDisputed
            | EventKind::PayoutShown
            | EventKind::VoteCast
            | EventKind::DisputeDecided
            | EventKind::ResolutionFinal
            | EventKind::BondSettled
            | EventKind::Redeemed
            | EventKind::EscrowSwept
            | EventKind::MarketResolving
            | EventKind::MarketResolved
            | EventKind::MarketPruned => self.check_resolution(kind, event, postings)?,
            EventKind::ListingBonded => self.listing_bonded(event, postings)?,
            EventKind::ListingEnded => self.listing_ended(event, postings)?,
            EventKind::EarlyTriggered if postings.is_empty() => self.early_triggered(event)?,
            _ => self.check_record(kind, event, postings)?,
        }
        while let Some(position) = self.books.left.pop() {
            let orders = self.books.open_of(position).orders;
            self.positions.drop_if_empty(position, orders);
        }
        self.ledger.check_touched()
    }

    #[inline]
    fn end_command(&mut self) -> Check {
        let Work { fills, cancels } = self.work;
        ensure!(fills <= FILLS_PER_COMMAND, "I20", "one command made {fills} fills");
        ensure!(cancels <= CANCELS_PER_COMMAND, "I20", "one command made {cancels} cancels");
        ensure!(
            self.books.in_flight == 0 || self.pending.is_some(),
            "I26",
            "{} orders neither rest nor ended",
            self.books.in_flight
        );
        self.check_claims_end()?;
        self.check_sets_end()?;
        self.check_listing_end()?;
        self.check_verse_end()?;
        self.check_chains_end()?;
        self.check_credits_end()?;
        self.check_dark_end()?;
        self.check_early_end()?;
        self.feeds.end_command(self.time_ns)?;
        self.check_coverage_end()?;
        self.check_burn_end()?;
        self.slashes.end_command()?;
        self.check_leveraged_end()
    }

    fn market(&self, handle: u32) -> Check<&Market> {
        self.markets
            .get(handle as usize)
            .ok_or_else(|| fault("I26", format_args!("market {handle} is unknown")))
    }

    fn collect_fees(&mut self, asset: u16, amount: i64) {
        let index = asset as usize;
        if index >= self.fees.len() {
            self.fees.resize(index + 1, 0);
        }
        self.fees[index] += i128::from(amount);
    }

    fn verify_state(&self) -> Check {
        self.ledger.verify()?;
        self.books.verify()?;
        self.verify_positions()?;
        self.verify_bonds()?;
        self.verify_claims()?;
        self.verify_sums()?;
        self.verify_token()?;
        self.verify_resolutions()?;
        self.verify_vault()?;
        self.verify_loans()?;
        self.verify_credits()?;
        let fee_lines =
            [ledger::VAULT_CASH, ledger::STAKER_POOL, ledger::MAKER_FUND, ledger::INSURANCE, fees::BUYBACK];
        for (asset, &collected) in self.fees.iter().enumerate() {
            let kept: i128 =
                fee_lines.iter().map(|&line| i128::from(self.ledger.line(0, 0, asset as u16, line))).sum();
            ensure!(
                kept == collected,
                "I11",
                "asset {asset}: fees of {collected} became {kept} on the fee lines"
            );
        }
        let mut reserves = crate::hash::Map::<u32, i128>::default();
        for order in self.books.sorted() {
            let money = if order.on_claims { 0 } else { order.reserve };
            *reserves.entry(order.balance).or_insert(0) += i128::from(money);
        }
        let mut unseen = std::collections::BTreeMap::<(u32, u8, u16), i128>::new();
        for (account, sub, asset, reserve) in self.dark.reserves(&self.markets) {
            *unseen.entry((account, sub, asset)).or_insert(0) += i128::from(reserve);
        }
        for (slot, balance) in self.ledger.balances.iter().enumerate() {
            let hidden = unseen.get(&(balance.account, balance.sub, balance.asset)).copied().unwrap_or(0);
            let reserve = hidden + reserves.get(&(slot as u32)).copied().unwrap_or(0);
            let held = balance.lines[ledger::HELD as usize];
            ensure!(
                reserve == i128::from(held),
                "I07",
                "account {} sub {} asset {}: held {held}, reserves of open orders {reserve}",
                balance.account,
                balance.sub,
                balance.asset
            );
        }
        Ok(())
    }

    /// Sequence number of the last command that was checked.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Number of open orders.
    pub fn open_orders(&self) -> usize {
        self.books.len()
    }

    /// Micro-units on a line; `owner` is an account handle, or the key of a system line.
    pub fn line(&self, owner: u32, sub: u8, asset: u16, line: u8) -> i64 {
        self.ledger.line(owner, sub, asset, line)
    }

    /// Levels of a side, best first: price in ticks, lots, orders. Empty for an unknown market.
    pub fn levels(&self, market: u32, side: u8) -> Vec<(i64, i64, u32)> {
        self.outcome_levels(market, 0, side)
    }

    /// As [`Auditor::levels`], of the book of one outcome; binary markets have one book, in prices of outcome 0.
    pub fn outcome_levels(&self, market: u32, outcome: u8, side: u8) -> Vec<(i64, i64, u32)> {
        match self.markets.get(market as usize) {
            Some(entry) if side <= 1 && outcome < entry.outcome_count => {
                let line = if entry.outcome_count > 2 { outcome } else { 0 };
                self.books.levels(market, line, side)
            }
            _ => Vec::new(),
        }
    }
}
