//! Payloads and bodies of resolution and redemption (P15, P2.2 rows 0603, 0B01–0B04).

use crate::record;

record! {
    /// 0B01 and 0B02: says what a market pays. `choice`: an outcome, or one of `payout::choice`; `entries` and `packed`
    /// as that form needs them. `round` 0 for a proposal, else the round that is disputed. `bond` is the most, in
    /// micro-quote, that the sender puts at stake; what the rules ask for is taken. `evidence` is the hash of a list of
    /// 1 to 100 items.
    ClaimPayout: 72 {
        market: u32,
        choice: u8,
        entries: u8,
        round: u8,
        evidence_items: u8,
        bond: i64,
        evidence: [u8; 32],
        packed: [u8; 24],
    }
}

record! {
    /// 0B03: an arbiter's vector for the round under dispute.
    VoteResolution: 32 { market: u32, round: u8, choice: u8, entries: u8, reserved: u8, packed: [u8; 24] }
}

record! {
    /// A proposal or dispute; account and sub-account of the header are its party.
    ClaimBody: 72 {
        round: u8,
        /// As in `payout::choice`; a VECTOR is shown by the PayoutShown events just before.
        choice: u8,
        outcomes: u8,
        evidence_items: u8,
        reserved: u32,
        /// Micro-quote in escrow.
        bond: i64,
        /// Micro-quote that the party's claims pay at most beyond what they pay at least (P15.6).
        exposure: i64,
        /// End of the window to dispute, or to vote.
        until_ns: i64,
        /// Bond of round 0 in micro-quote.
        base_bond: i64,
        evidence: [u8; 32],
    }
}

record! {
    /// `count` parts of a payout vector from outcome `first` on, u32 ppm each; the event behind the last part names it.
    PayoutBody: 72 { first: u8, count: u8, reserved: u16, reserved2: u32, ppm: [u8; 64] }
}

record! {
    VoteBody: 40 {
        arbiter: [u8; 32],
        round: u8,
        /// As in ClaimBody.
        choice: u8,
        /// Votes of the round, and of these for this vector.
        votes: u8,
        votes_for: u8,
        reserved: u32,
    }
}

record! {
    /// The end of a disputed round.
    DecisionBody: 24 {
        round: u8,
        /// `resolution::verdict`.
        verdict: u8,
        /// What stands now, as in ClaimBody.
        choice: u8,
        /// `resolution::stage` now.
        stage: u8,
        /// The round that is open now.
        next_round: u8,
        reserved: u8,
        reserved2: u16,
        /// End of the next window; 0 = none, it may be made final.
        until_ns: i64,
        /// Micro-quote returned to the header's account: the bond of a dispute that nobody judged.
        returned: i64,
    }
}

record! {
    /// 0107. The hash of the records by which the market was archived (P1.6.5).
    PruneMarket: 40 { market: u32, reserved: u32, archive_hash: [u8; 32] }
}

record! {
    /// What stays of a pruned market.
    PrunedBody: 40 { archive_hash: [u8; 32], status: u8, previous: u8, reserved: u16, reserved2: u32 }
}

record! {
    /// What a market pays, once and for all.
    FinalBody: 24 {
        /// As in ClaimBody.
        choice: u8,
        outcomes: u8,
        /// Rounds that were opened, and disputes.
        rounds: u8,
        disputes: u8,
        reserved: u32,
        /// Micro-quote in the market's escrow, and what all claims together are worth, rounded down.
        escrow: i64,
        owed: i64,
    }
}

record! {
    /// The end of a bond. The header names its party; `bond` = returned + to_winner + to_insurance.
    BondBody: 40 {
        bond: i64,
        returned: i64,
        to_winner: i64,
        to_insurance: i64,
        /// Who gets `to_winner`.
        winner: u32,
        winner_sub: u8,
        /// 0 the proposer, then the disputers.
        party: u8,
        reserved: u16,
    }
}

record! {
    /// Claims of a settled market were paid: all that the header's sub-account held.
    RedeemedBody: 16 {
        /// Micro-quote paid.
        amount: i64,
        /// Micro-quote left in the market's escrow.
        escrow: i64,
    }
}

record! {
    /// Micro-quote that nobody can claim any more went from the market's escrow to insurance.
    SweptBody: 8 { amount: i64 }
}
