//! The vault's canonical encoding.

use super::exit::{Cohort, Ticket};
use super::terms::InsuredWeek;
use super::{Published, Vault};
use crate::codec::{Reader, Writer};
use crate::coverage::stage::{phase, Stage};
use crate::coverage::status::{state, Status};
use crate::coverage::Exposure;

impl Vault {
    pub fn encode(&self, writer: &mut Writer) {
        writer.i64(self.supply);
        writer.u64(self.next_ticket);
        writer.len(self.holders.len());
        for (&account, &shares) in &self.holders {
            writer.u32(account);
            writer.i64(shares);
        }
        writer.len(self.cohorts.len());
        for (&cutoff_ns, cohort) in &self.cohorts {
            writer.u32(cohort.tickets);
            [cutoff_ns, cohort.shares, cohort.unserved, cohort.paid, cohort.collected]
                .into_iter()
                .for_each(|value| writer.i64(value));
        }
        writer.len(self.tickets.len());
        for (&number, ticket) in &self.tickets {
            writer.u64(number);
            writer.u32(ticket.account);
            writer.u8(ticket.sub);
            [ticket.shares, ticket.collected, ticket.cutoff_ns]
                .into_iter()
                .for_each(|value| writer.i64(value));
        }
        self.exposure.encode(writer);
        writer.len(self.published.len());
        for (&bucket, published) in &self.published {
            writer.u32(bucket);
            writer.u32(published.from_ppm);
            writer.i64(published.since_ns);
        }
        writer.i64(self.seen_nav);
        writer.raw(&self.seen_at_risk.to_le_bytes());
        writer.raw(&[self.status.state, self.stage.stage]);
        let status = self.status.good_since_ns;
        let moments = [self.epoch_ns, self.epoch_nav, self.epoch_in, self.epoch_out, self.next_look_ns];
        let stages = [self.stage.recovered_since_ns, self.served_ns];
        status.into_iter().chain(moments).chain(stages).for_each(|value| writer.i64(value));
        writer.raw(&self.high_water_e12.to_le_bytes());
        self.insured.encode(writer);
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut vault = Vault { supply: reader.i64()?, next_ticket: reader.u64()?, ..Vault::default() };
        for _ in 0..reader.len(12)? {
            let (account, shares) = (reader.u32()?, reader.i64()?);
            vault.holders.insert(account, shares);
        }
        for _ in 0..reader.len(44)? {
            let tickets = reader.u32()?;
            let cutoff_ns = reader.i64()?;
            let (shares, unserved) = (reader.i64()?, reader.i64()?);
            let (paid, collected) = (reader.i64()?, reader.i64()?);
            vault.cohorts.insert(cutoff_ns, Cohort { shares, unserved, paid, collected, tickets });
        }
        for _ in 0..reader.len(37)? {
            let (number, account, sub) = (reader.u64()?, reader.u32()?, reader.u8()?);
            let (shares, collected, cutoff_ns) = (reader.i64()?, reader.i64()?, reader.i64()?);
            if !vault.cohorts.contains_key(&cutoff_ns) {
                return Err(format!("exit ticket {number} names no cohort"));
            }
            vault.by_owner.insert((account, cutoff_ns), number);
            vault.tickets.insert(number, Ticket { account, sub, shares, collected, cutoff_ns });
        }
        vault.exposure = Exposure::decode(reader)?;
        for _ in 0..reader.len(16)? {
            let (bucket, from_ppm, since_ns) = (reader.u32()?, reader.u32()?, reader.i64()?);
            vault.published.insert(bucket, Published { since_ns, from_ppm });
        }
        vault.seen_nav = reader.i64()?;
        vault.seen_at_risk = i128::from_le_bytes(reader.array()?);
        vault.decode_rest(reader)?;
        let unserved: i64 = vault.cohorts.values().map(|cohort| cohort.unserved).sum();
        let held: i64 = vault.holders.values().sum();
        if vault.supply != held + unserved {
            return Err(format!("{} vault shares, {held} held, {unserved} leaving", vault.supply));
        }
        Ok(vault)
    }

    fn decode_rest(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        let [status, present] = reader.array()?;
        if status > state::HALT || present > phase::DEGRADED {
            return Err(format!("coverage state {status}, stage {present}"));
        }
        let good_since_ns = [reader.i64()?, reader.i64()?, reader.i64()?];
        self.status = Status { state: status, good_since_ns };
        for place in [
            &mut self.epoch_ns,
            &mut self.epoch_nav,
            &mut self.epoch_in,
            &mut self.epoch_out,
            &mut self.next_look_ns,
        ] {
            *place = reader.i64()?;
        }
        self.stage = Stage { stage: present, recovered_since_ns: reader.i64()? };
        self.served_ns = reader.i64()?;
        self.high_water_e12 = i128::from_le_bytes(reader.array()?);
        self.insured = InsuredWeek::decode(reader)?;
        Ok(())
    }
}
