//! Governance in the canonical encoding.

use super::{Action, Governance, Offer, Setting};
use crate::codec::{Reader, Writer};

impl Governance {
    pub fn encode(&self, writer: &mut Writer) {
        writer.u64(self.next_action);
        writer.len(self.actions.len());
        for (&id, action) in &self.actions {
            writer.u64(id);
            writer.u16(action.kind);
            writer.raw(&[action.op, action.class, action.needed]);
            writer.u32(action.config_version);
            writer.raw(&action.payload);
            writer.raw(&action.proposer);
            writer.i64(action.proposed_ns);
            writer.i64(action.eta_ns);
            writer.len(action.approvals.len());
            action.approvals.iter().for_each(|key| writer.raw(key));
        }
        writer.len(self.closed.len());
        for &(id, end) in &self.closed {
            writer.u64(id);
            writer.u8(end);
        }
        writer.u64(self.next_offer);
        writer.len(self.offers.len());
        for (&id, offer) in &self.offers {
            writer.u64(id);
            writer.raw(&offer.holder);
            writer.raw(&offer.nominee);
            writer.u8(offer.role);
            writer.i64(offer.offered_ns);
        }
        writer.u32(self.config_version);
        writer.len(self.settings.len());
        for (&number, setting) in &self.settings {
            writer.u32(number);
            writer.i64(setting.value);
            writer.i64(setting.changed_ns);
        }
        writer.len(self.suitability.len());
        for (&account, &(level, expiry_ns)) in &self.suitability {
            writer.u32(account);
            writer.u8(level);
            writer.i64(expiry_ns);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut state = Governance { next_action: reader.u64()?, ..Governance::default() };
        for _ in 0..reader.len(120)? {
            let (id, kind) = (reader.u64()?, reader.u16()?);
            let [op, class, needed] = reader.array()?;
            let mut action = Action {
                kind,
                op,
                class,
                needed,
                config_version: reader.u32()?,
                payload: reader.array()?,
                proposer: reader.array()?,
                proposed_ns: reader.i64()?,
                eta_ns: reader.i64()?,
                approvals: Vec::new(),
            };
            for _ in 0..reader.len(32)? {
                action.approvals.push(reader.array()?);
            }
            state.actions.insert(id, action);
        }
        for _ in 0..reader.len(9)? {
            state.closed.push_back((reader.u64()?, reader.u8()?));
        }
        state.next_offer = reader.u64()?;
        for _ in 0..reader.len(81)? {
            let id = reader.u64()?;
            let offer = Offer {
                holder: reader.array()?,
                nominee: reader.array()?,
                role: reader.u8()?,
                offered_ns: reader.i64()?,
            };
            state.offers.insert(id, offer);
        }
        state.config_version = reader.u32()?;
        for _ in 0..reader.len(20)? {
            let number = reader.u32()?;
            state.settings.insert(number, Setting { value: reader.i64()?, changed_ns: reader.i64()? });
        }
        for _ in 0..reader.len(13)? {
            let account = reader.u32()?;
            state.suitability.insert(account, (reader.u8()?, reader.i64()?));
        }
        Ok(state)
    }
}
