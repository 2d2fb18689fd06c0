//! Resolution from events alone: payouts are set once and never exceed the escrow (I22), and what lies in the bonds of
//! a market is what its parties have at stake (I23).

use std::collections::BTreeMap;

use super::fault::{ensure, fault, Check};
use super::ledger::{BOND_ESCROW, FREE, INSURANCE, POOL_CASH, SET_ESCROW};
use super::outcome::ClaimsMove;
use super::records::check_movements;
use super::Auditor;
use crate::wire::event::{
    BondBody, ClaimBody, DecisionBody, Event, EventKind, FinalBody, PayoutBody, Posting, PrunedBody,
    RedeemedBody, StatusBody, SweptBody, VoteBody,
};

const WHOLE_PPM: u32 = 1_000_000;
const INVALID: u8 = 0xFE;
const VECTOR: u8 = 0xFD;
const CLOSE_ONLY: u8 = 3;
const CLOSED: u8 = 4;
const RESOLVING: u8 = 5;
const SETTLED: u8 = 6;
const PRUNED: u8 = 7;
const RETENTION_NS: i64 = 48 * 3_600 * 1_000_000_000;
const ROUNDS: u8 = 6;
const QUORUM: usize = 3;
const VOTES: usize = 5;
const UPHELD: u8 = 1;
const OVERTURNED: u8 = 2;
const NO_QUORUM: u8 = 3;
/// What exposure alone can ask for, in micro-units.
const LARGEST_EXPOSURE_BOND: i64 = 100_000_000_000;

/// Someone whose bond lies in escrow: account, sub-account, micro-units, the vector that he has spoken against.
#[derive(Clone, Debug, Default)]
struct Party {
    account: u32,
    sub: u8,
    bond: i64,
    /// What the proposer said, and what a disputer disputed.
    vector: Vec<u32>,
}

/// What the events say of one market's resolution.
#[derive(Clone, Debug, Default)]
struct Entry {
    parties: Vec<Party>,
    standing: Vec<u32>,
    /// Every vector that stood, and the place of the party that brought it.
    brought: Vec<(Vec<u32>, usize)>,
    votes: Vec<([u8; 32], Vec<u32>)>,
    round: u8,
    base_bond: i64,
    until_ns: i64,
    disputed: bool,
    /// The last round is over.
    decided: bool,
    /// It ended without a quorum.
    unjudged: bool,
    is_final: bool,
}

/// All resolutions.
#[derive(Clone, Debug, Default)]
pub struct Resolutions {
    of_market: BTreeMap<u32, Entry>,
    /// Parts of a vector that the next event names.
    shown: Vec<u32>,
}

/// A resolution as a restored state holds it.
pub struct Restored {
    pub round: u8,
    pub base_bond: i64,
    pub until_ns: i64,
    pub disputed: bool,
    pub decided: bool,
    pub unjudged: bool,
    pub is_final: bool,
    pub standing: Vec<u32>,
    /// Vectors that stood and the parties that brought them, the first first.
    pub brought: Vec<(Vec<u32>, usize)>,
    /// Account, sub-account, bond, vector.
    pub parties: Vec<(u32, u8, i64, Vec<u32>)>,
    pub votes: Vec<([u8; 32], Vec<u32>)>,
}

impl Resolutions {
    pub fn load(&mut self, market: u32, from: Restored) {
        let party = |(account, sub, bond, vector)| Party { account, sub, bond, vector };
        let entry = Entry {
            parties: from.parties.into_iter().map(party).collect(),
            standing: from.standing,
            brought: from.brought,
            votes: from.votes,
            round: from.round,
            base_bond: from.base_bond,
            until_ns: from.until_ns,
            disputed: from.disputed,
            decided: from.decided,
            unjudged: from.unjudged,
            is_final: from.is_final,
        };
        self.of_market.insert(market, entry);
    }

    /// The vector that an event names; a VECTOR is what was shown before it.
    fn vector(&mut self, choice: u8, outcomes: u8) -> Check<Vec<u32>> {
        let shown = std::mem::take(&mut self.shown);
        let count = usize::from(outcomes);
        let vector = match choice {
            VECTOR => shown,
            _ if !shown.is_empty() => {
                return Err(fault("I22", format_args!("a vector is shown that no event names")));
            }
            INVALID => {
                let share = WHOLE_PPM / u32::from(outcomes);
                let over = (WHOLE_PPM % u32::from(outcomes)) as usize;
                (0..count).map(|outcome| share + u32::from(outcome < over)).collect()
            }
            winner => {
                (0..count).map(|outcome| if outcome == usize::from(winner) { WHOLE_PPM } else { 0 }).collect()
            }
        };
        let sum: u64 = vector.iter().map(|&ppm| u64::from(ppm)).sum();
        ensure!(
            vector.len() == count && sum == u64::from(WHOLE_PPM),
            "I22",
            "a payout vector of {} outcomes sums to {sum} ppm",
            vector.len()
        );
        Ok(vector)
    }
}

impl Entry {
    fn bonds(&self) -> i64 {
        self.parties.iter().map(|party| party.bond).sum()
    }

    fn votes_for(&self, vector: &[u32]) -> usize {
        self.votes.iter().filter(|vote| vote.1 == vector).count()
    }

    /// Whether a party has said or disputed the right thing, now that the standing vector is final.
    fn has_won(&self, party: usize) -> bool {
        let same = self.parties[party].vector == self.standing;
        self.unjudged || (party == 0) == same
    }
}

/// Σ claims × ppm.
fn owed(vector: &[u32], claims: impl IntoIterator<Item = i64>) -> i128 {
    vector.iter().zip(claims).map(|(&ppm, claims)| i128::from(ppm) * i128::from(claims)).sum()
}

impl Auditor {
    pub(super) fn check_resolution(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        let silent = matches!(
            kind,
            EventKind::PayoutShown
                | EventKind::VoteCast
                | EventKind::ResolutionFinal
                | EventKind::MarketResolving
                | EventKind::MarketResolved
                | EventKind::MarketPruned
        );
        ensure!(!silent || postings.is_empty(), "I01", "a {} event moves money", kind.name());
        match kind {
            EventKind::PayoutShown => self.payout_shown(event),
            EventKind::ResolutionProposed | EventKind::ResolutionDisputed => {
                self.payout_claimed(kind, event, postings)?;
                self.check_bonds_of(event.market)
            }
            EventKind::VoteCast => self.vote_cast(event),
            EventKind::DisputeDecided => {
                self.dispute_decided(event, postings)?;
                self.check_bonds_of(event.market)
            }
            EventKind::ResolutionFinal => self.resolution_final(event),
            EventKind::BondSettled => {
                self.bond_settled(event, postings)?;
                self.check_bonds_of(event.market)
            }
            EventKind::Redeemed => self.redeemed(event, postings),
            EventKind::EscrowSwept => self.escrow_swept(event, postings),
            EventKind::MarketPruned => self.market_pruned(event),
            _ => self.resolution_moves_market(kind, event),
        }
    }

    fn resolution_of(&mut self, market: u32) -> Check<&mut Entry> {
        let found = self.resolutions.of_market.get_mut(&market);
        found.ok_or_else(|| fault("I22", format_args!("market {market} is not in resolution")))
    }

    /// Who said first what is final (nobody when nobody was judged), and whether the question had no answer.
    pub(super) fn rewarded_of(&mut self, market: u32) -> Check<(Option<(u32, u8)>, bool)> {
        let mut names = Resolutions::default();
        let entry = self.resolution_of(market)?;
        ensure!(entry.is_final, "I23", "the listing bond of market {market} ends early");
        if entry.unjudged {
            return Ok((None, false));
        }
        let first = entry.brought.iter().find(|(vector, _)| *vector == entry.standing);
        let party = first.map(|&(_, place)| &entry.parties[place]);
        let invalid = names.vector(INVALID, entry.standing.len() as u8)?;
        Ok((party.map(|party| (party.account, party.sub)), entry.standing == invalid))
    }

    /// What a market pays, once that is final.
    pub(super) fn final_vector(&mut self, market: u32) -> Check<Vec<u32>> {
        let entry = self.resolution_of(market)?;
        ensure!(entry.is_final, "I22", "market {market} pays before it is final");
        Ok(entry.standing.clone())
    }

    fn payout_shown(&mut self, event: &Event) -> Check {
        let body: PayoutBody = event.body_as();
        let shown = &mut self.resolutions.shown;
        ensure!(
            usize::from(body.first) == shown.len() && body.count <= 16,
            "I22",
            "part {} follows {} of a vector",
            body.first,
            shown.len()
        );
        let parts = body.ppm.chunks_exact(4).take(usize::from(body.count));
        shown.extend(parts.map(|part| u32::from_le_bytes(part.try_into().expect("four bytes"))));
        Ok(())
    }

    /// A proposal opens a resolution; a dispute stops the round. Both put at least the round's bond at stake.
    fn payout_claimed(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        let body: ClaimBody = event.body_as();
        let market = *self.market(event.market)?;
        let time_ns = self.time_ns;
        ensure!(
            market.has_outcomes() && body.outcomes == market.outcome_count,
            "I22",
            "market {} of {} outcomes resolves with {}",
            event.market,
            market.outcome_count,
            body.outcomes
        );
        let vector = self.resolutions.vector(body.choice, body.outcomes)?;
        let (account, sub, quote) = (event.account, event.sub, market.quote);
        let movements =
            [(account, sub, quote, FREE, -body.bond), (event.market + 1, 0, quote, BOND_ESCROW, body.bond)];
        check_movements("I23", movements, postings)?;
        if kind == EventKind::ResolutionProposed {
            // Before its time only what an early trigger has paused, whose trading ends with the same command.
            let early = market.status == CLOSE_ONLY && self.early.triggered.remove(&event.market);
            ensure!(
                (market.status == CLOSED || early) && !self.resolutions.of_market.contains_key(&event.market),
                "I22",
                "market {} with status {} is proposed",
                event.market,
                market.status
            );
            let entry = Entry { base_bond: body.base_bond, ..Entry::default() };
            self.resolutions.of_market.insert(event.market, entry);
        }
        let entry = self.resolution_of(event.market)?;
        let first = entry.parties.is_empty();
        ensure!(
            first
                || (market.status == RESOLVING
                    && !entry.disputed
                    && !entry.decided
                    && time_ns < entry.until_ns),
            "I22",
            "round {} of market {} is disputed too late",
            body.round,
            event.market
        );
        ensure!(body.round == entry.round && body.round < ROUNDS, "I22", "round {} is claimed", body.round);
        let least = body.base_bond << body.round;
        let by_exposure = (body.exposure / 10).min(LARGEST_EXPOSURE_BOND);
        ensure!(
            body.base_bond == entry.base_bond && body.bond >= least.max(by_exposure),
            "I23",
            "a bond of {} in round {} with an exposure of {}",
            body.bond,
            body.round,
            body.exposure
        );
        ensure!(body.until_ns > time_ns, "I22", "a window ends at {}", body.until_ns);
        entry.until_ns = body.until_ns;
        let spoken = if first { vector.clone() } else { entry.standing.clone() };
        ensure!(first || vector != entry.standing, "I22", "a dispute names the vector that stands");
        entry.parties.push(Party { account, sub, bond: body.bond, vector: spoken });
        if first {
            entry.brought.push((vector.clone(), 0));
            entry.standing = vector;
        } else {
            entry.disputed = true;
        }
        Ok(())
    }

    fn vote_cast(&mut self, event: &Event) -> Check {
        let body: VoteBody = event.body_as();
        let outcomes = self.market(event.market)?.outcome_count;
        let vector = self.resolutions.vector(body.choice, outcomes)?;
        let (principal, time_ns) = (self.principal, self.time_ns);
        self.check_vote_stake(event, &body.arbiter)?;
        let entry = self.resolution_of(event.market)?;
        let fresh = entry.votes.iter().all(|vote| vote.0 != body.arbiter);
        ensure!(
            fresh && body.arbiter == principal && entry.votes.len() < VOTES,
            "I22",
            "an arbiter votes twice, or for another one, in market {}",
            event.market
        );
        ensure!(
            entry.disputed && body.round == entry.round && time_ns < entry.until_ns,
            "I22",
            "a vote in round {} of market {}",
            body.round,
            event.market
        );
        entry.votes.push((body.arbiter, vector.clone()));
        ensure!(
            usize::from(body.votes) == entry.votes.len()
                && usize::from(body.votes_for) == entry.votes_for(&vector),
            "I22",
            "vote {} of market {} counts {}",
            body.votes,
            event.market,
            body.votes_for
        );
        Ok(())
    }

    /// Three equal votes decide; without them the dispute's bond returns and, behind the last round, nothing was judged.
    fn dispute_decided(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: DecisionBody = event.body_as();
        let market = *self.market(event.market)?;
        let time_ns = self.time_ns;
        let entry = self.resolution_of(event.market)?;
        ensure!(entry.disputed && body.round == entry.round, "I22", "round {} is decided", body.round);
        let winner =
            entry.votes.iter().find(|vote| entry.votes_for(&vote.1) >= QUORUM).map(|vote| vote.1.clone());
        let verdict = match &winner {
            Some(vector) if *vector == entry.standing => UPHELD,
            Some(_) => OVERTURNED,
            None => NO_QUORUM,
        };
        ensure!(
            body.verdict == verdict,
            "I22",
            "market {} is decided {}, its votes say {verdict}",
            event.market,
            body.verdict
        );
        let over = time_ns >= entry.until_ns || entry.votes.len() == VOTES;
        ensure!(winner.is_some() || over, "I22", "the voting about market {} ends early", event.market);
        let last = entry.round + 1 == ROUNDS;
        let mut returned = 0;
        if let Some(vector) = winner {
            if verdict == OVERTURNED {
                entry.brought.push((vector.clone(), entry.parties.len() - 1));
            }
            entry.standing = vector;
        } else {
            let party = entry.parties.len() - 1;
            returned = std::mem::take(&mut entry.parties[party].bond);
            ensure!(
                (event.account, event.sub) == (entry.parties[party].account, entry.parties[party].sub),
                "I23",
                "an unjudged bond of market {} returns to somebody else",
                event.market
            );
        }
        entry.votes.clear();
        entry.disputed = false;
        entry.decided = last;
        entry.until_ns = body.until_ns;
        if last && verdict == NO_QUORUM {
            entry.unjudged = true;
            let mut invalid = super::resolution::Resolutions::default();
            entry.standing = invalid.vector(INVALID, market.outcome_count)?;
        }
        if !last {
            entry.round += 1;
        }
        ensure!(
            body.returned == returned && body.next_round == entry.round && (last || body.until_ns > time_ns),
            "I23",
            "{} of {returned} return and round {} opens",
            body.returned,
            body.next_round
        );
        let movements = [
            (event.account, event.sub, market.quote, FREE, returned),
            (event.market + 1, 0, market.quote, BOND_ESCROW, -returned),
        ];
        check_movements("I23", movements, postings)
    }

    /// Set once, to what stands when no window is open, and never more than the escrow holds.
    fn resolution_final(&mut self, event: &Event) -> Check {
        let body: FinalBody = event.body_as();
        let market = *self.market(event.market)?;
        let time_ns = self.time_ns;
        let vector = self.resolutions.vector(body.choice, body.outcomes)?;
        let entry = self.resolution_of(event.market)?;
        ensure!(!entry.is_final, "I22", "the payout of market {} is set twice", event.market);
        ensure!(
            vector == entry.standing && !entry.disputed,
            "I22",
            "market {} pays what does not stand",
            event.market
        );
        ensure!(
            entry.decided || time_ns >= entry.until_ns,
            "I22",
            "market {} is final at {time_ns}, its window ends at {}",
            event.market,
            entry.until_ns
        );
        entry.is_final = true;
        entry.until_ns = time_ns;
        let claims = self.outcomes.supplies(event.market).iter().copied();
        let owed = owed(&vector, claims) / i128::from(WHOLE_PPM);
        let escrow = self.ledger.line(event.market + 1, 0, market.quote, SET_ESCROW);
        ensure!(
            owed <= i128::from(escrow) && (i128::from(body.owed), body.escrow) == (owed, escrow),
            "I22",
            "market {} owes {owed} out of {escrow}",
            event.market
        );
        Ok(())
    }

    /// A bond ends whole with who was right, or in halves with his opponent and insurance.
    fn bond_settled(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: BondBody = event.body_as();
        let quote = self.market(event.market)?.quote;
        let entry = self.resolution_of(event.market)?;
        let at = usize::from(body.party);
        let Some(party) = entry.parties.get(at).filter(|_| entry.is_final) else {
            return Err(fault("I23", format_args!("a bond of market {} ends early", event.market)));
        };
        let won = entry.has_won(at);
        let half = body.bond / 2;
        let parts = if won { (body.bond, 0, 0) } else { (0, half, body.bond - half) };
        let known = (party.account, party.sub, party.bond) == (event.account, event.sub, body.bond);
        ensure!(
            known && body.bond > 0 && (body.returned, body.to_winner, body.to_insurance) == parts,
            "I23",
            "the bond {} of party {at} in market {} ends as {}, {} and {}",
            body.bond,
            event.market,
            body.returned,
            body.to_winner,
            body.to_insurance
        );
        let winner_won = entry.parties.iter().enumerate().any(|(at, party)| {
            (party.account, party.sub) == (body.winner, body.winner_sub) && entry.has_won(at)
        });
        ensure!(winner_won, "I23", "account {} is paid for being wrong", body.winner);
        let entry = self.resolution_of(event.market)?;
        entry.parties[at].bond = 0;
        let movements = [
            (event.market + 1, 0, quote, BOND_ESCROW, -body.bond),
            (event.account, event.sub, quote, FREE, body.returned),
            (body.winner, body.winner_sub, quote, FREE, body.to_winner),
            (0, 0, quote, INSURANCE, body.to_insurance),
        ];
        self.collect_fees(quote, body.to_insurance);
        check_movements("I23", movements, postings)
    }

    /// Pays what the holder's claims are worth, and takes all of them.
    fn redeemed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: RedeemedBody = event.body_as();
        let market = *self.market(event.market)?;
        self.check_sets_in_pause(event.market, false)?;
        let vector = self.final_vector(event.market)?;
        let (account, sub) = (event.account, event.sub);
        let held: Vec<i64> = (0..market.outcome_count)
            .map(|outcome| self.claim(account, sub, event.market, outcome).0)
            .collect();
        let worth = owed(&vector, held.iter().copied()) / i128::from(WHOLE_PPM);
        ensure!(
            held.iter().any(|&held| held > 0) && worth == i128::from(body.amount),
            "I22",
            "account {account} is paid {} for claims worth {worth}",
            body.amount
        );
        let movements = [
            (event.market + 1, 0, market.quote, SET_ESCROW, -body.amount),
            (account, sub, market.quote, FREE, body.amount),
        ];
        check_movements("I22", movements, postings)?;
        let escrow = self.ledger.line(event.market + 1, 0, market.quote, SET_ESCROW);
        ensure!(escrow == body.escrow && escrow >= 0, "I22", "market {} has {escrow} left", event.market);
        for (outcome, held) in held.into_iter().enumerate() {
            let outcome = outcome as u8;
            self.outcomes.expect(ClaimsMove {
                market: event.market,
                account,
                sub,
                outcome,
                free: -held,
                held: 0,
            });
        }
        Ok(())
    }

    /// What is left goes to insurance only when no claim is worth anything.
    fn escrow_swept(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let SweptBody { amount } = event.body_as();
        let quote = self.market(event.market)?.quote;
        let entry = self.resolution_of(event.market)?;
        let (vector, is_final) = (entry.standing.clone(), entry.is_final);
        let claims = self.outcomes.supplies(event.market).iter().copied();
        let left = self.ledger.line(event.market + 1, 0, quote, SET_ESCROW);
        ensure!(
            is_final && amount > 0 && left == 0 && owed(&vector, claims) == 0,
            "I22",
            "{amount} leave the escrow of market {} while claims are open",
            event.market
        );
        let movements = [(event.market + 1, 0, quote, SET_ESCROW, -amount), (0, 0, quote, INSURANCE, amount)];
        self.collect_fees(quote, amount);
        check_movements("I22", movements, postings)
    }

    fn resolution_moves_market(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: StatusBody = event.body_as();
        let status = self.market(event.market)?.status;
        let edge = match kind {
            EventKind::MarketResolving => (CLOSED, RESOLVING),
            _ => (RESOLVING, SETTLED),
        };
        let entry = self.resolution_of(event.market)?;
        let timely = kind == EventKind::MarketResolving || entry.is_final;
        let bonded = kind == EventKind::MarketResolved && self.listings.bond_of(event.market) != 0;
        ensure!(!bonded, "I23", "market {} is resolved, its listing bond is not", event.market);
        ensure!(
            timely && (status, body.status) == edge && body.previous == status,
            "I26",
            "market {} goes from {status} to {}",
            event.market,
            body.status
        );
        self.markets[event.market as usize].status = body.status;
        Ok(())
    }

    /// A market that leaves nothing behind goes 48 hours after its payout was final (P1.6.5).
    fn market_pruned(&mut self, event: &Event) -> Check {
        let body: PrunedBody = event.body_as();
        let market = *self.market(event.market)?;
        let time_ns = self.time_ns;
        let entry = self.resolution_of(event.market)?;
        let timely = entry.is_final && time_ns.saturating_sub(entry.until_ns) >= RETENTION_NS;
        ensure!(
            timely && (market.status, body.status, body.previous) == (SETTLED, PRUNED, SETTLED),
            "I26",
            "market {} goes from {} to {} at {time_ns}",
            event.market,
            market.status,
            body.status
        );
        let lines = [SET_ESCROW, BOND_ESCROW, POOL_CASH];
        let money = lines.map(|line| self.ledger.line(event.market + 1, 0, market.quote, line));
        let claims: i64 = self.outcomes.supplies(event.market).iter().sum();
        ensure!(
            claims == 0 && money == [0; 3] && !self.has_pool(event.market) && body.archive_hash != [0; 32],
            "I22",
            "market {} is pruned with {claims} claims and {money:?}",
            event.market
        );
        self.resolutions.of_market.remove(&event.market);
        self.markets[event.market as usize].status = PRUNED;
        Ok(())
    }

    /// I23 for one market.
    pub(super) fn check_bonds_of(&self, market: u32) -> Check {
        let quote = self.market(market)?.quote;
        let parties = self.resolutions.of_market.get(&market).map_or(0, Entry::bonds);
        let bonds = parties + self.listings.bond_of(market);
        let line = self.ledger.line(market + 1, 0, quote, BOND_ESCROW);
        ensure!(line == bonds, "I23", "market {market} holds {line} of bonds, at stake are {bonds}");
        Ok(())
    }

    /// Every market's bonds, and that no settled one owes more than it has, from scratch.
    pub(super) fn verify_resolutions(&self) -> Check {
        for &market in self.listings.of_market.keys() {
            self.check_bonds_of(market)?;
        }
        for (&market, entry) in &self.resolutions.of_market {
            self.check_bonds_of(market)?;
            let quote = self.market(market)?.quote;
            let escrow = self.ledger.line(market + 1, 0, quote, SET_ESCROW);
            let claims = self.outcomes.supplies(market).iter().copied();
            let owed = owed(&entry.standing, claims) / i128::from(WHOLE_PPM);
            ensure!(
                !entry.is_final || owed <= i128::from(escrow),
                "I22",
                "market {market} owes {owed} out of {escrow}"
            );
        }
        Ok(())
    }
}
