//! Resolution of outcome markets: proposal, dispute, votes, the end (protocol P15.1–P15.7, rows 0B01–0B04).

use super::work::{Budget, CancelMarket, Work};
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::id::account_id;
use crate::ledger::{line, post_system, post_user};
use crate::limits::MAX_EVIDENCE;
use crate::market::{kind, status, Market};
use crate::output::{Output, Subject};
use crate::resolution::bonds::{required_bond, round_bond};
use crate::resolution::payout::{choice, Payout, WHOLE_PPM};
use crate::resolution::{closing_due, item, voting_due, Decision, Party, Resolution, Settled};
use crate::wire::command::{ClaimPayout, Command, OneMarket, VoteResolution, ALL};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{
    cancel_reason, BondBody, ClaimBody, DecisionBody, EventKind, FinalBody, PayoutBody, StatusBody, VoteBody,
};

/// Parts of a vector that one PayoutShown event holds.
const SHOWN_PARTS: usize = 16;

impl<B: Book> Engine<B> {
    /// 0B01: puts a bond behind what the market pays; the market is RESOLVING from then on.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `TOO_EARLY` while the market is neither CLOSED nor paused by an early
    /// trigger (bound: its settle time),
    /// `ALREADY_PROPOSED`, `ALREADY_FINAL`, `INVALID_PAYOUT_VECTOR`, `EVIDENCE_INVALID`, `EVIDENCE_LIMIT`,
    /// `BOND_TOO_LOW` below the base bond, `CONFLICT_OF_INTEREST` below what the sender's exposure asks for,
    /// `INSUFFICIENT_BALANCE`.
    pub(crate) fn propose_resolution(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: ClaimPayout = command.payload_as();
        let market = self.market_of_outcomes(request.market)?;
        let (quote, outcomes) = (market.quote, market.outcome_count);
        if request.round != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.round));
        }
        let early = market.status == status::PAUSED && self.is_triggered_early(request.market);
        match market.status {
            status::CLOSED => {}
            status::PAUSED if early => {}
            status::RESOLVING => return Err(Code::ALREADY_PROPOSED.into()),
            status::SETTLED | status::PRUNED => return Err(Code::ALREADY_FINAL.into()),
            _ => return reject(Code::TOO_EARLY, market.settle_time_ns, command.time_ns),
        }
        let payout = read_payout(request.choice, request.entries, &request.packed, outcomes)?;
        check_evidence(&request)?;
        let exposure = self.exposure(context.account, request.market, outcomes).0;
        let governance = &self.state.governance;
        let terms = (governance.resolution_bond(), governance.resolution_window_ns());
        if request.bond < terms.0 {
            return reject(Code::BOND_TOO_LOW, terms.0, request.bond);
        }
        let bond = required_bond(terms.0, exposure);
        if request.bond < bond {
            return reject(Code::CONFLICT_OF_INTEREST, bond, request.bond);
        }
        self.check_bond_money(context.account, command.sub, quote, bond)?;
        let closing = early.then(|| self.close_before_time(command, request.market, output)).flatten();
        let party = Party { account: context.account, sub: command.sub, bond };
        let resolution =
            Resolution::propose(party, payout.clone(), request.evidence_items, terms, command.time_ns);
        self.state.resolutions.insert(request.market, resolution);
        self.show_payout(command, request.market, &payout, output);
        self.post_bond(request.market, quote, party, bond, output);
        self.emit_claim(command, EventKind::ResolutionProposed, &request, (&payout, exposure), output);
        self.after_collateral(command, context.account, command.sub, output);
        match closing {
            Some(job) => self.do_work(command, command.seq, Work::CancelMarket(job), output),
            None => self.begin_resolving(command, request.market, output),
        }
        Ok(u64::from(request.market))
    }

    /// Ends the trading of a market that is proposed before its time (P15.5).
    fn close_before_time(
        &mut self,
        command: &Command,
        market: u32,
        output: &mut Output,
    ) -> Option<CancelMarket> {
        self.unschedule_closing(market);
        self.begin_closing(command, market, output)
    }

    /// CLOSED to RESOLVING, once there is a proposal and no order any more.
    pub(super) fn begin_resolving(&mut self, command: &Command, market: u32, output: &mut Output) {
        let entry = &mut self.state.markets.list[market as usize];
        let previous = std::mem::replace(&mut entry.status, status::RESOLVING);
        let body = StatusBody { status: status::RESOLVING, previous, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::MarketResolving, Subject::market(market), &body);
    }

    /// 0B02: puts a bond behind another vector than the one that stands; arbiters decide from then on.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `NOT_IN_RESOLUTION`, `INVALID_PAYOUT_VECTOR`, `EVIDENCE_INVALID`,
    /// those of [`Resolution::check_dispute`], `BOND_TOO_LOW` (P15.2, P15.6), `INSUFFICIENT_BALANCE`.
    pub(crate) fn dispute_resolution(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: ClaimPayout = command.payload_as();
        let market = self.market_of_outcomes(request.market)?;
        let (quote, outcomes) = (market.quote, market.outcome_count);
        let Some(resolution) = self.state.resolutions.get(request.market) else {
            return reject(Code::NOT_IN_RESOLUTION, 0, i64::from(request.round));
        };
        let counter = read_payout(request.choice, request.entries, &request.packed, outcomes)?;
        check_evidence(&request)?;
        let items = request.evidence_items;
        resolution.check_dispute(request.round, context.account, &counter, items, command.time_ns)?;
        let exposure = self.exposure(context.account, request.market, outcomes).0;
        let bond = required_bond(resolution.bond(), exposure);
        if request.bond < bond {
            return reject(Code::BOND_TOO_LOW, bond, request.bond);
        }
        self.check_bond_money(context.account, command.sub, quote, bond)?;
        let party = Party { account: context.account, sub: command.sub, bond };
        let resolution = self.state.resolutions.get_mut(request.market).expect("looked at just now");
        resolution.dispute(party, items, command.time_ns);
        self.state.due.insert(voting_due(request.market, resolution.until_ns));
        self.show_payout(command, request.market, &counter, output);
        self.post_bond(request.market, quote, party, bond, output);
        self.emit_claim(command, EventKind::ResolutionDisputed, &request, (&counter, exposure), output);
        self.after_collateral(command, context.account, command.sub, output);
        Ok(u64::from(request.market))
    }

    /// 0B03: an arbiter's vote; the third for one vector decides the round.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `INVALID_PAYOUT_VECTOR`, those of [`Resolution::check_vote`], and
    /// `CONFLICT_OF_INTEREST` for an arbiter with a stake in the market within the last seven days.
    pub(crate) fn vote_resolution(&mut self, command: &Command, output: &mut Output) -> Result<u64, Reject> {
        let request: VoteResolution = command.payload_as();
        let market = self.market_of_outcomes(request.market)?;
        let outcomes = market.outcome_count;
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let Some(resolution) = self.state.resolutions.get(request.market) else {
            return reject(Code::NOT_IN_RESOLUTION, 0, i64::from(request.round));
        };
        let account = self.state.accounts.find(&account_id(&command.principal));
        resolution.check_vote(request.round, &command.principal, account, command.time_ns)?;
        if let Some(account) = account {
            self.check_arbiter(account, (request.market, outcomes), command.time_ns)?;
        }
        let payout = read_payout(request.choice, request.entries, &request.packed, outcomes)?;
        self.show_payout(command, request.market, &payout, output);
        let resolution = self.state.resolutions.get_mut(request.market).expect("looked at just now");
        let deadline_ns = resolution.until_ns;
        let body = VoteBody {
            arbiter: command.principal,
            round: request.round,
            choice: payout.choice(),
            votes: resolution.votes.len() as u8 + 1,
            votes_for: resolution.votes_for(&payout) as u8 + 1,
            reserved: 0,
        };
        let decision = resolution.vote(command.principal, payout, command.time_ns);
        output.emit(command, EventKind::VoteCast, Subject::market(request.market), &body);
        if let Some(decision) = decision {
            self.state.due.remove(&voting_due(request.market, deadline_ns));
            self.emit_decision(command, request.market, request.round, decision, output);
        }
        Ok(u64::from(request.market))
    }

    /// 0B04: makes what stands final, once; bonds end and the market is SETTLED.
    ///
    /// # Errors
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `NOT_IN_RESOLUTION` before any proposal, those of
    /// [`Resolution::check_final`].
    pub(crate) fn finalise_resolution(
        &mut self,
        command: &Command,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: OneMarket = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let market = self.market_of_outcomes(request.market)?;
        let (quote, market_status) = (market.quote, market.status);
        let Some(resolution) = self.state.resolutions.get_mut(request.market) else {
            return reject(Code::NOT_IN_RESOLUTION, 0, i64::from(market_status));
        };
        resolution.check_final(command.time_ns)?;
        let settled = resolution.finalise();
        resolution.until_ns = command.time_ns;
        let parties = resolution.parties.clone();
        self.emit_final(command, request.market, quote, output);
        for end in settled {
            self.end_bond(command, request.market, quote, (&parties, end), output);
        }
        self.end_listing(command, request.market, quote, output);
        let entry = &mut self.state.markets.list[request.market as usize];
        let previous = std::mem::replace(&mut entry.status, status::SETTLED);
        let body = StatusBody { status: status::SETTLED, previous, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::MarketResolved, Subject::market(request.market), &body);
        self.settled_in_verse(command, request.market, output);
        self.sweep_escrow(command, request.market, quote, output);
        Ok(u64::from(request.market))
    }

    /// The end of a market's trading or of a round's voting has come. Returns what the budget does not allow.
    #[inline(never)]
    pub(crate) fn resolution_due(
        &mut self,
        command: &Command,
        id: u64,
        budget: &mut Budget,
        output: &mut Output,
    ) -> Option<Work> {
        let market = id as u32;
        if id & item::VOTING != 0 {
            let resolution = self.state.resolutions.get_mut(market).expect("voting owns its due item");
            let round = resolution.round;
            let decision = resolution.end_voting(command.time_ns);
            self.emit_decision(command, market, round, decision, output);
            return None;
        }
        let job = self.begin_closing(command, market, output)?;
        // At once, so that thousands of markets with one settle time close in as few commands.
        self.cancel_market_orders(command, job, budget, output).map(Work::CancelMarket)
    }

    /// CLOSE_ONLY at the settle time, and CLOSED behind the last cancelled order (P2.3.1).
    fn begin_closing(&mut self, command: &Command, market: u32, output: &mut Output) -> Option<CancelMarket> {
        let entry = &mut self.state.markets.list[market as usize];
        if !matches!(entry.status, status::ACTIVE | status::PAUSED) {
            return None;
        }
        let previous = std::mem::replace(&mut entry.status, status::CLOSE_ONLY);
        self.set_pause(u64::from(market), None);
        let body = StatusBody { status: status::CLOSE_ONLY, previous, reserved: 0, reserved2: 0 };
        output.emit(command, EventKind::MarketClosing, Subject::market(market), &body);
        let reason = cancel_reason::MARKET_CLOSED;
        Some(CancelMarket { market, side: ALL, reason, done: 0, close: true, after: 0 })
    }

    /// Puts the end of an outcome market's trading into the due queue.
    pub(crate) fn schedule_closing(&mut self, market: u32) {
        let entry = &self.state.markets.list[market as usize];
        self.state.due.insert(closing_due(market, entry.settle_time_ns));
    }

    /// A market that its operator closes needs no end by time any more.
    pub(crate) fn unschedule_closing(&mut self, market: u32) {
        let entry = &self.state.markets.list[market as usize];
        if entry.has_outcomes() {
            self.state.due.remove(&closing_due(market, entry.settle_time_ns));
        }
    }

    /// The resolution of a market, if there is one.
    pub fn resolution(&self, market: u32) -> Option<&Resolution> {
        self.state.resolutions.get(market)
    }

    pub(super) fn market_of_outcomes(&self, handle: u32) -> Result<&Market, Reject> {
        let Some(market) = self.state.markets.list.get(handle as usize) else {
            return reject(Code::MARKET_NOT_FOUND, 0, i64::from(handle));
        };
        if !market.has_outcomes() {
            return reject(Code::INVALID_MARKET_KIND, i64::from(kind::OUTCOME), i64::from(market.kind));
        }
        Ok(market)
    }

    /// What an account's claims pay at most beyond what they pay at least, over all its sub-accounts, and the largest
    /// holding of one outcome; micro-quote.
    pub(super) fn exposure(&self, account: u32, market: u32, outcomes: u8) -> (i64, i64) {
        let claims = &self.state.claims;
        let entry = &self.state.accounts.list[account as usize];
        let held = (0..outcomes).map(|outcome| {
            let of_sub = entry.subs().map(|sub| claims.holding(account, sub.index, market, outcome));
            // Never above the supply, which fits.
            of_sub.map(|holding| holding.free + holding.held).sum::<i64>()
        });
        let (least, most) = held.fold((i64::MAX, 0), |(least, most), held| (least.min(held), most.max(held)));
        let of_number = entry.subs().map(|sub| self.state.questions.exposure(market, (account, sub.index)));
        let of_number = of_number.fold(0_i64, i64::saturating_add);
        ((most - least).saturating_add(of_number), most.saturating_add(of_number))
    }

    pub(super) fn check_bond_money(
        &self,
        account: u32,
        sub: u8,
        quote: u16,
        bond: i64,
    ) -> Result<(), Reject> {
        let free = self.state.accounts.balance(account, sub, quote, line::FREE);
        if bond > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, bond);
        }
        self.check_removal(account, sub, quote, bond)
    }

    /// Moves micro-quote of a party into the market's bonds (negative: back).
    fn post_bond(&mut self, market: u32, quote: u16, party: Party, amount: i64, output: &mut Output) {
        let postings = &mut output.postings;
        post_user(&mut self.state.accounts, postings, party.account, party.sub, quote, line::FREE, -amount);
        post_system(&mut self.state.system, postings, line::BOND_ESCROW, market + 1, quote, amount);
    }

    /// A vector that has no short name is shown before the event that speaks of it.
    fn show_payout(&self, command: &Command, market: u32, payout: &Payout, output: &mut Output) {
        if payout.choice() != choice::VECTOR {
            return;
        }
        for (part, values) in payout.ppm().chunks(SHOWN_PARTS).enumerate() {
            let mut ppm = [0; 64];
            for (place, value) in ppm.chunks_exact_mut(4).zip(values) {
                place.copy_from_slice(&value.to_le_bytes());
            }
            let first = (part * SHOWN_PARTS) as u8;
            let body = PayoutBody { first, count: values.len() as u8, reserved: 0, reserved2: 0, ppm };
            output.emit(command, EventKind::PayoutShown, Subject::market(market), &body);
        }
    }

    fn emit_claim(
        &self,
        command: &Command,
        event: EventKind,
        request: &ClaimPayout,
        (payout, exposure): (&Payout, i64),
        output: &mut Output,
    ) {
        let resolution = self.state.resolutions.get(request.market).expect("changed just now");
        let party = resolution.parties[resolution.parties.len() - 1];
        let body = ClaimBody {
            round: resolution.round,
            choice: payout.choice(),
            outcomes: payout.outcomes(),
            evidence_items: request.evidence_items,
            reserved: 0,
            bond: party.bond,
            exposure,
            until_ns: resolution.until_ns,
            base_bond: resolution.base_bond,
            evidence: request.evidence,
        };
        debug_assert!(party.bond >= round_bond(resolution.base_bond, resolution.round));
        let subject = Subject { account: party.account, sub: party.sub, ..Subject::market(request.market) };
        output.emit(command, event, subject, &body);
    }

    fn emit_decision(
        &mut self,
        command: &Command,
        market: u32,
        round: u8,
        decision: Decision,
        output: &mut Output,
    ) {
        let quote = self.state.markets.list[market as usize].quote;
        let resolution = self.state.resolutions.get(market).expect("decided just now");
        let body = DecisionBody {
            round,
            verdict: decision.verdict,
            choice: resolution.standing().choice(),
            stage: resolution.stage,
            next_round: resolution.round,
            reserved: 0,
            reserved2: 0,
            until_ns: resolution.until_ns,
            returned: decision.returned.map_or(0, |(_, bond)| bond),
        };
        let party = decision.returned.map(|(party, bond)| (resolution.parties[usize::from(party)], bond));
        let subject = match party {
            Some((party, bond)) => {
                self.post_bond(market, quote, party, -bond, output);
                Subject { account: party.account, sub: party.sub, ..Subject::market(market) }
            }
            None => Subject::market(market),
        };
        output.emit(command, EventKind::DisputeDecided, subject, &body);
        if let Some((party, _)) = party {
            self.after_collateral(command, party.account, party.sub, output);
        }
    }

    fn emit_final(&mut self, command: &Command, market: u32, quote: u16, output: &mut Output) {
        let resolution = self.state.resolutions.get(market).expect("finalised just now");
        let payout = resolution.standing();
        let claims = &self.state.claims;
        let supplies = (0..payout.outcomes()).map(|outcome| claims.supply(market, outcome));
        let owed = payout.owed(supplies) / i128::from(WHOLE_PPM);
        let escrow = self.state.system.get(line::SET_ESCROW, market + 1, quote);
        assert!(owed <= i128::from(escrow), "I22: market {market} owes {owed} out of an escrow of {escrow}");
        let body = FinalBody {
            choice: payout.choice(),
            outcomes: payout.outcomes(),
            rounds: resolution.round + 1,
            disputes: resolution.disputes.len() as u8,
            reserved: 0,
            escrow,
            owed: owed as i64,
        };
        self.show_payout(command, market, payout, output);
        output.emit(command, EventKind::ResolutionFinal, Subject::market(market), &body);
    }

    fn end_bond(
        &mut self,
        command: &Command,
        market: u32,
        quote: u16,
        (parties, end): (&[Party], Settled),
        output: &mut Output,
    ) {
        let (party, winner) = (parties[usize::from(end.party)], parties[usize::from(end.winner)]);
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_system(&mut self.state.system, postings, line::BOND_ESCROW, market + 1, quote, -end.bond);
        post_user(accounts, postings, party.account, party.sub, quote, line::FREE, end.returned);
        post_user(accounts, postings, winner.account, winner.sub, quote, line::FREE, end.to_winner);
        post_system(&mut self.state.system, postings, line::INSURANCE, 0, quote, end.to_insurance);
        let body = BondBody {
            bond: end.bond,
            returned: end.returned,
            to_winner: end.to_winner,
            to_insurance: end.to_insurance,
            winner: winner.account,
            winner_sub: winner.sub,
            party: end.party,
            reserved: 0,
        };
        let subject = Subject { account: party.account, sub: party.sub, ..Subject::market(market) };
        output.emit(command, EventKind::BondSettled, subject, &body);
        self.after_collateral(command, party.account, party.sub, output);
        if end.winner != end.party {
            self.after_collateral(command, winner.account, winner.sub, output);
        }
    }
}

fn read_payout(named: u8, entries: u8, packed: &[u8; 24], outcomes: u8) -> Result<Payout, Reject> {
    match Payout::read(named, entries, packed, outcomes) {
        Some(payout) => Ok(payout),
        None => reject(Code::INVALID_PAYOUT_VECTOR, i64::from(outcomes), i64::from(named)),
    }
}

/// A claim names its evidence: a hash, and how many items lie behind it.
fn check_evidence(request: &ClaimPayout) -> Result<(), Reject> {
    if request.evidence == [0; 32] || request.evidence_items == 0 {
        return reject(Code::EVIDENCE_INVALID, 1, i64::from(request.evidence_items));
    }
    if request.evidence_items > MAX_EVIDENCE {
        return reject(Code::EVIDENCE_LIMIT, i64::from(MAX_EVIDENCE), i64::from(request.evidence_items));
    }
    Ok(())
}
