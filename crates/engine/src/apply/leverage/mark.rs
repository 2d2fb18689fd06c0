//! Marks of the outcomes that leveraged positions hold (protocol P4.7).

use crate::book::Book;
use crate::engine::Engine;
use crate::oracle::state;
use crate::wire::command::side;

/// Widest spread of a book whose middle counts, and how far a mark moves within each [`STEP_NS`]; both absolute.
const WIDEST_BP: u16 = 500;
const STEP_BP: u16 = 200;
const STEP_NS: i64 = 400_000_000;

impl<B: Book> Engine<B> {
    /// The mark of an outcome in ticks as it would be now: the mean of the index (the venue's middle, or the book's when
    /// it is narrow) and the median of best bid, best ask and last trade; one of them when the other is missing. None
    /// without either, or while the venue's prices are not to be believed.
    pub(super) fn raw_loan_mark(&self, market: u32, outcome: u8, now_ns: i64) -> Option<i64> {
        let entry = &self.state.markets.list[market as usize];
        let (ticks, binary) = (entry.payout_ticks(), entry.outcome_count == 2);
        // Of two outcomes one is marked and the other is what remains, so that both are the payout together (I08).
        let line = if binary { 0 } else { outcome };
        let index = match self.state.venues.of_market(market) {
            Some(shown) if shown.state(now_ns) >= state::UNCERTAIN => return None,
            Some(shown) => {
                let quote = self.state.venues.quotes(shown).get(usize::from(line))?;
                Some(quote.doubled() as i64 * ticks / 2_000_000)
            }
            None => self.narrow_middle(market, line),
        };
        let reference = Some(self.reference_of(market, line)).filter(|&reference| reference != 0);
        let mark = match (index, reference) {
            (Some(index), Some(reference)) => (index + reference) / 2,
            (Some(price), None) | (None, Some(price)) => price,
            (None, None) => return None,
        };
        let mark = mark.clamp(1, ticks - 1);
        Some(if binary && outcome == 1 { ticks - mark } else { mark })
    }

    /// The middle of a book, if its spread is no wider than 0.05.
    fn narrow_middle(&self, market: u32, line: u8) -> Option<i64> {
        let entry = &self.state.markets.list[market as usize];
        let book = self.state.books.at(market, line);
        let (bid, ask) = (book.best(side::BUY)?, book.best(side::SELL)?);
        (ask - bid <= entry.ticks_of_bp(WIDEST_BP)).then_some((bid + ask) / 2)
    }

    /// The mark that positions of an outcome have now: it moves by at most 0.02 in each 400 ms.
    pub(super) fn loan_mark(&self, market: u32, outcome: u8, now_ns: i64) -> Option<i64> {
        let known = self.state.vault.loans.leg(market, outcome).filter(|leg| leg.mark != 0);
        let raw = self.raw_loan_mark(market, outcome, now_ns);
        let Some(leg) = known else { return raw };
        let Some(raw) = raw else { return Some(leg.mark) };
        let steps = now_ns.saturating_sub(leg.mark_ns) / STEP_NS;
        let entry = &self.state.markets.list[market as usize];
        let reach = steps.saturating_mul(entry.ticks_of_bp(STEP_BP).max(1));
        Some(raw.clamp(leg.mark.saturating_sub(reach), leg.mark.saturating_add(reach)))
    }

    /// Marks an outcome anew; a mark that nothing supports any more stays.
    pub(super) fn refresh_loan_mark(&mut self, market: u32, outcome: u8, now_ns: i64) -> i64 {
        let mark = self.loan_mark(market, outcome, now_ns).unwrap_or(0);
        let known = self.state.vault.loans.leg(market, outcome).map_or(0, |leg| leg.mark_ns);
        // Steps that are not over yet count for the next mark.
        let whole_ns = known + now_ns.saturating_sub(known) / STEP_NS * STEP_NS;
        if mark != 0 && whole_ns > known {
            self.state.vault.loans.set_mark(market, outcome, mark, whole_ns);
        }
        self.state.vault.loans.leg(market, outcome).map_or(0, |leg| leg.mark)
    }
}
