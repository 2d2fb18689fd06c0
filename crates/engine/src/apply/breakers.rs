//! Circuit breakers: trip, close, configure, timers (protocol P7.1, P7.3, P7.4, P7.7, row 0108).

use super::pauses::unmet;
use super::work::Work;
use crate::book::Book;
use crate::engine::Engine;
use crate::halts::breaker::{
    cause, has_auction, phase, rule, Breaker, Range, Reopening, COOLDOWN_S, OF_MARKET, OF_PLATFORM,
};
use crate::halts::{due_id, Facts, Reading, FEED_DUE};
use crate::limits::{AUCTION_NS, BREAKER_RECHECK_NS, PROBATION_NS, RESUME_WINDOW_NS};
use crate::market::kind as market_kind;
use crate::output::{Output, Subject};
use crate::state::due;
use crate::wire::command::{Breaker as BreakerRequest, Command, ConfigureBreaker, ALL_MARKETS};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{BreakerBody, BreakerReasonBody, BreakerSettingsBody, EventKind};

/// Seconds over which B5 looks for calm before it closes.
const CONGESTION_RESUME_S: i64 = 30;

fn subject_of(scope: u32) -> Subject {
    if scope == ALL_MARKETS {
        Subject::NONE
    } else {
        Subject::market(scope)
    }
}

impl<B: Book> Engine<B> {
    /// One EMERGENCY principal trips a breaker by hand (P7.7).
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `PARAMETER_OUT_OF_BOUNDS` (no such breaker in this scope, no reason),
    /// `INVALID_TRANSITION` (it is tripped: bound until), `COOLDOWN_ACTIVE` (bound: its end).
    pub(crate) fn trip_breaker(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: BreakerRequest = command.payload_as();
        self.check_breaker_request(&request)?;
        let (scope, id) = (request.market, request.breaker);
        let threshold = match self.state.halts.breaker(scope, id) {
            None => rule(id).expect("checked above").threshold.default,
            Some(breaker) => {
                let (now, until) = (command.time_ns, breaker.until_ns);
                if matches!(breaker.phase, phase::TRIPPED | phase::AUCTION) {
                    return reject(Code::INVALID_TRANSITION, until, i64::from(id));
                }
                let ready_ns = breaker.cooldown_until_ns();
                if breaker.phase == phase::CLOSED && now < ready_ns {
                    return reject(Code::COOLDOWN_ACTIVE, ready_ns, now);
                }
                breaker.threshold_now()
            }
        };
        if scope != ALL_MARKETS {
            self.open_halts(scope);
        }
        let reading = Reading { breaker: id, cause: cause::MANUAL, value: 0, threshold };
        self.trip(command, scope, reading, command.principal, output);
        let body = BreakerReasonBody {
            breaker: id,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
            reason: request.reason,
        };
        output.emit(command, EventKind::BreakerReasoned, subject_of(scope), &body);
        Ok(u64::from(id))
    }

    /// Two RESUMER principals end a halt early (P7.7): the time is waived, the condition of P7.1 is not. A halt that
    /// reopens by auction goes to its auction now; a probation ends.
    ///
    /// # Errors
    /// `BREAKER_NOT_TRIPPED`, `SELF_APPROVAL`, `RESUME_CONDITION_UNMET` (bound: bits of `pauses::unmet`).
    pub(crate) fn close_breaker(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: BreakerRequest = command.payload_as();
        self.check_breaker_request(&request)?;
        let (scope, id, now) = (request.market, request.breaker, command.time_ns);
        let known = self.state.halts.breaker(scope, id).filter(|breaker| breaker.phase != phase::CLOSED);
        let Some(breaker) = known.cloned() else {
            return reject(Code::BREAKER_NOT_TRIPPED, 0, i64::from(id));
        };
        let first_is_live = breaker.pending_by != [0; 32] && now <= breaker.pending_until_ns;
        let is_same = first_is_live && breaker.pending_by == command.principal;
        if is_same || breaker.tripped_by == command.principal {
            return Err(Code::SELF_APPROVAL.into());
        }
        if !first_is_live {
            let until_ns = now.saturating_add(RESUME_WINDOW_NS);
            let entry = self.state.halts.breaker_mut(scope, id).expect("found above");
            (entry.pending_by, entry.pending_until_ns) = (command.principal, until_ns);
            let body = BreakerBody { until_ns, principal: command.principal, ..body_of(&breaker) };
            output.emit(command, EventKind::BreakerResumePending, subject_of(scope), &body);
            return Ok(u64::from(id));
        }
        let missing = self.unmet_for_close(scope, &breaker, now);
        if missing != 0 {
            return reject(Code::RESUME_CONDITION_UNMET, missing, i64::from(id));
        }
        let reopening = rule(id).expect("a breaker of P7.1").reopening;
        match (breaker.phase, reopening) {
            (phase::TRIPPED, Reopening::Auction) => self.start_auction(command, scope, output),
            (phase::TRIPPED, Reopening::TwoPersons) => self.half_open(command, scope, id, output),
            _ => self.close(command, scope, id, command.principal, output),
        }
        let body = BreakerReasonBody {
            breaker: id,
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
            reason: request.reason,
        };
        output.emit(command, EventKind::BreakerReasoned, subject_of(scope), &body);
        Ok(u64::from(id))
    }

    fn unmet_for_close(&self, scope: u32, breaker: &Breaker, now_ns: i64) -> i64 {
        if breaker.phase == phase::AUCTION {
            return unmet::AUCTION;
        }
        if breaker.phase != phase::TRIPPED {
            return 0;
        }
        if !self.state.halts.may_reopen(scope, breaker.id, now_ns, self.facts_of(scope)) {
            return unmet::CONDITION;
        }
        // One auction reopens the market for all of its breakers: the others must be ready for it.
        let waits = |halts: &crate::halts::MarketHalts| {
            halts.in_auction_group(phase::TRIPPED).any(|o| o.id != breaker.id && o.until_ns > now_ns)
        };
        match self.state.halts.of_market(scope) {
            Some(halts) if has_auction(breaker.id) && waits(halts) => unmet::BREAKERS,
            _ => 0,
        }
    }

    /// New settings of a breaker (row 0108/2). It watches its inputs from now on, in a spot market too.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `CONFIG_VERSION_MISMATCH`, `PARAMETER_OUT_OF_BOUNDS`, `RESERVED_NOT_ZERO`.
    pub(crate) fn configure_breaker(
        &mut self,
        command: &Command,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: ConfigureBreaker = command.payload_as();
        let reserved = u32::from(request.reserved) | u32::from(request.reserved2) | request.reserved3;
        if reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(reserved));
        }
        let (scope, id) = (request.market, request.breaker);
        self.check_scope(scope, id)?;
        let present = self.state.halts.breaker(scope, id);
        let version = present.map_or(1, |breaker| breaker.version);
        if request.config_version != version {
            let given = i64::from(request.config_version);
            return reject(Code::CONFIG_VERSION_MISMATCH, i64::from(version), given);
        }
        let rule = rule(id).expect("checked above");
        check_range(request.threshold, rule.threshold)?;
        check_range(request.second_threshold, rule.second)?;
        check_range(i64::from(request.halt_s), rule.halt_s)?;
        check_range(i64::from(request.cooldown_s), COOLDOWN_S)?;
        if command.is_trial() {
            return Ok(0);
        }
        if scope != ALL_MARKETS {
            self.open_halts(scope);
        }
        let breaker = self.state.halts.breaker_mut(scope, id).expect("opened above");
        let chosen = |given: i64, present: i64| if given == 0 { present } else { given };
        breaker.threshold = chosen(request.threshold, breaker.threshold);
        breaker.second = chosen(request.second_threshold, breaker.second);
        breaker.halt_s = chosen(i64::from(request.halt_s), i64::from(breaker.halt_s)) as u32;
        breaker.cooldown_s = chosen(i64::from(request.cooldown_s), i64::from(breaker.cooldown_s)) as u32;
        breaker.version += 1;
        breaker.armed = true;
        let body = BreakerSettingsBody {
            breaker: id,
            armed: 1,
            reserved: 0,
            config_version: breaker.version,
            threshold: breaker.threshold,
            second_threshold: breaker.second,
            halt_s: breaker.halt_s,
            cooldown_s: breaker.cooldown_s,
            reserved2: 0,
        };
        let version = u64::from(breaker.version);
        output.emit(command, EventKind::BreakerConfigured, subject_of(scope), &body);
        Ok(version)
    }

    fn check_breaker_request(&self, request: &BreakerRequest) -> Result<(), Reject> {
        if request.reserved != 0 || request.reserved2 != 0 || request.reserved3 != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        self.check_scope(request.market, request.breaker)?;
        if request.reason.iter().all(|&byte| byte == 0 || byte == b' ') {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0);
        }
        Ok(())
    }

    /// The market exists and there is such a breaker in this scope.
    fn check_scope(&self, scope: u32, id: u8) -> Result<(), Reject> {
        let present = if scope == ALL_MARKETS {
            OF_PLATFORM.contains(&id)
        } else if scope as usize >= self.state.markets.list.len() {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(scope));
        } else {
            OF_MARKET.contains(&id)
        };
        if !present {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 0, i64::from(id));
        }
        Ok(())
    }

    /// Gives a market breakers if it has none. Those of a leveraged market watch from the start, those of a spot
    /// market when they are configured.
    pub(super) fn open_halts(&mut self, market: u32) {
        let entry = &self.state.markets.list[market as usize];
        let armed = entry.kind != market_kind::SPOT;
        let range = (entry.has_outcomes()).then(|| 1_000_000 / entry.tick_size);
        self.state.halts.open_market(market, armed, range);
    }

    /// Changes a breaker and keeps what depends on its phase: the due queue and the counters.
    fn move_breaker(&mut self, scope: u32, id: u8, change: impl FnOnce(&mut Breaker)) -> Breaker {
        let breaker = self.state.halts.breaker_mut(scope, id).expect("a breaker that moves exists");
        let (was_open, was_due) = (breaker.phase != phase::CLOSED, breaker.due_ns());
        change(breaker);
        let moved = breaker.clone();
        let is_open = moved.phase != phase::CLOSED;
        let item = due_id(id, scope);
        if let Some(due_ns) = was_due {
            self.state.due.remove(&(due_ns, due::BREAKER, item));
        }
        if let Some(due_ns) = moved.due_ns() {
            self.state.due.insert((due_ns, due::BREAKER, item));
        }
        let halts = &mut self.state.halts;
        halts.open_breakers = halts.open_breakers + u32::from(is_open) - u32::from(was_open);
        halts.in_force = halts.in_force + u32::from(is_open) - u32::from(was_open);
        moved
    }

    /// A trip is an accepted state change of the command that causes it (P7.3).
    pub(crate) fn trip(
        &mut self,
        command: &Command,
        scope: u32,
        reading: Reading,
        by: [u8; 32],
        output: &mut Output,
    ) {
        let (id, now) = (reading.breaker, command.time_ns);
        let tripped = self.move_breaker(scope, id, |breaker| breaker.trip(now, reading.cause, by));
        let body = BreakerBody {
            value: reading.value,
            threshold: reading.threshold,
            principal: by,
            ..body_of(&tripped)
        };
        output.emit(command, EventKind::BreakerTripped, subject_of(scope), &body);
        if !has_auction(id) {
            return;
        }
        // An auction that is under way waits for the new halt.
        for other in OF_MARKET {
            let breaker = self.state.halts.breaker(scope, other).expect("the market has breakers");
            if breaker.phase == phase::AUCTION {
                self.extend(command, scope, other, tripped.until_ns, output);
            }
        }
    }

    /// A halt goes on until a later moment.
    fn extend(&mut self, command: &Command, scope: u32, id: u8, until_ns: i64, output: &mut Output) {
        let now = command.time_ns;
        let moved = self.move_breaker(scope, id, |breaker| {
            let pending = (breaker.pending_by, breaker.pending_until_ns);
            breaker.enter(phase::TRIPPED, now, until_ns);
            (breaker.pending_by, breaker.pending_until_ns) = pending;
        });
        output.emit(command, EventKind::BreakerExtended, subject_of(scope), &body_of(&moved));
    }

    /// Probation: the halt is over and half the threshold trips again.
    pub(super) fn half_open(&mut self, command: &Command, scope: u32, id: u8, output: &mut Output) {
        let now = command.time_ns;
        let until_ns = now.saturating_add(PROBATION_NS);
        let moved = self.move_breaker(scope, id, |breaker| breaker.enter(phase::PROBATION, now, until_ns));
        output.emit(command, EventKind::BreakerHalfOpen, subject_of(scope), &body_of(&moved));
    }

    fn close(&mut self, command: &Command, scope: u32, id: u8, by: [u8; 32], output: &mut Output) {
        let now = command.time_ns;
        let moved = self.move_breaker(scope, id, |breaker| breaker.enter(phase::CLOSED, now, now));
        let body = BreakerBody { principal: by, ..body_of(&moved) };
        output.emit(command, EventKind::BreakerClosed, subject_of(scope), &body);
    }

    /// Starts (or puts off) the call auction of a market for all its breakers that wait for one.
    pub(super) fn start_auction(&mut self, command: &Command, market: u32, output: &mut Output) {
        let now = command.time_ns;
        let until_ns = now.saturating_add(AUCTION_NS);
        for id in OF_MARKET.into_iter().filter(|&id| has_auction(id)) {
            let breaker = self.state.halts.breaker(market, id).expect("the market has breakers");
            if matches!(breaker.phase, phase::TRIPPED | phase::AUCTION) {
                let moved =
                    self.move_breaker(market, id, |breaker| breaker.enter(phase::AUCTION, now, until_ns));
                output.emit(command, EventKind::BreakerHalfOpen, Subject::market(market), &body_of(&moved));
            }
        }
        self.announce_auction(command, market, until_ns, output);
    }

    /// One item of this concern has fallen due: a phase ends, or a bad feed is told to more markets.
    pub(crate) fn breaker_due(
        &mut self,
        command: &Command,
        _kind: u8,
        item: u64,
        output: &mut Output,
    ) -> Option<Work> {
        let (id, scope) = ((item >> 32) as u8, item as u32);
        if id == FEED_DUE {
            self.tell_feed(command, scope, output);
            return None;
        }
        let breaker = self.state.halts.breaker(scope, id).expect("a due breaker exists").clone();
        match breaker.phase {
            phase::TRIPPED => self.end_halt(command, scope, id, output),
            phase::AUCTION => return self.end_auction(command, scope, output),
            phase::PROBATION => self.close(command, scope, id, [0; 32], output),
            _ => {}
        }
        None
    }

    /// The halt time is over.
    fn end_halt(&mut self, command: &Command, scope: u32, id: u8, output: &mut Output) {
        let now = command.time_ns;
        match rule(id).expect("a breaker of P7.1").reopening {
            Reopening::Auction => {
                let halts = self.state.halts.of_market(scope).expect("the market has breakers");
                let latest = halts.in_auction_group(phase::TRIPPED).map(|other| other.until_ns).max();
                match latest {
                    Some(until_ns) if until_ns > now => self.extend(command, scope, id, until_ns, output),
                    _ => self.start_auction(command, scope, output),
                }
            }
            Reopening::Condition => {
                if self.state.halts.may_reopen(scope, id, now, self.facts_of(scope)) {
                    self.half_open(command, scope, id, output);
                } else {
                    let again_ns = now.saturating_add(BREAKER_RECHECK_NS);
                    self.extend(command, scope, id, again_ns, output);
                }
            }
            Reopening::TwoPersons => {}
        }
    }

    /// What the conditions of P7.1 ask other concerns.
    fn facts_of(&self, scope: u32) -> Facts {
        let (commands, refused) = self.cursor.congestion(CONGESTION_RESUME_S);
        let congestion_bp = (refused * 10_000).checked_div(commands).unwrap_or(0) as i64;
        let feed =
            if scope == ALL_MARKETS { None } else { self.state.perps.of_market(scope).map(|p| p.feed) };
        let now_ns = self.cursor.time_ns;
        let venue_unsettled =
            self.state.venues.of_market(scope).is_some_and(|entry| !entry.is_settled(now_ns));
        Facts { congestion_bp, feed, venue_unsettled }
    }
}

fn body_of(breaker: &Breaker) -> BreakerBody {
    BreakerBody {
        breaker: breaker.id,
        cause: breaker.cause,
        phase: breaker.phase,
        reserved: 0,
        halt_s: breaker.last_halt_s,
        value: 0,
        threshold: breaker.threshold_now(),
        since_ns: breaker.since_ns,
        until_ns: breaker.until_ns,
        principal: [0; 32],
    }
}

/// 0 keeps the present value; every other number lies within the bounds of P7.1.
fn check_range(given: i64, range: Range) -> Result<(), Reject> {
    if given != 0 && given < range.low {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, range.low, given);
    }
    if given > range.high {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, range.high, given);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
