//! Idempotent client keys (protocol P2.1.2): cursor state, a pure function of the log.

use std::collections::BTreeMap;

use hashbrown::hash_map::Entry;

use crate::codec::{Reader, Writer};
use crate::hash::{id16, Id16, Map};
use crate::limits::{MAX_LIVE_KEYS, SECOND_NS};
use crate::wire::error::{reject, Code, Reject};

/// Expired keys removed per command; more than the one that a command can add, so the table stays bounded.
const PURGE_PER_COMMAND: u32 = 4;

#[derive(Clone, Copy, Debug)]
struct Stored {
    body_hash: u64,
    value: u64,
    valid_until_ns: i64,
}

/// Keys that expire within one second, oldest first.
#[derive(Clone, Debug, Default)]
struct Bucket {
    keys: Vec<(u32, Id16)>,
    purged: usize,
}

/// Live keys of all accounts with the answers they got.
#[derive(Clone, Debug, Default)]
pub struct Idempotency {
    table: Map<(u32, Id16), Stored>,
    buckets: BTreeMap<i64, Bucket>,
    live: Vec<u32>,
}

impl Idempotency {
    /// The stored value when the same body was accepted under this key before.
    ///
    /// # Errors
    /// `IDEMPOTENCY_CONFLICT` for another body, `IDEMPOTENCY_WINDOW_FULL` when the account has no room for a key.
    #[inline]
    pub fn check(
        &self,
        account: u32,
        key: &[u8; 16],
        body_hash: u64,
        now_ns: i64,
    ) -> Result<Option<u64>, Reject> {
        if let Some(stored) = self.table.get(&(account, id16(key))) {
            if stored.valid_until_ns >= now_ns {
                if stored.body_hash == body_hash {
                    return Ok(Some(stored.value));
                }
                return reject(Code::IDEMPOTENCY_CONFLICT, stored.value as i64, 0);
            }
        }
        if self.live.get(account as usize).is_some_and(|&live| live >= MAX_LIVE_KEYS) {
            return reject(Code::IDEMPOTENCY_WINDOW_FULL, i64::from(MAX_LIVE_KEYS), i64::from(MAX_LIVE_KEYS));
        }
        Ok(None)
    }

    /// The value stored under a live key.
    pub fn value(&self, account: u32, key: &[u8; 16], now_ns: i64) -> Option<u64> {
        let stored = self.table.get(&(account, id16(key)))?;
        (stored.valid_until_ns >= now_ns).then_some(stored.value)
    }

    /// Remembers an accepted command.
    #[inline]
    pub fn store(&mut self, account: u32, key: &[u8; 16], body_hash: u64, value: u64, valid_until_ns: i64) {
        let key = id16(key);
        let fresh = self.table.insert((account, key), Stored { body_hash, value, valid_until_ns }).is_none();
        if fresh {
            let index = account as usize;
            if index >= self.live.len() {
                self.live.resize(index + 1, 0);
            }
            self.live[index] += 1;
        }
        self.buckets.entry(valid_until_ns / SECOND_NS).or_default().keys.push((account, key));
    }

    /// Forgets a few keys whose second is over.
    #[inline]
    pub fn purge(&mut self, now_ns: i64) {
        let now_second = now_ns / SECOND_NS;
        for _ in 0..PURGE_PER_COMMAND {
            let Some(mut entry) = self.buckets.first_entry() else { return };
            let second = *entry.key();
            if second >= now_second {
                return;
            }
            let bucket = entry.get_mut();
            let (account, key) = bucket.keys[bucket.purged];
            bucket.purged += 1;
            if bucket.purged == bucket.keys.len() {
                entry.remove();
            }
            // The key may have been used again with a later validity: then a later bucket owns it.
            if let Entry::Occupied(entry) = self.table.entry((account, key)) {
                if entry.get().valid_until_ns / SECOND_NS == second {
                    entry.remove();
                    self.live[account as usize] -= 1;
                }
            }
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.buckets.len());
        for (&second, bucket) in &self.buckets {
            writer.i64(second);
            let waiting = &bucket.keys[bucket.purged..];
            writer.len(waiting.len());
            for (account, key) in waiting {
                writer.u32(*account);
                key.iter().for_each(|&word| writer.u64(word));
                let owned = self
                    .table
                    .get(&(*account, *key))
                    .filter(|stored| stored.valid_until_ns / SECOND_NS == second);
                writer.u8(u8::from(owned.is_some()));
                if let Some(stored) = owned {
                    writer.u64(stored.body_hash);
                    writer.u64(stored.value);
                    writer.i64(stored.valid_until_ns);
                }
            }
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut table = Idempotency::default();
        for _ in 0..reader.len(16)? {
            let second = reader.i64()?;
            let count = reader.len(21)?;
            if count == 0 {
                return Err("an empty bucket of client keys".into());
            }
            for _ in 0..count {
                let (account, key) = (reader.u32()?, [reader.u64()?, reader.u64()?]);
                table.buckets.entry(second).or_default().keys.push((account, key));
                if reader.u8()? == 0 {
                    continue;
                }
                let stored =
                    Stored { body_hash: reader.u64()?, value: reader.u64()?, valid_until_ns: reader.i64()? };
                if table.table.insert((account, key), stored).is_none() {
                    let index = account as usize;
                    if index >= crate::limits::MAX_ACCOUNTS {
                        return Err(format!("account {account} of a client key"));
                    }
                    if index >= table.live.len() {
                        table.live.resize(index + 1, 0);
                    }
                    table.live[index] += 1;
                }
            }
        }
        Ok(table)
    }
}
