//! Pauses: one person stops, two others resume; a FREEZE takes two to set as well (protocol P7.5, P7.6, rows 0103
//! and 0104).

use crate::book::Book;
use crate::engine::Engine;
use crate::halts::breaker::phase;
use crate::halts::matrix::category;
use crate::halts::PauseRequest;
use crate::limits::{MAX_FREEZE_NS, MAX_PAUSE_NS, MAX_PAUSE_REQUESTS, RESUME_WINDOW_NS};
use crate::market::{level, status, Pause};
use crate::output::{Output, Subject};
use crate::state::{due, PLATFORM};
use crate::wire::command::{Command, PauseMarket, ResumeMarket, ALL_MARKETS};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, PauseBody, ResumeBody};

/// Bits of the bound of `RESUME_CONDITION_UNMET`: what is missing.
pub mod unmet {
    /// A breaker in scope is not CLOSED.
    pub const BREAKERS: i64 = 1;
    /// A feed in scope has not been VALID for 60 s.
    pub const FEEDS: i64 = 2;
    /// The breaker's own condition of P7.1 does not hold.
    pub const CONDITION: i64 = 4;
    /// Its call auction is running.
    pub const AUCTION: i64 = 8;
}

/// What a pause acts on: the due queue's number and the events' subject.
fn scope_of(market: u32) -> (u64, Subject) {
    if market == ALL_MARKETS {
        (PLATFORM, Subject::NONE)
    } else {
        (u64::from(market), Subject::market(market))
    }
}

impl<B: Book> Engine<B> {
    fn pause_of(&self, scope: u64) -> Option<&Pause> {
        if scope == PLATFORM {
            return self.state.platform_pause.as_ref();
        }
        self.state.markets.list.get(scope as usize).and_then(|market| market.pause.as_ref())
    }

    /// Whether a market is under FREEZE.
    pub(crate) fn is_frozen(&self, market: u32) -> bool {
        self.state.halts.in_force != 0
            && self.state.markets.list[market as usize]
                .pause
                .is_some_and(|pause| pause.level == level::FREEZE)
    }

    /// Puts a pause in force or takes it away, with everything that follows from it.
    pub(crate) fn set_pause(&mut self, scope: u64, pause: Option<Pause>) -> Option<Pause> {
        let slot = if scope == PLATFORM {
            &mut self.state.platform_pause
        } else {
            let market = &mut self.state.markets.list[scope as usize];
            let closes = pause.is_some_and(|pause| pause.level > level::NONE);
            match (market.status, closes) {
                (status::ACTIVE, true) => market.status = status::PAUSED,
                (status::PAUSED, false) => market.status = status::ACTIVE,
                _ => {}
            }
            &mut market.pause
        };
        let old = std::mem::replace(slot, pause);
        if pause.is_none() && old.is_some() {
            self.state.resolutions.early.release(scope as u32);
        }
        if let Some(end_ns) = old.and_then(|old| old.ends_ns()) {
            self.state.due.remove(&(end_ns, due::PAUSE_END, scope));
        }
        if let Some(end_ns) = pause.and_then(|pause| pause.ends_ns()) {
            self.state.due.insert((end_ns, due::PAUSE_END, scope));
        }
        self.state.halts.in_force += u32::from(pause.is_some());
        self.state.halts.in_force -= u32::from(old.is_some());
        old
    }

    pub(crate) fn pause_market(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: PauseMarket = command.payload_as();
        let (scope, subject) = scope_of(request.market);
        self.check_pausable(request.market)?;
        check_request(&request, command.time_ns)?;
        if let Some(old) = self.pause_of(scope) {
            check_tightens(old, &request)?;
        }
        let mut request = request;
        if needs_two(&request) {
            if !self.seconds_request(command, &request, scope)? {
                return self.open_request(command, &request, (scope, subject), output);
            }
            // Both persons agreed only to the earlier end.
            let first = self.state.halts.requests.remove(&scope).expect("seconded just now");
            request.until_ns = request.until_ns.min(first.until_ns.max(command.time_ns + 1));
        }
        let id = self.state.next_pause;
        self.state.next_pause += 1;
        let pause = Pause {
            id,
            level: request.level,
            categories: request.categories,
            until_ns: request.until_ns,
            by: command.principal,
            pending_by: [0; 32],
            pending_until_ns: 0,
        };
        self.set_pause(scope, Some(pause));
        output.emit(command, EventKind::PauseSet, subject, &body_of(&request, id, request.until_ns));
        Ok(u64::from(id))
    }

    fn check_pausable(&self, market: u32) -> Result<(), Reject> {
        if market == ALL_MARKETS {
            return Ok(());
        }
        match self.state.markets.list.get(market as usize).map(|market| market.status) {
            None => reject(Code::MARKET_NOT_FOUND, 0, i64::from(market)),
            Some(status::ACTIVE | status::PAUSED) => Ok(()),
            Some(present) => reject(Code::INVALID_TRANSITION, 0, i64::from(present)),
        }
    }

    /// Whether this is the second of two persons who ask for the same.
    fn seconds_request(&self, command: &Command, request: &PauseMarket, scope: u64) -> Result<bool, Reject> {
        let Some(first) = self.state.halts.requests.get(&scope) else { return Ok(false) };
        let same = (first.level, first.categories) == (request.level, request.categories);
        if !same || command.time_ns > first.expires_ns {
            return Ok(false);
        }
        if first.by == command.principal {
            return Err(Code::SELF_APPROVAL.into());
        }
        Ok(true)
    }

    fn open_request(
        &mut self,
        command: &Command,
        request: &PauseMarket,
        (scope, subject): (u64, Subject),
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let requests = &mut self.state.halts.requests;
        let live = |first: &PauseRequest| first.expires_ns >= command.time_ns;
        if !requests.contains_key(&scope)
            && requests.values().filter(|first| live(first)).count() >= MAX_PAUSE_REQUESTS
        {
            return reject(Code::CAPACITY_EXCEEDED, MAX_PAUSE_REQUESTS as i64, MAX_PAUSE_REQUESTS as i64);
        }
        requests.retain(|_, first| live(first));
        let expires_ns = command.time_ns.saturating_add(RESUME_WINDOW_NS);
        let entry = PauseRequest {
            level: request.level,
            categories: request.categories,
            until_ns: request.until_ns,
            by: command.principal,
            expires_ns,
        };
        requests.insert(scope, entry);
        output.emit(command, EventKind::PausePending, subject, &body_of(request, 0, expires_ns));
        Ok(0)
    }

    pub(crate) fn resume_market(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: ResumeMarket = command.payload_as();
        let (scope, subject) = scope_of(request.market);
        if request.market != ALL_MARKETS && request.market as usize >= self.state.markets.list.len() {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(request.market));
        }
        let Some(pause) = self.pause_of(scope).copied().filter(|pause| pause.id == request.pause_id) else {
            return reject(Code::INVALID_TRANSITION, 0, i64::from(request.pause_id));
        };
        let above =
            (scope != PLATFORM).then(|| self.verse_halt_over(request.market, command.time_ns)).flatten();
        if above.is_some_and(|halt| halt.id == pause.id) {
            // It ends with the halt of its verse.
            return reject(Code::INVALID_TRANSITION, i64::from(pause.level), i64::from(request.pause_id));
        }
        let first_is_live = pause.pending_by != [0; 32] && command.time_ns <= pause.pending_until_ns;
        if pause.by == command.principal || (first_is_live && pause.pending_by == command.principal) {
            return Err(Code::SELF_APPROVAL.into());
        }
        let mut body =
            ResumeBody { pause_id: pause.id, reserved: 0, until_ns: 0, principal: command.principal };
        if !first_is_live {
            body.until_ns = command.time_ns.saturating_add(RESUME_WINDOW_NS);
            let pending = Pause { pending_by: command.principal, pending_until_ns: body.until_ns, ..pause };
            self.set_pause(scope, Some(pending));
            output.emit(command, EventKind::ResumePending, subject, &body);
            return Ok(u64::from(request.pause_id));
        }
        let missing = self.unmet_for_resume(request.market, command.time_ns);
        if missing != 0 {
            return reject(Code::RESUME_CONDITION_UNMET, missing, i64::from(request.pause_id));
        }
        self.release_pause(command, (scope, subject), &body, output);
        Ok(u64::from(request.pause_id))
    }

    /// What P7.6 asks for and does not hold, as bits of [`unmet`]. The auditor is clean as long as there are commands:
    /// its first violation stops the engine.
    pub(super) fn unmet_for_resume(&self, market: u32, now_ns: i64) -> i64 {
        let halts = &self.state.halts;
        if market == ALL_MARKETS {
            let breakers = if halts.open_breakers > 0 { unmet::BREAKERS } else { 0 };
            return breakers | if halts.feeds_settled(now_ns) { 0 } else { unmet::FEEDS };
        }
        let open = |breakers: &crate::halts::MarketHalts| {
            breakers.breakers.iter().any(|breaker| breaker.phase != phase::CLOSED)
        };
        let breakers = if halts.of_market(market).is_some_and(open) { unmet::BREAKERS } else { 0 };
        let feed = self.state.perps.of_market(market).map(|perp| perp.feed);
        let settled = halts.feed_settled(feed, now_ns);
        breakers | if settled { 0 } else { unmet::FEEDS }
    }

    /// A PARTIAL pause ends by itself (P7.6); a FREEZE falls back to FULL, which two persons end (P7.5).
    pub(crate) fn end_pause(&mut self, command: &Command, scope: u64, output: &mut Output) {
        let subject = if scope == PLATFORM { Subject::NONE } else { Subject::market(scope as u32) };
        let Some(pause) = self.pause_of(scope).copied() else { return };
        if pause.level == level::FREEZE {
            let full = Pause { level: level::FULL, ..pause };
            self.set_pause(scope, Some(full));
            let request = PauseMarket {
                market: scope as u32,
                level: level::FULL,
                categories: pause.categories,
                reserved: 0,
                until_ns: pause.until_ns,
                reason: [0; 48],
            };
            output.emit(command, EventKind::PauseSet, subject, &body_of(&request, pause.id, pause.until_ns));
            return;
        }
        let body =
            ResumeBody { pause_id: pause.id, reserved: 0, until_ns: pause.until_ns, principal: [0; 32] };
        self.release_pause(command, (scope, subject), &body, output);
    }

    /// The end of a pause: a market whose verse is halted is then paused by that halt.
    fn release_pause(
        &mut self,
        command: &Command,
        (scope, subject): (u64, Subject),
        body: &ResumeBody,
        output: &mut Output,
    ) {
        let above = match scope {
            PLATFORM => None,
            _ => self.verse_halt_over(scope as u32, command.time_ns),
        };
        if let Some(halt) = above {
            return self.pause_for_verse(command, scope as u32, &halt, output);
        }
        self.set_pause(scope, None);
        output.emit(command, EventKind::Resumed, subject, body);
    }
}

pub(super) fn body_of(request: &PauseMarket, pause_id: u32, until_ns: i64) -> PauseBody {
    PauseBody {
        level: request.level,
        categories: request.categories,
        reserved: 0,
        pause_id,
        until_ns,
        reason: request.reason,
    }
}

/// FREEZE, and a mask that switches off liquidation, need two persons.
fn needs_two(request: &PauseMarket) -> bool {
    request.level == level::FREEZE || request.categories & category::LIQUIDATION != 0
}

/// The form of the request: level, mask, reason and end.
fn check_request(request: &PauseMarket, now_ns: i64) -> Result<(), Reject> {
    if request.reserved != 0 {
        return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
    }
    let shown = i64::from(request.level);
    if request.level > level::FREEZE {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(level::FREEZE), shown);
    }
    if request.level == level::NONE && request.categories == 0 {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(level::PARTIAL), shown);
    }
    // A mask may switch off liquidation only together with FULL (P7.6).
    if request.categories & category::LIQUIDATION != 0 && request.level < level::FULL {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(level::FULL), shown);
    }
    if request.reason.iter().all(|&byte| byte == 0 || byte == b' ') {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
    }
    if request.until_ns <= now_ns {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, now_ns, request.until_ns);
    }
    let longest = if request.level == level::FREEZE { MAX_FREEZE_NS } else { MAX_PAUSE_NS };
    let latest = now_ns.saturating_add(longest);
    if request.until_ns > latest {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, latest, request.until_ns);
    }
    Ok(())
}

/// A pause is only ever tightened; easing it is a resume.
fn check_tightens(old: &Pause, request: &PauseMarket) -> Result<(), Reject> {
    if request.level < old.level {
        return reject(Code::INVALID_TRANSITION, i64::from(old.level), i64::from(request.level));
    }
    if old.categories & !request.categories != 0 {
        return reject(Code::INVALID_TRANSITION, i64::from(old.categories), i64::from(request.categories));
    }
    Ok(())
}
