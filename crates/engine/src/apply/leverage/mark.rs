//! Marks of the outcomes of markets with leveraged positions (protocol P4.7).

use crate::book::Book;
use crate::engine::Engine;
use crate::oracle::state;
use crate::order::Order;
use crate::outcome::marks::{Marks, Terms};
use crate::output::{Output, Subject};
use crate::perp::mark::PREMIUM_SCALE;
use crate::wire::command::{side, Command};
use crate::wire::event::{EventKind, OutcomeMarkBody, OutcomeMarksBody};

/// Widest spread of a book whose middle is an index, of the payout.
const WIDEST_BP: u16 = 500;
const PPB: i128 = 1_000_000_000;

impl<B: Book> Engine<B> {
    /// The marks of a market as they are now, which nobody has kept yet. While a venue's prices are not to be believed
    /// the marks stay what they were.
    pub(super) fn marks_now(&self, market: u32, now_ns: i64) -> Marks {
        let lines = self.lines(market);
        let known = self.state.vault.loans.marks(market).cloned();
        let mut marks = known.unwrap_or_else(|| Marks::new(usize::from(lines), now_ns));
        let shown = self.state.venues.of_market(market);
        if shown.is_some_and(|shown| shown.state(now_ns) >= state::UNCERTAIN) {
            marks.hold(now_ns);
            return marks;
        }
        let ticks = self.market_of_loan(market).payout_ticks();
        marks.step(&self.mark_terms(market, now_ns), ticks, now_ns);
        marks
    }

    /// What each mark of a market is made of.
    fn mark_terms(&self, market: u32, now_ns: i64) -> Vec<Terms> {
        let entry = self.market_of_loan(market);
        let ticks = entry.payout_ticks();
        let shown = self.state.venues.of_market(market);
        let quotes = shown.map(|shown| self.state.venues.quotes(shown));
        let collects = self.collects(market);
        let terms = |line: u8| {
            let book = self.state.books.at(market, line);
            // A book that is collected for an auction may be crossed and says nothing about the price.
            let best = |of| if collects { None } else { book.best(of) };
            let (bid, ask) = (best(side::BUY), best(side::SELL));
            let last = match line {
                0 => entry.last_price,
                line => self.state.books.last_price(market, line),
            };
            let index_e6 = match quotes {
                // A value is (bid + ask) / 2 in millionths of the payout.
                Some(quotes) => quotes.get(usize::from(line)).map(|quote| quote.doubled() as i64 * ticks / 2),
                None => bid.zip(ask).and_then(|(bid, ask)| {
                    let narrow = ask - bid <= entry.ticks_of_bp(WIDEST_BP);
                    narrow.then_some((bid + ask) * (PREMIUM_SCALE / 2))
                }),
            };
            Terms { index_e6, bid, ask, last: Some(last).filter(|&last| last != 0) }
        };
        let mut all: Vec<Terms> = (0..self.lines(market)).map(terms).collect();
        if quotes.is_none() && all.iter().any(|terms| terms.index_e6.is_none()) {
            self.index_by_pool(market, ticks, now_ns, &mut all);
        }
        all
    }

    /// The pool's price is the index of a native market whose book is wide or has a side missing.
    fn index_by_pool(&self, market: u32, ticks: i64, now_ns: i64, terms: &mut [Terms]) {
        let Some(prices) = self.pool_prices(market, now_ns) else { return };
        for (terms, price_ppb) in terms.iter_mut().zip(prices).filter(|(terms, _)| terms.index_e6.is_none()) {
            let price_e6 = i128::from(price_ppb) * i128::from(ticks) * i128::from(PREMIUM_SCALE) / PPB;
            terms.index_e6 = Some(price_e6 as i64);
        }
    }

    /// Keeps the marks of a market and says what has moved.
    pub(super) fn keep_marks(&mut self, command: &Command, market: u32, marks: Marks, output: &mut Output) {
        let subject = Subject::market(market);
        let ticks = self.market_of_loan(market).payout_ticks();
        let old = self.state.vault.loans.marks(market);
        let before = |at: usize| old.and_then(|old| old.lines.get(at)).map_or(0, |line| line.mark);
        let mut moved = old.map_or(state::VALID, |old| old.state) != marks.state;
        let mut moves = Vec::new();
        for (at, line) in marks.lines.iter().enumerate().filter(|(at, line)| line.mark != before(*at)) {
            moved = true;
            moves.push((at as u8, (before(at), line.mark)));
            let body = OutcomeMarkBody {
                outcome: at as u8,
                clamped: u8::from(line.mark != line.target),
                reserved: 0,
                reserved2: 0,
                mark: line.mark,
                unclamped: line.target,
                index_e6: line.index_e6,
                premium_e6: line.premium_e6,
            };
            output.emit(command, EventKind::OutcomeMarked, subject, &body);
        }
        if moved {
            let outcomes = self.market_of_loan(market).outcome_count;
            let body = OutcomeMarksBody {
                sum: (0..outcomes).map(|outcome| marks.of(outcome, ticks)).sum(),
                outcomes,
                feed_state: marks.state,
                reserved: 0,
                reserved2: 0,
            };
            output.emit(command, EventKind::OutcomeMarksSet, subject, &body);
        }
        self.state.vault.loans.set_marks(market, marks);
        for (book, change) in moves {
            self.watch_loan_mark(command, (market, book), change, output);
        }
    }

    /// Whether a pledge's order sells what a liquidation takes from it.
    #[cold]
    pub(in crate::apply) fn is_liquidated(&self, order: &Order) -> bool {
        self.state.vault.loans.get((order.account, order.sub)).is_some_and(|loan| loan.since_ns != 0)
    }

    /// The kept mark of what a position holds, in ticks; 0 = unknown.
    pub(super) fn loan_mark(&self, market: u32, place: u8) -> i64 {
        let ticks = self.market_of_loan(market).payout_ticks();
        self.state.vault.loans.marks(market).map_or(0, |marks| marks.of_place(place, ticks))
    }
}
