//! The cross itself (protocol P16.1, P16.2): allocation and fills within the work of a command, prints a minute later.

use super::dark::{dark_reserve, half_rate};
use super::work::{Budget, Work};
use crate::book::Book;
use crate::dark::cross::{fills, round, Wish};
use crate::dark::{DarkOrder, Line, Print, PRINT};
use crate::engine::Engine;
use crate::fees::amount;
use crate::ledger::{line, post_system, post_user};
use crate::limits::*;
use crate::market::{kind, status};
use crate::output::{Output, Subject};
use crate::wire::command::Command;
use crate::wire::event::{
    cancel_reason, claims_cause, DarkCrossedBody, DarkFilledBody, DarkPrintedBody, EventKind,
};

/// Buyer, seller and lots of each fill.
type Fills = Vec<(u64, u64, i64)>;

/// A market's cross that goes on.
#[derive(Clone, Debug)]
pub struct DarkJob {
    pub market: u32,
    /// The book that is next.
    outcome: u8,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    /// Orders leave: the market ends, or governance has switched its cross off.
    Leaving(u8),
    Looking,
    Allocating {
        line: Line,
        lit: (i64, i64),
        wishes: Vec<Wish>,
        admitted: (i64, i64),
        rounds: u32,
    },
    Filling {
        line: Line,
        midpoint: i64,
        fills: Fills,
        at: usize,
    },
}

/// What one side of a fill pays and is charged.
struct Part {
    reserve: i64,
    freed: i64,
    fee: i64,
}

impl<B: Book> Engine<B> {
    /// A market's cross, or a print.
    pub(super) fn dark_due(&mut self, command: &Command, id: u64, output: &mut Output) -> Option<Work> {
        if id & PRINT != 0 {
            self.print_cross(command, id, output);
            return None;
        }
        let market = id as u32;
        self.state.dark.schedule(market, None, &mut self.state.due);
        let ended = self.state.markets.list[market as usize].status >= status::CLOSE_ONLY;
        let step = if ended || self.is_dark_over(market, command.time_ns) {
            Step::Leaving(cancel_reason::MARKET_CLOSED)
        } else if !self.crosses_darkly(market) {
            Step::Leaving(cancel_reason::CANCEL_ALL)
        } else {
            Step::Looking
        };
        Some(Work::Dark(Box::new(DarkJob { market, outcome: 0, step })))
    }

    fn is_dark_over(&self, market: u32, now_ns: i64) -> bool {
        let entry = &self.state.markets.list[market as usize];
        entry.has_outcomes() && now_ns >= entry.settle_time_ns.saturating_sub(RESOLUTION_BUFFER_NS)
    }

    /// Goes on with a cross; what is left when the command has done its share.
    #[inline(never)]
    pub(super) fn go_on_crossing(
        &mut self,
        command: &Command,
        mut job: Box<DarkJob>,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Box<DarkJob>> {
        loop {
            let effort = match &job.step {
                Step::Leaving(_) => DARK_CANCEL_EFFORT,
                Step::Looking | Step::Allocating { .. } => DARK_ROUND_EFFORT,
                Step::Filling { .. } => DARK_FILL_EFFORT,
            };
            if !budget.admits(effort) {
                return Some(job);
            }
            budget.spend(effort);
            if !self.cross_step(command, &mut job, output) {
                return None;
            }
        }
    }

    /// One step; whether another one follows.
    fn cross_step(&mut self, command: &Command, job: &mut DarkJob, output: &mut Output) -> bool {
        match &mut job.step {
            Step::Leaving(reason) => {
                let reason = *reason;
                let Some(line) = self.state.dark.next_line(job.market, 0) else { return false };
                let id = self.state.dark.of_line(line).next().map(|(id, _)| id);
                self.cancel_dark_order(command, id.expect("a known line has orders"), reason, output);
                true
            }
            Step::Looking => match self.state.dark.next_line(job.market, job.outcome) {
                Some(line) => {
                    job.outcome = line.1 + 1;
                    if let Some(step) = self.begin_line(line, command.time_ns) {
                        job.step = step;
                    }
                    true
                }
                None => {
                    if self.state.dark.next_line(job.market, 0).is_some() {
                        let next_ns = self.next_cross(command.time_ns);
                        self.state.dark.schedule(job.market, Some(next_ns), &mut self.state.due);
                    }
                    false
                }
            },
            Step::Allocating { line, lit, wishes, admitted, rounds } => {
                *rounds += 1;
                let (line, lit, rounds) = (*line, *lit, *rounds);
                let met = round(wishes);
                if !met && rounds < DARK_ROUNDS {
                    return true;
                }
                let found = if met { fills(wishes) } else { Vec::new() };
                let admitted = *admitted;
                job.step = match found.is_empty() {
                    true => Step::Looking,
                    false => self.begin_fills(command, (line, lit), (found, rounds, admitted), output),
                };
                true
            }
            Step::Filling { line, midpoint, fills, at } => {
                let (place, half_ticks, pair) = (*line, *midpoint, fills[*at]);
                *at += 1;
                let last = *at == fills.len();
                self.fill_dark(command, place, half_ticks, pair, output);
                if last {
                    job.step = Step::Looking;
                }
                true
            }
        }
    }

    /// What a book's cross begins with; None when there is none.
    fn begin_line(&self, line: Line, now_ns: i64) -> Option<Step> {
        let lit = self.lit_reference(line, now_ns)?;
        if self.state.dark.waiting_prints() >= MAX_DARK_PRINTS {
            return None;
        }
        let midpoint = lit.0 + lit.1;
        let admitted = self.state.dark.of_line(line).filter(|(_, order)| order.admits(midpoint));
        let wish = |(id, order): (u64, &DarkOrder)| Wish {
            id,
            buys: order.buys(),
            lots: order.lots,
            least: order.min_lots.min(order.lots),
            given: 0,
        };
        let wishes: Vec<Wish> = admitted.map(wish).collect();
        let sum = |buys: bool| wishes.iter().filter(|one| one.buys == buys).map(|one| one.lots).sum();
        let admitted = (sum(true), sum(false));
        Some(Step::Allocating { line, lit, wishes, admitted, rounds: 0 })
    }

    fn begin_fills(
        &mut self,
        command: &Command,
        (line, (bid, ask)): (Line, (i64, i64)),
        (fills, rounds, (buy_lots, sell_lots)): (Fills, u32, (i64, i64)),
        output: &mut Output,
    ) -> Step {
        let lots = fills.iter().map(|fill| fill.2).sum();
        let body = DarkCrossedBody {
            outcome: line.1,
            reserved: 0,
            rounds: rounds as u16,
            fills: fills.len() as u32,
            bid,
            ask,
            lots,
            buy_lots,
            sell_lots,
        };
        output.emit(command, EventKind::DarkCrossed, Subject::market(line.0), &body);
        let print = Print {
            due_ns: command.time_ns.saturating_add(DARK_PRINT_DELAY_NS),
            crossed_ns: command.time_ns,
            market: line.0,
            outcome: line.1,
            midpoint: bid + ask,
            lots,
        };
        self.state.dark.add_print(print, &mut self.state.due);
        Step::Filling { line, midpoint: bid + ask, fills, at: 0 }
    }

    /// Half of what a taker would pay now, at most what the order was told.
    fn dark_part(&self, order: &DarkOrder, lots: i64, base: i64, now_ns: i64) -> Part {
        const FITS: &str = "a fill is not larger than its accepted order";
        let market = &self.state.markets.list[order.market as usize];
        let fixed_e8 = market.parameters.taker_fee_e6bp.saturating_mul(100);
        let now_e8 = match market.is_elastic() {
            true => {
                let place = (order.market, order.outcome);
                let told = self.elastic_in_book(place, order.account, now_ns).rate_e8;
                u32::try_from(told).unwrap_or(u32::MAX)
            }
            false => fixed_e8,
        };
        let rate_e8 = half_rate(now_e8).min(order.cap_e8);
        let reserve = dark_reserve(market, order, order.lots - lots).expect(FITS);
        Part { reserve, freed: order.reserve - reserve, fee: amount(base, rate_e8) }
    }

    /// One fill: money and what is sold change hands at the midpoint; the half micro-units that both sides lose by rounding
    /// are dust (P16.1).
    fn fill_dark(
        &mut self,
        command: &Command,
        (market, outcome): Line,
        midpoint: i64,
        (buyer_id, seller_id, lots): (u64, u64, i64),
        output: &mut Output,
    ) {
        let known = |id| *self.state.dark.get(id).expect("an allocated order rests");
        let (buyer, seller) = (known(buyer_id), known(seller_id));
        let entry = &self.state.markets.list[market as usize];
        let (quote, base_asset, is_spot) = (entry.quote, entry.base, entry.kind == kind::SPOT);
        let (paid, received) = halves(midpoint, lots, entry.unit);
        let base = match is_spot {
            true => paid,
            false => halves(midpoint.min(2 * entry.payout_ticks() - midpoint), lots, entry.unit).0,
        };
        let sold = lots * entry.lot_size;
        let mut buying = self.dark_part(&buyer, lots, base, command.time_ns);
        let mut selling = self.dark_part(&seller, lots, base, command.time_ns);
        // Rounding up at every fill could come to more than what secures the order.
        buying.fee = buying.fee.min(buying.freed - paid);
        selling.fee = selling.fee.min(received);
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        let (account, sub) = (buyer.account, buyer.sub);
        post_user(accounts, postings, account, sub, quote, line::HELD, -buying.freed);
        post_user(accounts, postings, account, sub, quote, line::FREE, buying.freed - paid - buying.fee);
        if is_spot {
            post_user(accounts, postings, account, sub, base_asset, line::FREE, sold);
            post_user(accounts, postings, seller.account, seller.sub, base_asset, line::HELD, -sold);
        }
        let proceeds = received - selling.fee;
        post_user(accounts, postings, seller.account, seller.sub, quote, line::FREE, proceeds);
        post_system(&mut self.state.system, postings, line::DUST, 0, quote, paid - received);
        self.post_fees(buying.fee + selling.fee, quote, &mut output.postings);
        self.state.dark.shrink(buyer_id, buyer.lots - lots, buying.reserve);
        self.state.dark.shrink(seller_id, seller.lots - lots, selling.reserve);
        let body = DarkFilledBody {
            seller_order: seller_id,
            seller_account: seller.account,
            seller_sub: seller.sub,
            outcome,
            reserved: 0,
            midpoint,
            lots,
            paid,
            received,
            buyer_fee: buying.fee,
            seller_fee: selling.fee,
        };
        let subject = super::dark::dark_subject(buyer_id, &buyer);
        output.emit(command, EventKind::DarkFilled, subject, &body);
        if !is_spot {
            let cause = claims_cause::TRADE;
            self.move_claims(command, &subject, outcome, (sold, 0), cause, output);
            let subject = super::dark::dark_subject(seller_id, &seller);
            self.move_claims(command, &subject, outcome, (0, -sold), cause, output);
        }
        self.after_collateral(command, buyer.account, buyer.sub, output);
        self.after_collateral(command, seller.account, seller.sub, output);
    }

    fn print_cross(&mut self, command: &Command, id: u64, output: &mut Output) {
        let Some(print) = self.state.dark.take_print(id) else { return };
        let body = DarkPrintedBody {
            outcome: print.outcome,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
            crossed_ns: print.crossed_ns,
            midpoint: print.midpoint,
            lots: print.lots,
        };
        output.emit(command, EventKind::DarkPrinted, Subject::market(print.market), &body);
    }
}

/// Half of `half ticks · lots · unit`, rounded up for the buyer and down for the seller.
fn halves(half_ticks: i64, lots: i64, unit: i64) -> (i64, i64) {
    let total = i128::from(half_ticks) * i128::from(lots) * i128::from(unit);
    (((total + 1) / 2) as i64, (total / 2) as i64)
}
