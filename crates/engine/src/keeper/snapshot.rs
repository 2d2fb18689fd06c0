//! Keepers in the canonical encoding.

use super::rates::Meters;
use super::{Keeper, Keepers, Large, Missed, Part, Score, Slash, Stake};
use crate::codec::{Reader, Writer};
use crate::limits::MAX_KEEPERS;

impl Keepers {
    pub fn encode(&self, writer: &mut Writer) {
        let live =
            || self.slots.iter().enumerate().filter_map(|(slot, keeper)| Some((slot, keeper.as_ref()?)));
        writer.len(live().count());
        for (slot, keeper) in live() {
            writer.u16(slot as u16);
            encode_keeper(keeper, writer);
        }
        writer.len(self.stakes.len());
        for (&account, stake) in &self.stakes {
            writer.u32(account);
            writer.i64(stake.bonded);
            writer.len(stake.parts.len());
            for part in &stake.parts {
                writer.i64(part.amount);
                writer.i64(part.ready_ns);
            }
        }
        writer.u64(self.next_slash);
        writer.len(self.slashes.len());
        for (&id, slash) in &self.slashes {
            writer.u64(id);
            writer.u32(slash.account);
            writer.raw(&[slash.state, slash.fault]);
            writer.u32(slash.ppm);
            writer.raw(&slash.evidence);
            writer.raw(&slash.first_signer);
            writer.i64(slash.deadline_ns);
        }
        writer.u64(self.next_large);
        writer.len(self.large.len());
        for (&id, large) in &self.large {
            writer.u64(id);
            writer.u64(large.target);
            writer.u32(large.first);
            writer.i64(large.until_ns);
        }
        writer.len(self.judged.len());
        self.judged.iter().for_each(|evidence| writer.raw(evidence));
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut keepers = Keepers::default();
        for _ in 0..reader.len(100)? {
            let slot = usize::from(reader.u16()?);
            let keeper = decode_keeper(reader)?;
            let taken = keepers.slots.get(slot).is_some_and(Option::is_some);
            if slot >= MAX_KEEPERS || taken || keepers.get(keeper.account).is_some() {
                return Err(format!("keeper slot {slot} of account {} is taken", keeper.account));
            }
            keepers.place(slot, keeper);
        }
        for _ in 0..reader.len(20)? {
            let account = reader.u32()?;
            let mut stake = Stake { bonded: reader.i64()?, parts: Vec::new() };
            for _ in 0..reader.len(16)? {
                stake.parts.push(Part { amount: reader.i64()?, ready_ns: reader.i64()? });
            }
            keepers.stakes.insert(account, stake);
        }
        keepers.next_slash = reader.u64()?;
        for _ in 0..reader.len(90)? {
            let (id, account) = (reader.u64()?, reader.u32()?);
            let [state, fault] = reader.array()?;
            let slash = Slash {
                account,
                state,
                fault,
                ppm: reader.u32()?,
                evidence: reader.array()?,
                first_signer: reader.array()?,
                deadline_ns: reader.i64()?,
            };
            keepers.slashes.insert(id, slash);
        }
        keepers.next_large = reader.u64()?;
        for _ in 0..reader.len(28)? {
            let id = reader.u64()?;
            let large = Large { target: reader.u64()?, first: reader.u32()?, until_ns: reader.i64()? };
            keepers.large.insert(id, large);
        }
        for _ in 0..reader.len(32)? {
            keepers.judged.push_back(reader.array()?);
        }
        Ok(keepers)
    }
}

fn encode_keeper(keeper: &Keeper, writer: &mut Writer) {
    writer.u32(keeper.account);
    writer.u32(keeper.capabilities);
    writer.raw(&[keeper.state, u8::from(keeper.idle_alerted)]);
    let moments =
        [keeper.registered_ns, keeper.review_ns, keeper.last_action_ns, keeper.idle_check_ns, keeper.bonded];
    moments.into_iter().for_each(|value| writer.i64(value));
    writer.u64(keeper.actions);
    writer.u64(keeper.score.successes_e9);
    writer.u64(keeper.score.faults_e9);
    writer.u8(u8::from(keeper.missed.is_some()));
    if let Some(missed) = &keeper.missed {
        writer.i64(missed.first_ns);
        writer.u32(missed.market);
        writer.raw(&missed.evidence);
    }
    writer.i64(keeper.meters.targets_ns);
    writer.i64(keeper.meters.actions_ns);
    writer.u8(keeper.meters.next);
    keeper.meters.recent.iter().for_each(|&target| writer.u64(target));
}

fn decode_keeper(reader: &mut Reader<'_>) -> Result<Keeper, String> {
    let (account, capabilities) = (reader.u32()?, reader.u32()?);
    let [state, idle_alerted] = reader.array()?;
    let [registered_ns, review_ns, last_action_ns, idle_check_ns, bonded] =
        [reader.i64()?, reader.i64()?, reader.i64()?, reader.i64()?, reader.i64()?];
    let actions = reader.u64()?;
    let score = Score { successes_e9: reader.u64()?, faults_e9: reader.u64()? };
    let missed = match reader.u8()? {
        0 => None,
        _ => Some(Missed { first_ns: reader.i64()?, market: reader.u32()?, evidence: reader.array()? }),
    };
    let mut meters = Meters {
        targets_ns: reader.i64()?,
        actions_ns: reader.i64()?,
        next: reader.u8()?,
        ..Meters::default()
    };
    if usize::from(meters.next) >= meters.recent.len() {
        return Err(format!("keeper of account {account} has its next target at {}", meters.next));
    }
    for target in &mut meters.recent {
        *target = reader.u64()?;
    }
    Ok(Keeper {
        account,
        capabilities,
        state,
        idle_alerted: idle_alerted != 0,
        registered_ns,
        review_ns,
        last_action_ns,
        idle_check_ns,
        actions,
        score,
        missed,
        meters,
        bonded,
    })
}
