//! Resolutions in the canonical encoding.

use super::listing::Listings;
use super::payout::Payout;
use super::{stage, Claim, Dispute, Party, Resolution, Resolutions, Vote};
use crate::codec::{Reader, Writer};
use crate::limits::{ARBITER_VOTES, RESOLUTION_ROUNDS};

impl Resolutions {
    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.of_market.len());
        for (&market, resolution) in &self.of_market {
            writer.u32(market);
            encode_resolution(resolution, writer);
        }
        self.listings.encode(writer);
        self.early.encode(writer);
        self.exits.encode(writer);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut resolutions = Resolutions::default();
        for _ in 0..reader.len(60)? {
            let market = reader.u32()?;
            let resolution =
                decode_resolution(reader).map_err(|fault| format!("resolution {market}: {fault}"))?;
            resolutions.of_market.insert(market, resolution);
        }
        resolutions.listings = Listings::decode(reader)?;
        resolutions.early = super::early::Early::decode(reader)?;
        resolutions.exits = super::exits::Exits::decode(reader)?;
        Ok(resolutions)
    }
}

fn encode_payout(payout: &Payout, writer: &mut Writer) {
    writer.u8(payout.outcomes());
    payout.ppm().iter().for_each(|&ppm| writer.u32(ppm));
}

fn decode_payout(reader: &mut Reader<'_>) -> Result<Payout, String> {
    let outcomes = reader.u8()?;
    let ppm = (0..outcomes).map(|_| reader.u32()).collect::<Result<Vec<_>, _>>()?;
    Payout::of(&ppm).ok_or_else(|| format!("a payout vector of {outcomes} outcomes is none"))
}

fn encode_resolution(resolution: &Resolution, writer: &mut Writer) {
    let Resolution { stage, round, evidence, unjudged, base_bond, base_window_ns, until_ns, .. } = resolution;
    writer.raw(&[*stage, *round, *evidence, u8::from(*unjudged)]);
    [base_bond, base_window_ns, until_ns].into_iter().for_each(|&value| writer.i64(value));
    writer.u8(resolution.parties.len() as u8);
    for party in &resolution.parties {
        writer.u32(party.account);
        writer.u8(party.sub);
        writer.i64(party.bond);
    }
    writer.u8(resolution.claims.len() as u8);
    for claim in &resolution.claims {
        writer.u8(claim.backer);
        encode_payout(&claim.payout, writer);
    }
    writer.u8(resolution.disputes.len() as u8);
    for dispute in &resolution.disputes {
        writer.raw(&[dispute.round, dispute.party, dispute.claim]);
    }
    writer.u8(resolution.votes.len() as u8);
    for vote in &resolution.votes {
        writer.raw(&vote.arbiter);
        encode_payout(&vote.payout, writer);
    }
}

fn decode_resolution(reader: &mut Reader<'_>) -> Result<Resolution, String> {
    let [stage, round, evidence, unjudged] = reader.array()?;
    let [base_bond, base_window_ns, until_ns] = [reader.i64()?, reader.i64()?, reader.i64()?];
    let mut resolution = Resolution {
        stage,
        round,
        evidence,
        unjudged: unjudged != 0,
        base_bond,
        base_window_ns,
        until_ns,
        parties: Vec::new(),
        claims: Vec::new(),
        disputes: Vec::new(),
        votes: Vec::new(),
    };
    for _ in 0..reader.u8()? {
        let party = Party { account: reader.u32()?, sub: reader.u8()?, bond: reader.i64()? };
        resolution.parties.push(party);
    }
    for _ in 0..reader.u8()? {
        resolution.claims.push(Claim { backer: reader.u8()?, payout: decode_payout(reader)? });
    }
    for _ in 0..reader.u8()? {
        let [round, party, claim] = reader.array()?;
        resolution.disputes.push(Dispute { round, party, claim });
    }
    for _ in 0..reader.u8()? {
        resolution.votes.push(Vote { arbiter: reader.array()?, payout: decode_payout(reader)? });
    }
    check(&resolution)?;
    Ok(resolution)
}

/// What the state machine relies on.
fn check(resolution: &Resolution) -> Result<(), String> {
    let rounds = usize::from(RESOLUTION_ROUNDS);
    let (parties, claims) = (resolution.parties.len(), resolution.claims.len());
    let within = (stage::PROPOSED..=stage::FINAL).contains(&resolution.stage)
        && resolution.round < RESOLUTION_ROUNDS
        && (1..=rounds + 1).contains(&parties)
        && (1..=rounds + 1).contains(&claims)
        && resolution.disputes.len() + 1 == parties
        && resolution.votes.len() < ARBITER_VOTES;
    let known = resolution.claims.iter().all(|claim| usize::from(claim.backer) < parties)
        && resolution
            .disputes
            .iter()
            .all(|dispute| usize::from(dispute.party) < parties && usize::from(dispute.claim) < claims);
    let disputed = resolution.stage != stage::DISPUTED || !resolution.disputes.is_empty();
    match within && known && disputed {
        true => Ok(()),
        false => Err(format!("{parties} parties, {claims} claims, stage {}", resolution.stage)),
    }
}
