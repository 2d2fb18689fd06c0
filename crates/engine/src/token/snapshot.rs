//! The token in the canonical encoding.

use super::vesting::POOLS;
use super::{staking, Bootstrap, Issue, Launch, Makers, Schedule, Season, Seasons, Staking, Token, Vesting};
use crate::codec::{Reader, Writer};
use crate::limits::{MAX_REWARD_ASSETS, MAX_STAKE_LOTS};

impl Token {
    pub fn encode(&self, writer: &mut Writer) {
        writer.u8(u8::from(self.issue.is_some()));
        if let Some(issue) = self.issue {
            writer.u16(issue.asset);
            writer.i64(issue.issued_ns);
        }
        self.vesting.encode(writer);
        self.seasons.encode(writer);
        self.staking.encode(writer);
        self.makers.encode(writer);
        self.launch.encode(writer);
        self.bootstrap.encode(writer);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let issue = match reader.u8()? {
            0 => None,
            1 => Some(Issue { asset: reader.u16()?, issued_ns: reader.i64()? }),
            other => return Err(format!("the token's mark is {other}")),
        };
        Ok(Token {
            issue,
            vesting: Vesting::decode(reader)?,
            seasons: Seasons::decode(reader)?,
            staking: Staking::decode(reader)?,
            makers: Makers::decode(reader)?,
            launch: Launch::decode(reader)?,
            bootstrap: Bootstrap::decode(reader)?,
        })
    }
}

impl Vesting {
    fn encode(&self, writer: &mut Writer) {
        for pool in &self.pools {
            [pool.allocated, pool.kept, pool.drawn, pool.floor_ns]
                .into_iter()
                .for_each(|value| writer.i64(value));
        }
        writer.u64(self.last);
        writer.len(self.schedules.len());
        for (&id, schedule) in &self.schedules {
            writer.u64(id);
            writer.u8(schedule.pool);
            writer.u32(schedule.account);
            [schedule.amount, schedule.start_ns, schedule.claimed, schedule.revoked_ns]
                .into_iter()
                .for_each(|value| writer.i64(value));
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut vesting = Vesting::default();
        for pool in &mut vesting.pools {
            (pool.allocated, pool.kept) = (reader.i64()?, reader.i64()?);
            (pool.drawn, pool.floor_ns) = (reader.i64()?, reader.i64()?);
        }
        vesting.last = reader.u64()?;
        for _ in 0..reader.len(45)? {
            let (id, pool, account) = (reader.u64()?, reader.u8()?, reader.u32()?);
            if usize::from(pool) >= POOLS.len() || id > vesting.last {
                return Err(format!("vesting schedule {id} of pool {pool} is unknown"));
            }
            let [amount, start_ns, claimed, revoked_ns] =
                [reader.i64()?, reader.i64()?, reader.i64()?, reader.i64()?];
            vesting.schedules.insert(id, Schedule { pool, account, amount, start_ns, claimed, revoked_ns });
        }
        Ok(vesting)
    }
}

impl Seasons {
    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.last);
        writer.u8(u8::from(self.active.is_some()));
        if let Some(season) = self.active {
            writer.u32(season.number);
            [season.budget, season.start_ns, season.paid].into_iter().for_each(|value| writer.i64(value));
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let last = reader.u32()?;
        let active = match reader.u8()? {
            0 => None,
            _ => Some(Season {
                number: reader.u32()?,
                budget: reader.i64()?,
                start_ns: reader.i64()?,
                paid: reader.i64()?,
            }),
        };
        Ok(Seasons { last, active })
    }
}

fn write_wide(value: u128, writer: &mut Writer) {
    writer.u64(value as u64);
    writer.u64((value >> 64) as u64);
}

fn read_wide(reader: &mut Reader<'_>) -> Result<u128, String> {
    Ok(u128::from(reader.u64()?) | (u128::from(reader.u64()?) << 64))
}

impl Staking {
    fn encode(&self, writer: &mut Writer) {
        writer.len(self.funds.len());
        for fund in &self.funds {
            writer.u16(fund.asset);
            write_wide(fund.accumulator, writer);
            write_wide(fund.carry, writer);
            writer.i64(fund.owed);
        }
        writer.len(self.stakers.len());
        for (&account, staker) in &self.stakers {
            writer.u32(account);
            writer.u64(staker.last);
            writer.len(staker.lots.len());
            for lot in &staker.lots {
                writer.u64(lot.number);
                writer.i64(lot.amount);
                writer.i64(lot.weight);
                writer.u32(lot.lock_s);
                writer.i64(lot.unlock_ns);
                lot.entries.iter().for_each(|&entry| write_wide(entry, writer));
            }
        }
    }

    /// The total weight is not stored: it is the sum of the lots'.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut staking = Staking::default();
        for _ in 0..reader.len(42)? {
            staking.funds.push(staking::Fund {
                asset: reader.u16()?,
                accumulator: read_wide(reader)?,
                carry: read_wide(reader)?,
                owed: reader.i64()?,
            });
        }
        if staking.funds.len() > MAX_REWARD_ASSETS {
            return Err(format!("{} assets reward stakers", staking.funds.len()));
        }
        for _ in 0..reader.len(20)? {
            let account = reader.u32()?;
            let mut staker = staking::Staker { last: reader.u64()?, lots: Vec::new() };
            for _ in 0..reader.len(100)? {
                let mut lot = staking::Lot {
                    number: reader.u64()?,
                    amount: reader.i64()?,
                    weight: reader.i64()?,
                    lock_s: reader.u32()?,
                    unlock_ns: reader.i64()?,
                    entries: [0; MAX_REWARD_ASSETS],
                };
                for entry in &mut lot.entries {
                    *entry = read_wide(reader)?;
                }
                staking.total = staking.total.checked_add(lot.weight).ok_or("weights are too large")?;
                staker.lots.push(lot);
            }
            if staker.lots.len() > MAX_STAKE_LOTS {
                return Err(format!("account {account} has {} stakes", staker.lots.len()));
            }
            staking.stakers.insert(account, staker);
        }
        Ok(staking)
    }
}
