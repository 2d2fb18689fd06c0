//! Marks of outcome markets from events alone (I08; P4.7): their domain, their speed, their sum, and that loans stand on
//! the marks that were told.

use std::collections::BTreeMap;

use super::fault::{ensure, fault, Check};
use super::outcome::OUTCOME;
use super::Auditor;
use crate::book::Book;
use crate::engine::Engine;
use crate::wire::event::{Event, EventKind, OutcomeMarkBody, OutcomeMarksBody};

const VALID: u8 = 0;
const DEGRADED: u8 = 2;
/// A mark moves at most by a fiftieth of the payout within each 400 ms.
const SPEED: i128 = 50 * 400_000_000;
/// The sum of marks is within this part of the payout (10 bp).
const SUM_PART: i128 = 1_000;

/// What the market's marks are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    /// By outcome, or of the first of two: ticks and moment.
    marks: BTreeMap<u8, (i64, i64)>,
    state: u8,
    /// Some have moved, and the whole was not told yet.
    open: bool,
}

/// Markets with positions.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    markets: BTreeMap<u32, Told>,
}

impl Marks {
    /// The mark of an outcome, or of the first of two, as it was told.
    pub(super) fn of(&self, market: u32, outcome: u8) -> Option<i64> {
        self.markets.get(&market)?.marks.get(&outcome).map(|mark| mark.0)
    }
}

impl Auditor {
    pub(super) fn check_marks(&mut self, kind: EventKind, event: &Event) -> Check {
        match kind {
            EventKind::OutcomeMarked => self.outcome_marked(event),
            _ => self.outcome_marks_set(event),
        }
    }

    fn outcome_marked(&mut self, event: &Event) -> Check {
        let body: OutcomeMarkBody = event.body_as();
        self.early.note(event.market, body.outcome, body.mark, self.time_ns);
        let market = *self.market(event.market)?;
        let ticks = market.payout_ticks();
        let lines = if market.outcome_count == 2 { 1 } else { market.outcome_count };
        let in_domain = |price: i64| (1..ticks).contains(&price);
        ensure!(
            market.kind == OUTCOME
                && body.outcome < lines
                && in_domain(body.mark)
                && in_domain(body.unclamped),
            "I08",
            "outcome {} of market {} is marked at {} of {ticks}",
            body.outcome,
            event.market,
            body.mark
        );
        let told = self.marks.markets.entry(event.market).or_default();
        told.open = true;
        let before = told.marks.insert(body.outcome, (body.mark, event.time_ns));
        let Some((mark, since_ns)) = before else { return Ok(()) };
        let moved = i128::from((body.mark - mark).abs()) * SPEED;
        let allowed = i128::from(ticks) * i128::from(event.time_ns - since_ns);
        let towards = (body.mark - mark).signum() * (body.unclamped - body.mark).signum() >= 0;
        ensure!(
            moved <= allowed && towards && (body.clamped == 1) == (body.mark != body.unclamped),
            "I08",
            "outcome {} of market {} moves from {mark} to {} for {}",
            body.outcome,
            event.market,
            body.mark,
            body.unclamped
        );
        Ok(())
    }

    fn outcome_marks_set(&mut self, event: &Event) -> Check {
        let body: OutcomeMarksBody = event.body_as();
        let market = *self.market(event.market)?;
        let ticks = market.payout_ticks();
        let told = self.marks.markets.entry(event.market).or_default();
        let known: i64 = told.marks.values().map(|mark| mark.0).sum();
        let sum = match (market.outcome_count, told.marks.len()) {
            (2, 1) => ticks,
            _ => known,
        };
        let whole = i128::from((sum - ticks).abs()) * SUM_PART <= i128::from(ticks);
        // Marks that are held do not move.
        let sound = match body.feed_state {
            VALID => told.open || told.state == DEGRADED,
            state => state == DEGRADED && told.state == VALID && !told.open,
        };
        ensure!(
            body.sum == sum && body.outcomes == market.outcome_count && whole && sound,
            "I08",
            "the marks of market {} are {sum} of {ticks} together, told as {body:?}",
            event.market
        );
        (told.open, told.state) = (false, body.feed_state);
        Ok(())
    }

    /// A loan or a sale of a position stands on the mark that was told last; a new loan on one that is not held.
    pub(super) fn check_mark(
        &self,
        event: &Event,
        (outcome, short): (u8, bool),
        mark: i64,
        opens: bool,
    ) -> Check {
        let market = self.market(event.market)?;
        let told = self.marks.markets.get(&event.market);
        let told = told.ok_or_else(|| fault("I08", format_args!("market {} has no marks", event.market)))?;
        let own = match (market.outcome_count, outcome) {
            (2, 1) => told.marks.get(&0).map_or(0, |mark| market.payout_ticks() - mark.0),
            _ => told.marks.get(&outcome).map_or(0, |mark| mark.0),
        };
        // All outcomes but one are what that one is not of the payout.
        let own = if short && own > 0 { market.payout_ticks() - own } else { own };
        ensure!(
            own == mark && mark > 0 && !told.open && (!opens || told.state == VALID),
            "I08",
            "outcome {outcome} of market {} is valued at {mark}, marked at {own}",
            event.market
        );
        Ok(())
    }

    /// A market whose last position ends forgets its marks.
    pub(super) fn forget_marks(&mut self, market: u32) {
        if !self.loans.has_any(market) {
            self.marks.markets.remove(&market);
        }
    }

    /// Takes the marks of a restored state over.
    pub(super) fn take_over_marks<B: Book>(&mut self, engine: &Engine<B>) {
        let loans = &engine.state.vault.loans;
        let markets: std::collections::BTreeSet<u32> = loans.iter().map(|(_, loan)| loan.market).collect();
        for market in markets {
            let Some(marks) = loans.marks(market) else { continue };
            let known = (0_u8..).zip(&marks.lines).filter(|(_, line)| line.mark != 0);
            let since_ns = marks.moved_ns();
            let told = Told {
                marks: known.map(|(outcome, line)| (outcome, (line.mark, since_ns))).collect(),
                state: marks.state,
                open: false,
            };
            self.marks.markets.insert(market, told);
        }
    }
}
