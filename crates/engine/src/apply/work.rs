//! Bounded work: what one command does not finish, the next one continues (protocol P2.1.4).

use super::auction::Uncross;
use super::conditional::OpenBatch;
use super::credit::CreditJob;
use super::dark_cross::DarkJob;
use super::liquidation::Liquidation;
use super::verse_halts::VerseWork;
use crate::book::Book;
use crate::engine::Engine;
use crate::limits::{
    AUCTION_LEVELS_PER_COMMAND, CANCELS_PER_COMMAND, DUE_PER_COMMAND, EFFORT_PER_COMMAND, FILLS_PER_COMMAND,
    LIQUIDATIONS_PER_COMMAND, SMALL_EFFORT,
};
use crate::order::Order;
use crate::output::{Output, Subject};
use crate::wire::command::{Command, Continue};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, TokenBody};

/// Work that is not finished.
#[derive(Clone, Debug)]
pub enum Work {
    Match(Taker),
    CancelAccount(CancelAccount),
    CancelMarket(CancelMarket),
    Settle(Settle),
    /// Prices to look at, fired orders and slices to run.
    Triggers,
    /// Items of an atomic batch that are still to come.
    Batch(Box<OpenBatch>),
    Uncross(Uncross),
    Due,
    /// One liquidation.
    Liquidate(Box<Liquidation>),
    /// Candidates whose time has come, worst first.
    LiquidateQueue,
    /// Sub-accounts that a mark, an index or a fill asks to look at.
    Looks,
    /// The same for the marks that a Tick found stale; the rest of the Tick follows.
    TickLooks,
    /// Positions and marks that changed, as coverage sees them.
    Stress,
    /// Markets below a verse whose halt begins or has ended.
    Verse(VerseWork),
    /// Orders and sets of a verse credit.
    Credit(Box<CreditJob>),
    /// A midpoint cross.
    Dark(Box<DarkJob>),
}

/// An order that is being matched; in no book meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Taker {
    pub order: Order,
    /// Its slot: reserved, or `stored` when the order never left the store (replace).
    pub slot: u32,
    /// While it matches in a leveraged market: the record of its owner's position, `NONE` = there was none.
    pub position: u32,
    pub stored: bool,
    /// Prices that may print now (P2.4.5).
    pub low: i64,
    pub high: i64,
    /// A liquidation: prints say so, and its fee is the liquidation's.
    pub liquidates: bool,
    /// Ticks at which it prints; 0 = at the maker's price.
    pub print_price: i64,
    /// Micro-quote that it has traded in a leveraged market.
    pub taken_value: i64,
}

impl Taker {
    /// The price of a fill against this maker: the maker's, or the one of the auction.
    #[inline]
    pub fn price_with(&self, maker: &Order) -> i64 {
        match self.print_price {
            0 => maker.price,
            price => price,
        }
    }
}

/// Cancels of one account's orders.
#[derive(Clone, Copy, Debug)]
pub struct CancelAccount {
    pub account: u32,
    pub market: u32,
    pub sub: u8,
    pub side: u8,
    pub reason: u8,
    pub done: u64,
}

/// Cancels of one market's orders; `close` ends the market behind them.
#[derive(Clone, Copy, Debug)]
pub struct CancelMarket {
    pub market: u32,
    pub side: u8,
    pub reason: u8,
    pub done: u64,
    pub close: bool,
    /// Waiting orders up to this id were looked at.
    pub after: u64,
}

/// Settlement of a closed leveraged market: those who lose first, so that what they cannot pay is known when those who
/// win are paid (P5.6).
#[derive(Clone, Copy, Debug, Default)]
pub struct Settle {
    pub market: u32,
    /// The account where it goes on.
    pub next: u32,
    pub winners: bool,
    /// Micro-quote that the market's line paid for those who could not.
    pub shortfall: i64,
    /// Profits at the settlement price: all of them, and of those who were charged; and what they were charged.
    pub profits: i128,
    pub seen: i128,
    pub charged: i64,
}

/// What one command may still do.
pub struct Budget {
    pub fills: u32,
    pub cancels: u32,
    pub due: u32,
    /// Price levels of a call auction.
    pub levels: u32,
    pub liquidations: u32,
    /// Instructions spent on what costs more than its number says: leveraged fills and liquidations.
    effort: u32,
}

impl Budget {
    pub const fn full() -> Self {
        Budget {
            fills: FILLS_PER_COMMAND,
            cancels: CANCELS_PER_COMMAND,
            due: DUE_PER_COMMAND,
            levels: AUCTION_LEVELS_PER_COMMAND,
            liquidations: LIQUIDATIONS_PER_COMMAND,
            effort: 0,
        }
    }

    /// Counts what an action takes.
    #[inline]
    pub fn spend(&mut self, effort: u32) {
        self.effort = self.effort.saturating_add(effort);
    }

    /// Whether an action that takes so much still belongs to this command. The first one of a command does, whatever it
    /// takes: else nothing would ever go on.
    #[inline]
    pub fn admits(&self, effort: u32) -> bool {
        self.effort + effort.min(EFFORT_PER_COMMAND - SMALL_EFFORT) <= EFFORT_PER_COMMAND
    }

    /// Whether the next action belongs to the next command.
    #[inline]
    pub fn is_spent(&self) -> bool {
        self.effort >= EFFORT_PER_COMMAND
    }
}

impl<B: Book> Engine<B> {
    /// Does as much as the budget allows; what is left becomes the pending continuation with `token`.
    ///
    /// Kinds of work stand in functions that are never inlined: this frame would hold those of all of them (P20).
    pub(crate) fn do_work(&mut self, command: &Command, token: u64, work: Work, output: &mut Output) {
        self.do_work_after(command, token, work, 0, output);
    }

    /// [`Engine::do_work`] of a command that has spent `effort` already.
    pub(crate) fn do_work_after(
        &mut self,
        command: &Command,
        token: u64,
        work: Work,
        effort: u32,
        output: &mut Output,
    ) {
        let mut budget = Budget::full();
        budget.spend(effort);
        let mut next = Some(work);
        while let Some(work) = next {
            let (rest, exhausted) = match work {
                Work::Match(mut taker) => {
                    let done = self.match_taker(command, &mut taker, &mut budget, output);
                    ((!done).then_some(Work::Match(taker)), true)
                }
                Work::CancelAccount(job) => {
                    let rest = self.cancel_account_orders(command, job, &mut budget, output);
                    (rest.map(Work::CancelAccount), true)
                }
                Work::CancelMarket(job) => {
                    let rest = self.cancel_market_orders(command, job, &mut budget, output);
                    (rest.map(Work::CancelMarket), true)
                }
                Work::Settle(job) => {
                    let rest = self.settle_positions(command, job, output);
                    (rest.map(Work::Settle), true)
                }
                Work::Triggers => (self.run_triggers(command, &mut budget, output), true),
                // Its items never came: nothing was applied and nothing remains.
                Work::Batch(_) => (None, true),
                Work::Uncross(job) => {
                    let rest = self.uncross(command, job, &mut budget, output);
                    (rest.map(Work::Uncross), true)
                }
                Work::Due => self.handle_due(command, &mut budget, output),
                Work::Liquidate(job) => {
                    let queued = job.queued;
                    match self.go_on_liquidating(command, job, &mut budget, output) {
                        Some(rest) => (Some(Work::Liquidate(rest)), true),
                        None => (queued.then_some(Work::LiquidateQueue), !queued),
                    }
                }
                Work::LiquidateQueue => self.liquidate_queue(command, &mut budget, output),
                Work::Looks => (self.look_at_pending(command, &mut budget, output), true),
                Work::TickLooks => match self.look_at_pending(command, &mut budget, output) {
                    Some(_) => (Some(Work::TickLooks), true),
                    None => (self.go_on_with_tick(command, output), false),
                },
                Work::Credit(job) => {
                    let rest = self.go_on_with_credit(command, job, &mut budget, output);
                    (rest.map(Work::Credit), true)
                }
                Work::Stress => self.look_at_stress(command, &mut budget, output),
                Work::Verse(job) => (self.go_on_with_verse(command, job, output), true),
                Work::Dark(job) => match self.go_on_crossing(command, job, &mut budget, output) {
                    Some(rest) => (Some(Work::Dark(rest)), true),
                    None => (self.is_due(command.time_ns).then_some(Work::Due), false),
                },
            };
            if exhausted || budget.is_spent() {
                // What is due at this moment too does not wait for the next Tick.
                let goes_on = token == self.ticking && self.is_due(command.time_ns);
                if let Some(rest) = rest.or(goes_on.then_some(Work::Due)) {
                    self.suspend(command, token, rest, output);
                }
                break;
            }
            next = rest;
        }
        self.effort = self.effort.saturating_add(budget.effort);
    }

    /// Keeps unfinished work for the next command.
    #[cold]
    pub(crate) fn suspend(&mut self, command: &Command, token: u64, rest: Work, output: &mut Output) {
        self.pending = Some((token, rest));
        output.emit(command, EventKind::ContinuationRequired, Subject::NONE, &TokenBody { token });
    }

    pub(crate) fn resume_work(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let token = command.payload_as::<Continue>().token;
        match self.pending.take() {
            Some((expected, work)) if expected == token => {
                self.do_work(command, token, work, output);
                Ok(token)
            }
            Some(pending) => {
                let expected = pending.0;
                self.pending = Some(pending);
                reject(Code::CONTINUATION_PENDING, expected as i64, token as i64)
            }
            None => reject(Code::INVALID_TRANSITION, 0, token as i64),
        }
    }
}
