//! Cursor state (protocol P1.1.3): what moves with every command, rejected or not.

use crate::codec::{Reader, Writer};
use crate::idempotency::Idempotency;
use crate::limits::SECOND_NS;
use crate::wire::error::Code;

/// Seconds of accept and reject meters that are kept.
const METER_SECONDS: usize = 600;

/// Cursor state: moves with every command, rejected or not.
#[derive(Clone)]
pub struct Cursor {
    pub seq: u64,
    pub time_ns: i64,
    pub rules_version: u32,
    pub idempotency: Idempotency,
    pub rates: crate::flow::Rates,
    pub conflicts: crate::keeper::conflicts::Conflicts,
    /// (second, accepted, rejected, of these for congestion) by second modulo [`METER_SECONDS`].
    meters: Vec<(i64, u32, u32, u32)>,
    /// Second of the last refusal for congestion; derived from the meters' use, kept with them.
    pub congested_second: i64,
    /// Slot of the present second and the moment at which the second ends; derived, not state.
    metering: (usize, i64),
}

impl Cursor {
    pub fn new(time_ns: i64, rules_version: u32) -> Self {
        Cursor {
            seq: 0,
            time_ns,
            rules_version,
            idempotency: Idempotency::default(),
            rates: crate::flow::Rates::default(),
            conflicts: Default::default(),
            meters: vec![(0, 0, 0, 0); METER_SECONDS],
            congested_second: i64::MIN,
            metering: (0, i64::MIN),
        }
    }

    #[inline]
    pub fn meter(&mut self, refused: Option<Code>) {
        if self.time_ns >= self.metering.1 {
            self.start_second();
        }
        let slot = &mut self.meters[self.metering.0];
        match refused {
            None => slot.1 = slot.1.saturating_add(1),
            Some(code) => {
                slot.2 = slot.2.saturating_add(1);
                if matches!(code, Code::CAPACITY_EXCEEDED | Code::RATE_LIMITED) {
                    slot.3 = slot.3.saturating_add(1);
                    self.congested_second = slot.0;
                }
            }
        }
    }

    #[cold]
    fn start_second(&mut self) {
        let second = self.time_ns.div_euclid(SECOND_NS);
        let index = second.rem_euclid(METER_SECONDS as i64) as usize;
        if self.meters[index].0 != second {
            self.meters[index] = (second, 0, 0, 0);
        }
        self.metering = (index, (second + 1).saturating_mul(SECOND_NS));
    }

    /// Commands of one of the last 600 seconds.
    pub fn commands_of(&self, second: i64) -> u64 {
        let slot = &self.meters[second.rem_euclid(METER_SECONDS as i64) as usize];
        if slot.0 == second {
            u64::from(slot.1) + u64::from(slot.2)
        } else {
            0
        }
    }

    /// Accepted and rejected commands of the last `seconds` (at most 600).
    pub fn metered(&self, seconds: i64) -> (u64, u64) {
        let now = self.time_ns.div_euclid(SECOND_NS);
        self.meters
            .iter()
            .filter(|(second, ..)| *second > now - seconds && *second <= now)
            .fold((0, 0), |(yes, no), &(_, accepted, rejected, _)| {
                (yes + u64::from(accepted), no + u64::from(rejected))
            })
    }

    /// Commands and refusals for congestion of the last `seconds` (at most 600), the present one included.
    pub fn congestion(&self, seconds: i64) -> (u64, u64) {
        let now = self.time_ns.div_euclid(SECOND_NS);
        let (mut commands, mut refused) = (0, 0);
        for second in now - seconds + 1..=now {
            let slot = &self.meters[second.rem_euclid(METER_SECONDS as i64) as usize];
            if slot.0 == second {
                commands += u64::from(slot.1) + u64::from(slot.2);
                refused += u64::from(slot.3);
            }
        }
        (commands, refused)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u64(self.seq);
        writer.i64(self.time_ns);
        writer.u32(self.rules_version);
        for &(second, accepted, rejected, congested) in &self.meters {
            writer.i64(second);
            [accepted, rejected, congested].into_iter().for_each(|count| writer.u32(count));
        }
        writer.i64(self.congested_second);
        self.idempotency.encode(&mut writer);
        self.rates.encode(self.time_ns, &mut writer);
        self.conflicts.encode(&mut writer);
        writer.bytes
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut cursor = Cursor::new(0, 0);
        cursor.seq = reader.u64()?;
        cursor.time_ns = reader.i64()?;
        cursor.rules_version = reader.u32()?;
        for slot in &mut cursor.meters {
            *slot = (reader.i64()?, reader.u32()?, reader.u32()?, reader.u32()?);
        }
        cursor.congested_second = reader.i64()?;
        cursor.idempotency = Idempotency::decode(reader)?;
        cursor.rates = crate::flow::Rates::decode(reader)?;
        cursor.conflicts = crate::keeper::conflicts::Conflicts::decode(reader)?;
        Ok(cursor)
    }
}
