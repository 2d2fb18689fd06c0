//! Roles, permission bits and principals (protocol P14.1–P14.3).

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{Reader, Writer};
use crate::hash::{id32, Id, Map};
use crate::limits::{
    MAX_PRINCIPALS, MAX_PRINCIPALS_PER_ROLE, MAX_ROLES_PER_PRINCIPAL, MAX_SUSPENDED_OUTSIDERS,
};
use crate::wire::error::{reject, Code, Reject};

/// Permission bits of P14.1.
pub mod permission {
    pub const CREATE_MARKET: u8 = 0;
    pub const RESOLVE_VOTE: u8 = 1;
    pub const PAUSE: u8 = 2;
    pub const FEES: u8 = 3;
    pub const LIQUIDITY: u8 = 4;
    pub const LIQUIDATE: u8 = 5;
    pub const RESUME: u8 = 6;
    pub const ORACLE: u8 = 7;
    pub const KEEPERS: u8 = 8;
    pub const CONFIG: u8 = 9;
    pub const ROLES: u8 = 10;
    pub const PRIVATE_DATA: u8 = 11;
    pub const TRADE: u8 = 12;
    pub const DARK: u8 = 13;
    pub const CRANK: u8 = 14;
    pub const PROPOSE: u8 = 15;
    pub const APPROVE: u8 = 16;
    pub const TOKEN: u8 = 17;
    pub const TREASURY: u8 = 18;
    pub const SYSTEM: u8 = 19;
    pub const RISK: u8 = 20;
    pub const AUDIT_READ: u8 = 21;
}

macro_rules! roles {
    ($($name:ident = $number:literal [$($bit:ident),*];)*) => {
        $(pub const $name: u8 = $number;)*
        /// Role names by number.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
        /// Permission bits by role number.
        const BITS: &[u32] = &[$(0 $(| 1 << permission::$bit)*),*];
    };
}

roles! {
    TRADER = 0 [TRADE];
    LIQUIDITY_PROVIDER = 1 [LIQUIDITY, TRADE];
    KEEPER = 2 [LIQUIDATE, CRANK];
    ORACLE = 3 [ORACLE];
    OPERATOR = 4 [CREATE_MARKET, FEES, LIQUIDITY, KEEPERS];
    RISK = 5 [CONFIG, RISK];
    EMERGENCY = 6 [PAUSE];
    RESUMER = 7 [RESUME];
    GOVERNOR = 8 [PROPOSE];
    APPROVER = 9 [APPROVE];
    ARBITER = 10 [RESOLVE_VOTE];
    TREASURER = 11 [TOKEN, TREASURY];
    ROLE_ADMIN = 12 [ROLES];
    AUDITOR = 13 [PRIVATE_DATA, AUDIT_READ];
    SYSTEM = 14 [CRANK, SYSTEM];
    DARK_TRADER = 15 [TRADE, DARK];
}

/// Pairs of roles that one principal may not hold together (P14.2); SYSTEM excludes every other.
const EXCLUSIONS: &[(u8, u8)] =
    &[(EMERGENCY, RESUMER), (GOVERNOR, APPROVER), (KEEPER, ARBITER), (ORACLE, ARBITER)];

/// The role that `role` conflicts with, if the principal holds it.
fn conflict(role: u8, held: u8) -> bool {
    role != held
        && (role == SYSTEM
            || held == SYSTEM
            || EXCLUSIONS.iter().any(|&(a, b)| (role == a && held == b) || (role == b && held == a)))
}

/// What one principal may do and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// Role number → expiry in ns.
    pub roles: BTreeMap<u8, i64>,
    pub suspended_since_ns: Option<i64>,
    /// First of the two approvals that reinstate: approver and deadline.
    pub reinstate_pending: Option<([u8; 32], i64)>,
    /// Union of the bits of all roles, expired ones included.
    bits: u32,
    pub is_system: bool,
}

impl Principal {
    /// Known only because it is suspended.
    fn is_outsider(&self) -> bool {
        self.roles.is_empty() && self.suspended_since_ns.is_some()
    }

    fn refresh(&mut self) {
        self.bits = self.roles.keys().fold(0, |bits, &role| bits | BITS[role as usize]);
        self.is_system = self.roles.contains_key(&SYSTEM);
    }
}

/// All principals with a role or a suspension.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    principals: BTreeMap<[u8; 32], Principal>,
    /// Who holds each role, expired grants included. Boxed: 16 sets in the middle of what every command reads.
    members: Box<[BTreeSet<[u8; 32]>; BITS.len()]>,
    /// Suspended principals without a role.
    outsiders: usize,
    index: Map<Id, u32>,
    /// Places in `hot` that nobody uses.
    unused: Vec<u32>,
    /// Dense copy for the hot path: (bits, is_system, suspended, earliest expiry).
    hot: Vec<Hot>,
    /// One bit per last byte of an indexed key: most senders are no principals, and this says so in one load.
    last_bytes: [u64; 4],
}

#[derive(Clone, Copy, Debug)]
struct Hot {
    system_until_ns: i64,
    suspended_since_ns: i64,
}

const NEVER: i64 = i64::MAX;

/// Whether a grant until `expiry_ns` holds at `now_ns`. The SYSTEM that never ends holds at the end of time too: a clock
/// that is read as that must not leave the engine without its own principal.
fn lasts(expiry_ns: i64, now_ns: i64) -> bool {
    expiry_ns > now_ns || expiry_ns == NEVER
}

impl Roles {
    /// Whether the principal holds SYSTEM now.
    ///
    /// # Errors
    /// `PRINCIPAL_SUSPENDED`.
    #[inline]
    pub fn standing(&self, principal: &[u8; 32], now_ns: i64) -> Result<bool, Reject> {
        let last = principal[31];
        if self.last_bytes[usize::from(last >> 6)] & (1 << (last & 63)) == 0 {
            return Ok(false);
        }
        match self.index.get(&id32(principal)) {
            None => Ok(false),
            Some(&slot) => {
                let hot = self.hot[slot as usize];
                if hot.suspended_since_ns != NEVER {
                    return reject(Code::PRINCIPAL_SUSPENDED, hot.suspended_since_ns, now_ns);
                }
                Ok(lasts(hot.system_until_ns, now_ns))
            }
        }
    }

    /// # Errors
    /// `PRINCIPAL_SUSPENDED`, `PERMISSION_DENIED`, `ROLE_EXPIRED`.
    pub fn require(&self, principal: &[u8; 32], bit: u8, now_ns: i64) -> Result<(), Reject> {
        self.standing(principal, now_ns)?;
        let Some(entry) = self.principals.get(principal) else {
            return reject(Code::PERMISSION_DENIED, i64::from(bit), 0);
        };
        let latest =
            entry.roles.iter().filter(|(&role, _)| BITS[role as usize] & (1 << bit) != 0).map(|(_, &e)| e);
        match latest.max() {
            None => reject(Code::PERMISSION_DENIED, i64::from(bit), i64::from(entry.bits)),
            Some(expiry_ns) if !lasts(expiry_ns, now_ns) => reject(Code::ROLE_EXPIRED, expiry_ns, now_ns),
            Some(_) => Ok(()),
        }
    }

    /// Bits that are valid now.
    fn live_bits(&self, principal: &[u8; 32], now_ns: i64) -> u32 {
        self.principals.get(principal).map_or(0, |entry| {
            entry
                .roles
                .iter()
                .filter(|(_, &expiry_ns)| lasts(expiry_ns, now_ns))
                .fold(0, |bits, (&role, _)| bits | BITS[role as usize])
        })
    }

    /// # Errors
    /// `PARAMETER_OUT_OF_BOUNDS`, `ROLE_ESCALATION`, `CONFLICT_OF_INTEREST`, `ROLE_FULL`.
    pub fn check_grant(
        &self,
        by: Option<&[u8; 32]>,
        to: &[u8; 32],
        role: u8,
        now_ns: i64,
    ) -> Result<(), Reject> {
        let Some(&bits) = BITS.get(role as usize) else {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, BITS.len() as i64 - 1, i64::from(role));
        };
        if let Some(by) = by {
            let missing = bits & !self.live_bits(by, now_ns);
            if missing != 0 {
                return reject(Code::ROLE_ESCALATION, i64::from(missing.trailing_zeros()), i64::from(role));
            }
        }
        if let Some(entry) = self.principals.get(to) {
            if let Some(&held) = entry.roles.keys().find(|&&held| conflict(role, held)) {
                return reject(Code::CONFLICT_OF_INTEREST, i64::from(held), i64::from(role));
            }
            if !entry.roles.contains_key(&role) && entry.roles.len() >= MAX_ROLES_PER_PRINCIPAL {
                return reject(Code::ROLE_FULL, MAX_ROLES_PER_PRINCIPAL as i64, entry.roles.len() as i64);
            }
        } else if self.principals.len() - self.outsiders >= MAX_PRINCIPALS {
            let held = (self.principals.len() - self.outsiders) as i64;
            return reject(Code::ROLE_FULL, MAX_PRINCIPALS as i64, held);
        }
        let members = &self.members[role as usize];
        if members.len() >= MAX_PRINCIPALS_PER_ROLE && !members.contains(to) {
            return reject(Code::ROLE_FULL, MAX_PRINCIPALS_PER_ROLE as i64, members.len() as i64);
        }
        Ok(())
    }

    /// Whether a principal may take a role over from another holder.
    ///
    /// # Errors
    /// `CONFLICT_OF_INTEREST`, `ROLE_FULL`.
    pub fn check_receive(&self, to: &[u8; 32], role: u8) -> Result<(), Reject> {
        match self.principals.get(to) {
            Some(entry) => {
                if let Some(&held) = entry.roles.keys().find(|&&held| conflict(role, held)) {
                    return reject(Code::CONFLICT_OF_INTEREST, i64::from(held), i64::from(role));
                }
                Ok(())
            }
            None if self.principals.len() - self.outsiders >= MAX_PRINCIPALS => {
                let held = (self.principals.len() - self.outsiders) as i64;
                reject(Code::ROLE_FULL, MAX_PRINCIPALS as i64, held)
            }
            None => Ok(()),
        }
    }

    /// Whether one more principal may be suspended.
    ///
    /// # Errors
    /// `CAPACITY_EXCEEDED` for a principal without a role when [`MAX_SUSPENDED_OUTSIDERS`] are.
    pub fn check_suspend(&self, principal: &[u8; 32]) -> Result<(), Reject> {
        if !self.principals.contains_key(principal) && self.outsiders >= MAX_SUSPENDED_OUTSIDERS {
            let bound = MAX_SUSPENDED_OUTSIDERS as i64;
            return reject(Code::CAPACITY_EXCEEDED, bound, self.outsiders as i64);
        }
        Ok(())
    }

    /// How many principals may use a permission now; counts no further than `enough`.
    pub fn live_holders(&self, bit: u8, now_ns: i64, enough: usize) -> usize {
        let mut found = BTreeSet::new();
        for (role, members) in self.members.iter().enumerate() {
            if BITS[role] & (1 << bit) == 0 {
                continue;
            }
            for key in members {
                if self.require(key, bit, now_ns).is_ok() {
                    found.insert(key);
                }
                if found.len() >= enough {
                    return enough;
                }
            }
        }
        found.len()
    }

    /// When the principal's grant of a role ends.
    ///
    /// # Errors
    /// `PRINCIPAL_SUSPENDED`, `PERMISSION_DENIED`, `ROLE_EXPIRED`; `PARAMETER_OUT_OF_BOUNDS` for an unknown role.
    pub fn grant_of(&self, principal: &[u8; 32], role: u8, now_ns: i64) -> Result<i64, Reject> {
        if usize::from(role) >= BITS.len() {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, BITS.len() as i64 - 1, i64::from(role));
        }
        self.standing(principal, now_ns)?;
        match self.principals.get(principal).and_then(|entry| entry.roles.get(&role)) {
            None => reject(Code::PERMISSION_DENIED, i64::from(BITS[role as usize].trailing_zeros()), 0),
            Some(&expiry_ns) if !lasts(expiry_ns, now_ns) => reject(Code::ROLE_EXPIRED, expiry_ns, now_ns),
            Some(&expiry_ns) => Ok(expiry_ns),
        }
    }

    pub fn grant(&mut self, to: &[u8; 32], role: u8, expiry_ns: i64) {
        self.edit(to, |entry| {
            entry.roles.insert(role, expiry_ns);
        });
    }

    /// Whether the role was held.
    pub fn revoke(&mut self, from: &[u8; 32], role: u8) -> bool {
        let mut held = false;
        self.edit(from, |entry| held = entry.roles.remove(&role).is_some());
        held
    }

    pub fn get(&self, principal: &[u8; 32]) -> Option<&Principal> {
        self.principals.get(principal)
    }

    /// Every (principal, role) that is granted, expired or not.
    pub fn grants(&self) -> impl Iterator<Item = ([u8; 32], u8)> + '_ {
        self.principals.iter().flat_map(|(key, entry)| entry.roles.keys().map(|&role| (*key, role)))
    }

    /// Changes one principal and refreshes what the hot path reads.
    pub fn edit(&mut self, principal: &[u8; 32], change: impl FnOnce(&mut Principal)) {
        let entry = self.principals.entry(*principal).or_default();
        let (outside_before, before) = (entry.is_outsider(), entry.roles.clone());
        change(entry);
        entry.refresh();
        self.outsiders = self.outsiders + usize::from(entry.is_outsider()) - usize::from(outside_before);
        for role in before.keys().filter(|role| !entry.roles.contains_key(role)) {
            self.members[usize::from(*role)].remove(principal);
        }
        for role in entry.roles.keys().filter(|role| !before.contains_key(role)) {
            self.members[usize::from(*role)].insert(*principal);
        }
        let hot = Hot {
            system_until_ns: entry.roles.get(&SYSTEM).copied().unwrap_or(i64::MIN),
            suspended_since_ns: entry.suspended_since_ns.unwrap_or(NEVER),
        };
        let empty = entry.roles.is_empty() && entry.suspended_since_ns.is_none();
        if empty {
            self.principals.remove(principal);
            if let Some(slot) = self.index.remove(&id32(principal)) {
                self.unused.push(slot);
            }
            return;
        }
        if let Some(&slot) = self.index.get(&id32(principal)) {
            self.hot[slot as usize] = hot;
            return;
        }
        // A bit stays when its principal leaves: the filter is only ever too wide, by at most 256 bits.
        self.last_bytes[usize::from(principal[31] >> 6)] |= 1 << (principal[31] & 63);
        let slot = self.unused.pop().unwrap_or(self.hot.len() as u32);
        self.index.insert(id32(principal), slot);
        if slot as usize == self.hot.len() {
            self.hot.push(hot);
        } else {
            self.hot[slot as usize] = hot;
        }
    }

    /// The first principal with SYSTEM in key order: the sequencer's identity.
    pub fn first_system(&self) -> Option<[u8; 32]> {
        self.principals.iter().find(|(_, entry)| entry.is_system).map(|(key, _)| *key)
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.principals.len());
        for (key, entry) in &self.principals {
            writer.raw(key);
            writer.i64(entry.suspended_since_ns.unwrap_or(NEVER));
            let (approver, until) = entry.reinstate_pending.unwrap_or(([0; 32], NEVER));
            writer.raw(&approver);
            writer.i64(until);
            writer.len(entry.roles.len());
            for (&role, &expiry) in &entry.roles {
                writer.u8(role);
                writer.i64(expiry);
            }
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut roles = Roles::default();
        for _ in 0..reader.len(88)? {
            let key: [u8; 32] = reader.array()?;
            let suspended = reader.i64()?;
            let approver: [u8; 32] = reader.array()?;
            let until = reader.i64()?;
            let mut held = BTreeMap::new();
            for _ in 0..reader.len(9)? {
                let role = reader.u8()?;
                if role as usize >= BITS.len() {
                    return Err(format!("role {role} is unknown"));
                }
                held.insert(role, reader.i64()?);
            }
            roles.edit(&key, |entry| {
                entry.roles = held;
                entry.suspended_since_ns = (suspended != NEVER).then_some(suspended);
                entry.reinstate_pending = (until != NEVER).then_some((approver, until));
            });
        }
        Ok(roles)
    }
}
