//! Optimistic resolution of outcome markets as a pure state machine (protocol P15.1–P15.7).
//!
//! Someone posts a bond and says what an outcome market pays. Whoever knows better disputes it with a bond of his own;
//! arbiters then decide, and their decision is the next round's proposal, at twice the bond and twice the window. What
//! nobody disputes, or the arbiters decide in the last round, becomes final once. Nothing here knows the ledger, the
//! market or a clock: the engine gives moments and moves the money that a step names.

pub mod bonds;
pub mod early;
pub mod exits;
pub mod listing;
pub mod payout;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{ARBITER_QUORUM, ARBITER_VOTES, ARBITER_WINDOW_NS, MAX_EVIDENCE, RESOLUTION_ROUNDS};
use crate::market::Archives;
use crate::state::{due, Due};
use crate::wire::error::{reject, Code, Reject};
use bonds::{round_bond, round_window_ns, split_lost};
use listing::Listings;
use payout::Payout;

/// Where a resolution stands (P15.1).
pub mod stage {
    pub const OPEN: u8 = 0;
    pub const PROPOSED: u8 = 1;
    pub const DISPUTED: u8 = 2;
    /// The arbiters' last word; only FINAL follows.
    pub const DECIDED: u8 = 3;
    pub const FINAL: u8 = 4;
    pub const NAMES: [&str; 5] = ["OPEN", "PROPOSED", "DISPUTED", "DECIDED", "FINAL"];
}

/// How a disputed round ended.
pub mod verdict {
    /// Three arbiters confirm the standing vector.
    pub const UPHELD: u8 = 1;
    /// Three arbiters agree on another one.
    pub const OVERTURNED: u8 = 2;
    /// No three agree: the standing vector goes to the next round, or behind the last INVALID is final.
    pub const NO_QUORUM: u8 = 3;
}

/// Someone with a bond at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    pub account: u32,
    pub sub: u8,
    /// Micro-units in escrow; 0 when returned.
    pub bond: i64,
}

/// A vector that stood, and who brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub payout: Payout,
    /// Index into `parties`: the proposer, or whose dispute overturned the claim before.
    pub backer: u8,
}

/// A dispute of the standing claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispute {
    pub round: u8,
    /// Index into `parties`.
    pub party: u8,
    /// Index into `claims`: what is disputed.
    pub claim: u8,
}

/// One arbiter's vote of the present round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    pub arbiter: [u8; 32],
    pub payout: Payout,
}

/// The resolution of one market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub stage: u8,
    /// 0 to 5.
    pub round: u8,
    /// Items of evidence named so far.
    pub evidence: u8,
    /// Nobody was judged: the last round found no quorum. Every bond returns.
    pub unjudged: bool,
    /// Bond of round 0 in micro-units, and its window in ns.
    pub base_bond: i64,
    pub base_window_ns: i64,
    /// End of the window to dispute, or to vote; 0 = none. FINAL: the moment at which it became so.
    pub until_ns: i64,
    /// The proposer, then the disputers.
    pub parties: Vec<Party>,
    pub claims: Vec<Claim>,
    pub disputes: Vec<Dispute>,
    pub votes: Vec<Vote>,
}

/// How a party's bond ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Index into `parties`.
    pub party: u8,
    pub bond: i64,
    /// Micro-units that go back to the party: its bond or nothing.
    pub returned: i64,
    /// Whom half of a lost bond goes to, and how much.
    pub winner: u8,
    pub to_winner: i64,
    pub to_insurance: i64,
}

/// What a vote or the end of the voting brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub verdict: u8,
    /// Bond that returns because nobody judged the dispute: index into `parties`, micro-units.
    pub returned: Option<(u8, i64)>,
}

impl Resolution {
    /// A first proposal: PROPOSED in round 0, with its bond in escrow.
    pub fn propose(
        party: Party,
        payout: Payout,
        evidence: u8,
        (base_bond, base_window_ns): (i64, i64),
        now_ns: i64,
    ) -> Self {
        Resolution {
            stage: stage::PROPOSED,
            round: 0,
            evidence,
            unjudged: false,
            base_bond,
            base_window_ns,
            until_ns: now_ns.saturating_add(round_window_ns(base_window_ns, 0)),
            parties: vec![party],
            claims: vec![Claim { payout, backer: 0 }],
            disputes: Vec::new(),
            votes: Vec::new(),
        }
    }

    /// The vector that becomes final when nothing more happens.
    pub fn standing(&self) -> &Payout {
        &self.claims[self.claims.len() - 1].payout
    }

    /// Who stands for it.
    pub fn backer(&self) -> &Party {
        &self.parties[usize::from(self.claims[self.claims.len() - 1].backer)]
    }

    /// Micro-units that the next dispute needs before the exposure rule.
    pub fn bond(&self) -> i64 {
        round_bond(self.base_bond, self.round)
    }

    /// Bonds in escrow in micro-units (I23).
    pub fn escrowed(&self) -> i64 {
        self.parties.iter().map(|party| party.bond).sum()
    }

    /// Whether this round may be disputed now, with this vector and this many items of evidence.
    ///
    /// # Errors
    /// `DISPUTE_WINDOW_CLOSED` (bound: end of the window), `MAX_ROUNDS_REACHED`, `INVALID_PAYOUT_VECTOR` for the vector
    /// that stands, `CONFLICT_OF_INTEREST` for its backer, `EVIDENCE_LIMIT`.
    pub fn check_dispute(
        &self,
        round: u8,
        account: u32,
        counter: &Payout,
        evidence: u8,
        now_ns: i64,
    ) -> Result<(), Reject> {
        if self.stage == stage::DECIDED {
            return reject(Code::MAX_ROUNDS_REACHED, i64::from(RESOLUTION_ROUNDS), i64::from(self.round) + 1);
        }
        if self.stage != stage::PROPOSED || round != self.round || now_ns >= self.until_ns {
            return reject(Code::DISPUTE_WINDOW_CLOSED, self.until_ns, now_ns);
        }
        if counter == self.standing() {
            return reject(Code::INVALID_PAYOUT_VECTOR, 0, i64::from(counter.choice()));
        }
        if account == self.backer().account {
            return reject(Code::CONFLICT_OF_INTEREST, 0, i64::from(account));
        }
        let items = u32::from(self.evidence) + u32::from(evidence);
        if items > u32::from(MAX_EVIDENCE) {
            return reject(Code::EVIDENCE_LIMIT, i64::from(MAX_EVIDENCE), i64::from(items));
        }
        Ok(())
    }

    /// A dispute that was checked: DISPUTED until the arbiters decide.
    pub fn dispute(&mut self, party: Party, evidence: u8, now_ns: i64) {
        self.disputes.push(Dispute {
            round: self.round,
            party: self.parties.len() as u8,
            claim: self.claims.len() as u8 - 1,
        });
        self.parties.push(party);
        self.evidence += evidence;
        self.stage = stage::DISPUTED;
        self.until_ns = now_ns.saturating_add(ARBITER_WINDOW_NS);
    }

    /// Whether this arbiter may vote now. `account` is the arbiter's own, if he has one.
    ///
    /// # Errors
    /// `NOT_IN_RESOLUTION` outside of this round's voting, `ALREADY_VOTED`, `CONFLICT_OF_INTEREST` for who has a bond
    /// at stake.
    pub fn check_vote(
        &self,
        round: u8,
        arbiter: &[u8; 32],
        account: Option<u32>,
        now_ns: i64,
    ) -> Result<(), Reject> {
        if self.stage != stage::DISPUTED || round != self.round || now_ns >= self.until_ns {
            return reject(Code::NOT_IN_RESOLUTION, i64::from(self.round), i64::from(round));
        }
        if self.votes.iter().any(|vote| vote.arbiter == *arbiter) {
            return reject(Code::ALREADY_VOTED, 1, 2);
        }
        if account.is_some_and(|account| self.parties.iter().any(|party| party.account == account)) {
            return reject(Code::CONFLICT_OF_INTEREST, 0, account.map_or(0, i64::from));
        }
        Ok(())
    }

    /// A vote that was checked. Three for one vector decide; five without that end the round.
    pub fn vote(&mut self, arbiter: [u8; 32], payout: Payout, now_ns: i64) -> Option<Decision> {
        self.votes.push(Vote { arbiter, payout });
        let last = &self.votes[self.votes.len() - 1].payout;
        if self.votes_for(last) >= ARBITER_QUORUM {
            return Some(self.decide(last.clone(), now_ns));
        }
        (self.votes.len() >= ARBITER_VOTES).then(|| self.end_voting(now_ns))
    }

    /// Votes of this round for a vector.
    pub fn votes_for(&self, payout: &Payout) -> usize {
        self.votes.iter().filter(|vote| vote.payout == *payout).count()
    }

    fn decide(&mut self, payout: Payout, now_ns: i64) -> Decision {
        let upheld = payout == *self.standing();
        if !upheld {
            let backer = self.disputes[self.disputes.len() - 1].party;
            self.claims.push(Claim { payout, backer });
        }
        self.next_round(now_ns);
        Decision { verdict: if upheld { verdict::UPHELD } else { verdict::OVERTURNED }, returned: None }
    }

    /// The voting is over without a decision: the dispute was not judged, so that its bond returns.
    pub fn end_voting(&mut self, now_ns: i64) -> Decision {
        let party = self.disputes[self.disputes.len() - 1].party;
        let bond = std::mem::take(&mut self.parties[usize::from(party)].bond);
        if self.round + 1 == RESOLUTION_ROUNDS {
            let payout =
                Payout::invalid(self.standing().outcomes()).expect("the vector that stands has as many");
            self.claims.push(Claim { payout, backer: 0 });
            self.unjudged = true;
        }
        self.next_round(now_ns);
        Decision { verdict: verdict::NO_QUORUM, returned: Some((party, bond)) }
    }

    /// What stands is proposed again, at twice the bond and window; behind the last round it is decided.
    fn next_round(&mut self, now_ns: i64) {
        self.votes.clear();
        if self.round + 1 == RESOLUTION_ROUNDS {
            self.stage = stage::DECIDED;
            self.until_ns = 0;
            return;
        }
        self.round += 1;
        self.stage = stage::PROPOSED;
        self.until_ns = now_ns.saturating_add(round_window_ns(self.base_window_ns, self.round));
    }

    /// Whether what stands may become final.
    ///
    /// # Errors
    /// `ALREADY_FINAL`, `QUORUM_NOT_MET` while arbiters decide, `DISPUTE_WINDOW_OPEN` (bound: its end).
    pub fn check_final(&self, now_ns: i64) -> Result<(), Reject> {
        match self.stage {
            stage::FINAL => Err(Code::ALREADY_FINAL.into()),
            stage::DISPUTED => {
                let best = self.votes.iter().map(|vote| self.votes_for(&vote.payout)).max();
                reject(Code::QUORUM_NOT_MET, ARBITER_QUORUM as i64, best.unwrap_or(0) as i64)
            }
            stage::PROPOSED if now_ns < self.until_ns => {
                reject(Code::DISPUTE_WINDOW_OPEN, self.until_ns, now_ns)
            }
            _ => Ok(()),
        }
    }

    /// Makes what stands final and says where every bond in escrow goes (P15.4).
    pub fn finalise(&mut self) -> Vec<Settled> {
        let settled = (0..self.parties.len() as u8).filter_map(|party| self.settle(party)).collect();
        self.stage = stage::FINAL;
        self.until_ns = 0;
        self.parties.iter_mut().for_each(|party| party.bond = 0);
        settled
    }

    /// The proposer loses when something else is final; a disputer when exactly what he disputed is.
    fn settle(&self, party: u8) -> Option<Settled> {
        let bond = self.parties[usize::from(party)].bond;
        if bond == 0 {
            return None;
        }
        let won = Settled { party, bond, returned: bond, winner: party, to_winner: 0, to_insurance: 0 };
        let winner = match party {
            0 if self.claims[0].payout == *self.standing() => None,
            // What was proposed was overturned first by the backer of the claim behind it.
            0 => Some(self.claims[1].backer),
            _ => {
                let dispute = self.disputes.iter().find(|dispute| dispute.party == party)?;
                let disputed = &self.claims[usize::from(dispute.claim)];
                (disputed.payout == *self.standing()).then_some(disputed.backer)
            }
        };
        match winner.filter(|_| !self.unjudged) {
            None => Some(won),
            Some(winner) => {
                let (to_winner, to_insurance) = split_lost(bond);
                Some(Settled { returned: 0, winner, to_winner, to_insurance, ..won })
            }
        }
    }

    /// Whoever said first what stands: the proposer, or whose dispute brought it; None when nobody was judged.
    pub fn right_party(&self) -> Option<&Party> {
        let first = self.claims.iter().find(|claim| claim.payout == *self.standing());
        let backer = first.map(|claim| usize::from(claim.backer)).filter(|_| !self.unjudged);
        backer.map(|backer| &self.parties[backer])
    }

    /// The moment of FINAL; the end of time before it.
    pub fn final_ns(&self) -> i64 {
        match self.stage {
            stage::FINAL => self.until_ns,
            _ => i64::MAX,
        }
    }

    /// The moment that needs a Tick: the end of the voting.
    pub fn due_ns(&self) -> Option<i64> {
        (self.stage == stage::DISPUTED).then_some(self.until_ns)
    }
}

/// Resolutions by market.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolutions {
    of_market: BTreeMap<u32, Resolution>,
    /// Bonds behind markets that accounts have listed.
    pub listings: Listings,
    /// Jumps of prices.
    pub early: early::Early,
    /// Who has left which market lately.
    pub exits: exits::Exits,
    /// Of markets that are pruned: encoded with their tombstones.
    pub archives: Archives,
}

impl Resolutions {
    pub fn get(&self, market: u32) -> Option<&Resolution> {
        self.of_market.get(&market)
    }

    pub fn get_mut(&mut self, market: u32) -> Option<&mut Resolution> {
        self.of_market.get_mut(&market)
    }

    pub fn insert(&mut self, market: u32, resolution: Resolution) {
        self.of_market.insert(market, resolution);
    }

    /// Forgets the resolution of a market that is pruned.
    pub fn remove(&mut self, market: u32) {
        self.of_market.remove(&market);
    }

    /// What a settled market pays.
    pub fn payout(&self, market: u32) -> Option<&Payout> {
        self.get(market).filter(|resolution| resolution.stage == stage::FINAL).map(Resolution::standing)
    }

    /// Ascending by market.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Resolution)> {
        self.of_market.iter().map(|(&market, resolution)| (market, resolution))
    }

    pub fn due_items(&self, items: &mut BTreeSet<Due>) {
        let ends = self.iter().filter_map(|(market, resolution)| Some((market, resolution.due_ns()?)));
        items.extend(ends.map(|(market, due_ns)| voting_due(market, due_ns)));
    }
}

/// Parts of the id of a due item of this kind.
pub mod item {
    /// The end of the voting about a market.
    pub const VOTING: u64 = 1 << 32;
    /// The end of a market's trading.
    pub const CLOSING: u64 = 2 << 32;
}

/// The end of the voting in the due queue.
pub fn voting_due(market: u32, due_ns: i64) -> Due {
    (due_ns, due::RESOLUTION, item::VOTING | u64::from(market))
}

/// The end of a market's trading in the due queue.
pub fn closing_due(market: u32, settle_time_ns: i64) -> Due {
    (settle_time_ns, due::RESOLUTION, item::CLOSING | u64::from(market))
}
