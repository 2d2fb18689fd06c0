//! Early triggers (protocol P15.5, P4.6.3): a market whose price jumps to an end is paused, and may be resolved.

use crate::book::Book;
use crate::engine::Engine;
use crate::market::{kind, level, status, Pause};
use crate::output::{Output, Subject};
use crate::resolution::stage;
use crate::wire::command::{Command, PauseMarket};
use crate::wire::event::{early_cause, EarlyBody, EventKind};

/// What the pause of a triggered market says.
const REASON: [u8; 48] = *b"early trigger: its price has jumped\0\0\0\0\0\0\0\0\0\0\0\0\0";

impl<B: Book> Engine<B> {
    /// A book has traded at another price than before. What is marked is watched by its marks.
    pub(super) fn watch_trade(
        &mut self,
        command: &Command,
        (market, book): (u32, u8),
        (previous, price): (i64, i64),
        output: &mut Output,
    ) {
        if previous == 0 || previous == price {
            return;
        }
        let marks = self.state.vault.loans.marks(market).and_then(|marks| marks.lines.get(usize::from(book)));
        if marks.is_none_or(|line| line.mark == 0) {
            self.watch_jump(command, (market, book), (previous, price), early_cause::TRADE, output);
        }
    }

    /// A book has another mark than before.
    pub(super) fn watch_loan_mark(
        &mut self,
        command: &Command,
        (market, book): (u32, u8),
        (previous, mark): (i64, i64),
        output: &mut Output,
    ) {
        if previous != 0 && mark != 0 {
            self.watch_jump(command, (market, book), (previous, mark), early_cause::MARK, output);
        }
    }

    #[inline(never)]
    fn watch_jump(
        &mut self,
        command: &Command,
        (market, book): (u32, u8),
        moved: (i64, i64),
        cause: u8,
        output: &mut Output,
    ) {
        let entry = &self.state.markets.list[market as usize];
        let open = matches!(entry.status, status::ACTIVE | status::PAUSED);
        if entry.kind != kind::OUTCOME || !open {
            return;
        }
        let ticks = entry.payout_ticks();
        let early = &mut self.state.resolutions.early;
        let jumped = early.note((market, book), moved, ticks, command.time_ns);
        let Some(from) = jumped.filter(|_| !early.is_triggered(market)) else { return };
        let body = EarlyBody {
            outcome: book,
            cause,
            reserved: 0,
            reserved2: 0,
            price: moved.1,
            jumped_from: from,
            payout_ticks: ticks,
        };
        output.emit(command, EventKind::EarlyTriggered, Subject::market(market), &body);
        self.pause_early(command, market, output);
        self.state.resolutions.early.trigger(market);
    }

    /// PARTIAL until two persons or the resolution end it; what is stricter stays.
    fn pause_early(&mut self, command: &Command, market: u32, output: &mut Output) {
        let entry = &self.state.markets.list[market as usize];
        let present = entry.pause;
        if present.is_some_and(|pause| pause.level > level::PARTIAL) {
            return;
        }
        // Time does not end it before the market's own end does.
        let until_ns = entry.settle_time_ns.saturating_add(1);
        let id = self.state.next_pause;
        self.state.next_pause += 1;
        let pause = Pause {
            id,
            level: level::PARTIAL,
            categories: present.map_or(0, |pause| pause.categories),
            until_ns,
            by: [0; 32],
            pending_by: [0; 32],
            pending_until_ns: 0,
        };
        self.set_pause(u64::from(market), Some(pause));
        let shown = PauseMarket {
            market,
            level: pause.level,
            categories: pause.categories,
            reserved: 0,
            until_ns,
            reason: REASON,
        };
        let body = super::pauses::body_of(&shown, id, until_ns);
        output.emit(command, EventKind::PauseSet, Subject::market(market), &body);
    }

    /// Whether a market is paused because its price has jumped, so that it may be resolved before its time.
    pub fn is_triggered_early(&self, market: u32) -> bool {
        self.state.resolutions.early.is_triggered(market)
    }

    /// Whether no debt may be taken up in a market any more, whatever its time (P4.6.3).
    pub(super) fn is_about_to_resolve(&self, market: u32) -> bool {
        let proposed = self.state.resolutions.get(market).is_some_and(|one| one.stage != stage::OPEN);
        proposed || self.is_triggered_early(market)
    }
}
