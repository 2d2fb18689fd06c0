//! Halts of verses (protocol P15.8, P7.6): a halt pauses every market below it, in bounded steps; two others end it.

use super::work::Work;
use crate::book::Book;
use crate::engine::Engine;
use crate::limits::{MAX_PAUSE_NS, RESUME_WINDOW_NS, VERSE_LINKS_PER_STEP, VERSE_PAUSES_PER_STEP};
use crate::market::{level, status, Pause};
use crate::output::{Output, Subject};
use crate::state::{due, VERSE_PAUSE};
use crate::verse;
use crate::wire::command::{Command, HaltVerse, PauseMarket, ResumeVerse};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, ResumeBody, VerseHaltBody, VerseResolvedBody, VerseResumeBody};

/// What a pause says that a market has from its verse.
const REASON: [u8; 48] = *b"its verse is halted\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Markets below a verse that are still to be brought in line with its halts.
#[derive(Clone, Copy, Debug)]
pub struct VerseWork {
    pub verse: u32,
    /// Pause of the halt that has ended; 0 = one begins.
    pub ended: u32,
    /// First market that was not looked at.
    pub next: u32,
}

impl<B: Book> Engine<B> {
    /// 0E02/3: halts a verse: every market below it is paused, and its tree and links stand still.
    ///
    /// # Errors
    /// `RESERVED_NOT_ZERO`, `VERSE_NOT_FOUND`, `PARAMETER_OUT_OF_BOUNDS` (level PARTIAL or FULL; a reason; an end at most
    /// 72 h ahead), `INVALID_TRANSITION` for a verse that is resolved or halted as strictly (bound: its level).
    pub(crate) fn halt_verse(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: HaltVerse = command.payload_as();
        self.check_halt(&request, command.time_ns)?;
        let id = self.state.next_pause;
        self.state.next_pause += 1;
        let halt = Pause {
            id,
            level: request.level,
            categories: 0,
            until_ns: request.until_ns,
            by: command.principal,
            pending_by: [0; 32],
            pending_until_ns: 0,
        };
        self.set_verse_halt(request.verse, Some(halt));
        let body = VerseHaltBody {
            verse: request.verse,
            pause_id: id,
            level: request.level,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
            until_ns: request.until_ns,
            reason: request.reason,
        };
        output.emit(command, EventKind::VerseHalted, Subject::NONE, &body);
        let work = VerseWork { verse: request.verse, ended: 0, next: 0 };
        self.do_work(command, command.seq, Work::Verse(work), output);
        Ok(u64::from(id))
    }

    fn check_halt(&self, request: &HaltVerse, now_ns: i64) -> Result<(), Reject> {
        let reserved = i64::from(request.reserved) | i64::from(request.reserved2);
        if reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, reserved);
        }
        let present = self.state.verses.find(request.verse)?.halt;
        if !(level::PARTIAL..=level::FULL).contains(&request.level) {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(level::FULL), i64::from(request.level));
        }
        if request.reason.iter().all(|&byte| byte == 0 || byte == b' ') {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
        }
        let latest_ns = now_ns.saturating_add(MAX_PAUSE_NS);
        if request.until_ns <= now_ns || request.until_ns > latest_ns {
            let bound = if request.until_ns <= now_ns { now_ns } else { latest_ns };
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, bound, request.until_ns);
        }
        if let Some(halt) = present.filter(|halt| halt.level >= request.level) {
            return reject(Code::INVALID_TRANSITION, i64::from(halt.level), i64::from(request.level));
        }
        if self.state.verses.is_resolved(request.verse) {
            return reject(Code::INVALID_TRANSITION, i64::from(verse::status::RESOLVED), 0);
        }
        Ok(())
    }

    /// 0E02/4: one of the two approvals that end a halt; neither comes from who set it.
    ///
    /// # Errors
    /// `VERSE_NOT_FOUND`, `INVALID_TRANSITION` unless this is the verse's halt, `SELF_APPROVAL`.
    pub(crate) fn resume_verse(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: ResumeVerse = command.payload_as();
        let present = self.state.verses.find(request.verse)?.halt;
        let Some(halt) = present.filter(|halt| halt.id == request.pause_id) else {
            return reject(Code::INVALID_TRANSITION, 0, i64::from(request.pause_id));
        };
        let first_is_live = halt.pending_by != [0; 32] && command.time_ns <= halt.pending_until_ns;
        if halt.by == command.principal || (first_is_live && halt.pending_by == command.principal) {
            return Err(Code::SELF_APPROVAL.into());
        }
        let mut body = VerseResumeBody {
            verse: request.verse,
            pause_id: halt.id,
            until_ns: 0,
            principal: command.principal,
        };
        if !first_is_live {
            body.until_ns = command.time_ns.saturating_add(RESUME_WINDOW_NS);
            let pending = Pause { pending_by: command.principal, pending_until_ns: body.until_ns, ..halt };
            self.set_verse_halt(request.verse, Some(pending));
            output.emit(command, EventKind::VerseResumePending, Subject::NONE, &body);
            return Ok(u64::from(halt.id));
        }
        self.set_verse_halt(request.verse, None);
        output.emit(command, EventKind::VerseResumed, Subject::NONE, &body);
        let work = VerseWork { verse: request.verse, ended: halt.id, next: 0 };
        self.do_work(command, command.seq, Work::Verse(work), output);
        Ok(u64::from(halt.id))
    }

    /// A PARTIAL halt ends by itself, as a pause does.
    pub(super) fn end_verse_halt(&mut self, command: &Command, verse: u32, output: &mut Output) -> Work {
        let halt = self.state.verses.get(verse).and_then(|entry| entry.halt);
        let halt = halt.expect("a halt owns its due item");
        self.set_verse_halt(verse, None);
        let body = VerseResumeBody { verse, pause_id: halt.id, until_ns: halt.until_ns, principal: [0; 32] };
        output.emit(command, EventKind::VerseResumed, Subject::NONE, &body);
        Work::Verse(VerseWork { verse, ended: halt.id, next: 0 })
    }

    fn set_verse_halt(&mut self, verse: u32, halt: Option<Pause>) {
        let old = self.state.verses.set_halt(verse, halt);
        let item = |end_ns| (end_ns, due::PAUSE_END, VERSE_PAUSE | u64::from(verse));
        if let Some(end_ns) = old.and_then(|old| old.ends_ns()) {
            self.state.due.remove(&item(end_ns));
        }
        if let Some(end_ns) = halt.and_then(|halt| halt.ends_ns()) {
            self.state.due.insert(item(end_ns));
        }
    }

    /// Brings markets below a verse in line with the halts above them; what a step does not reach is left.
    #[inline(never)]
    pub(super) fn go_on_with_verse(
        &mut self,
        command: &Command,
        mut job: VerseWork,
        output: &mut Output,
    ) -> Option<Work> {
        let mut pauses = 0;
        for _ in 0..VERSE_LINKS_PER_STEP {
            let (market, verse) = self.state.verses.next_link(job.next)?;
            if pauses == VERSE_PAUSES_PER_STEP {
                return Some(Work::Verse(job));
            }
            job.next = market + 1;
            if self.state.verses.is_below(verse, job.verse) {
                pauses += u32::from(self.align_with_verses(command, market, job.ended, output));
            }
        }
        Some(Work::Verse(job))
    }

    /// Whether a market's pause changed.
    fn align_with_verses(&mut self, command: &Command, market: u32, ended: u32, output: &mut Output) -> bool {
        let entry = &self.state.markets.list[market as usize];
        if !matches!(entry.status, status::ACTIVE | status::PAUSED) {
            return false;
        }
        let of_ended = entry.pause.filter(|pause| ended != 0 && pause.id == ended);
        let present = entry.pause.map_or(level::NONE, |pause| pause.level);
        match self.verse_halt_over(market, command.time_ns) {
            Some(halt) if of_ended.is_some() || present < halt.level => {
                self.pause_for_verse(command, market, &halt, output);
                true
            }
            Some(_) => false,
            // A market that may not resume yet keeps its pause, which two persons end alone.
            None if of_ended.is_some()
                && !self.is_triggered_early(market)
                && self.unmet_for_resume(market, command.time_ns) == 0 =>
            {
                let pause = of_ended.expect("looked at just now");
                self.set_pause(u64::from(market), None);
                let body = ResumeBody {
                    pause_id: pause.id,
                    reserved: 0,
                    until_ns: pause.until_ns,
                    principal: command.principal,
                };
                output.emit(command, EventKind::Resumed, Subject::market(market), &body);
                true
            }
            None => false,
        }
    }

    /// The strictest halt of the verses above a market; one that time ends now is none.
    pub(super) fn verse_halt_over(&self, market: u32, now_ns: i64) -> Option<Pause> {
        let verses = &self.state.verses;
        let halts = verses.halts_over(verses.of_market(market));
        let live = halts.filter(|halt| halt.ends_ns().is_none_or(|end_ns| end_ns > now_ns));
        live.max_by_key(|halt| halt.level)
    }

    /// Pauses a market as a halt above it says; what its own mask stops stays stopped.
    pub(super) fn pause_for_verse(
        &mut self,
        command: &Command,
        market: u32,
        halt: &Pause,
        output: &mut Output,
    ) {
        let present = self.state.markets.list[market as usize].pause;
        let categories = present.map_or(0, |pause| pause.categories);
        let pause = Pause { categories, pending_by: [0; 32], pending_until_ns: 0, ..*halt };
        self.set_pause(u64::from(market), Some(pause));
        let shown = PauseMarket {
            market,
            level: pause.level,
            categories,
            reserved: 0,
            until_ns: pause.until_ns,
            reason: REASON,
        };
        let body = super::pauses::body_of(&shown, pause.id, pause.until_ns);
        output.emit(command, EventKind::PauseSet, Subject::market(market), &body);
    }

    /// A market below verses is settled: those below which nothing is open any more are RESOLVED.
    pub(super) fn settled_in_verse(&mut self, command: &Command, market: u32, output: &mut Output) {
        for (verse, markets) in self.state.verses.settle(market) {
            let body = VerseResolvedBody { verse, markets };
            output.emit(command, EventKind::VerseResolved, Subject::NONE, &body);
        }
    }

    /// A market whose verses are halted keeps its place (P15.8).
    ///
    /// # Errors
    /// `INVALID_TRANSITION` (given: the verse).
    pub(super) fn check_verse_moves(&self, verse: u32) -> Result<(), Reject> {
        match self.state.verses.halts_over(verse).next() {
            Some(halt) => reject(Code::INVALID_TRANSITION, i64::from(halt.level), i64::from(verse)),
            None => Ok(()),
        }
    }
}
