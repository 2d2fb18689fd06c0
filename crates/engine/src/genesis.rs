//! The genesis configuration: what exists before the first command.

use crate::codec::{Reader, Writer};
use crate::roles;

const MAGIC: [u8; 8] = *b"TWGEN\x01\0\0";

/// One role grant that exists from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub principal: [u8; 32],
    pub role: u8,
    pub expiry_ns: i64,
}

/// Shard, rule version, first moment and first principals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    pub shard: u16,
    pub rules_version: u32,
    pub time_ns: i64,
    pub grants: Vec<Grant>,
}

impl Genesis {
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.raw(&MAGIC);
        writer.u16(self.shard);
        writer.u32(self.rules_version);
        writer.i64(self.time_ns);
        writer.len(self.grants.len());
        for grant in &self.grants {
            writer.raw(&grant.principal);
            writer.u8(grant.role);
            writer.i64(grant.expiry_ns);
        }
        writer.bytes
    }

    /// # Errors
    /// A sentence that names the defect: foreign bytes, unknown role, conflicting roles, no SYSTEM principal.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader::new(bytes);
        if reader.array::<8>()? != MAGIC {
            return Err("not a genesis configuration of version 1".into());
        }
        let (shard, rules_version, time_ns) = (reader.u16()?, reader.u32()?, reader.i64()?);
        let mut grants = Vec::new();
        for _ in 0..reader.len(41)? {
            grants.push(Grant { principal: reader.array()?, role: reader.u8()?, expiry_ns: reader.i64()? });
        }
        if reader.remaining() != 0 {
            return Err(format!("{} bytes behind the genesis configuration", reader.remaining()));
        }
        let genesis = Genesis { shard, rules_version, time_ns, grants };
        genesis.roles()?;
        Ok(genesis)
    }

    /// The roles table that the grants describe.
    pub fn roles(&self) -> Result<roles::Roles, String> {
        let mut table = roles::Roles::default();
        for grant in &self.grants {
            if grant.principal == [0; 32] {
                return Err("a grant names the zero key".into());
            }
            table
                .check_grant(None, &grant.principal, grant.role, self.time_ns)
                .map_err(|refusal| format!("grant of role {}: {}", grant.role, refusal.code.entry().name))?;
            table.grant(&grant.principal, grant.role, grant.expiry_ns);
        }
        table.first_system().ok_or("no principal holds SYSTEM")?;
        Ok(table)
    }
}
