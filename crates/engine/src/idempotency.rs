//! Idempotent client keys (protocol P2.1.2): cursor state, a pure function of the log.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::codec::{Reader, Writer};
use crate::limits::{MAX_ACCOUNTS, MAX_LIVE_KEYS, SECOND_NS};
use crate::wire::error::{reject, Code, Reject};

/// Expired keys removed per command; more than the one that a command can add, so the table stays bounded.
const PURGE_PER_COMMAND: u32 = 4;

/// A client key as two words.
type ClientKey = [u64; 2];

#[derive(Clone, Copy, Debug)]
struct Stored {
    key: ClientKey,
    body_hash: u64,
    value: u64,
    valid_until_ns: i64,
    account: u32,
}

/// Keys that expire within one second, oldest first.
#[derive(Clone, Debug)]
struct Bucket {
    second: i64,
    keys: Vec<(u32, ClientKey)>,
    purged: usize,
}

/// What the table knows of a key before its command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The same body was accepted: its answer.
    Answer(u64),
    /// Not in the table; the hash saves looking again.
    Fresh(u64),
    /// In the table, but its validity is over.
    Stale(u64),
}

/// Live keys of all accounts with the answers they got.
#[derive(Clone, Debug, Default)]
pub struct Idempotency {
    table: HashTable<Stored>,
    /// Ascending by second.
    buckets: VecDeque<Bucket>,
    live: Vec<u32>,
}

#[inline]
fn words(key: &[u8; 16]) -> ClientKey {
    bytemuck::pod_read_unaligned(key)
}

#[inline]
fn hash(account: u32, key: ClientKey) -> u64 {
    const FACTORS: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F];
    let fold = |word: u64, factor: u64| {
        let product = u128::from(word) * u128::from(factor);
        (product as u64) ^ ((product >> 64) as u64)
    };
    fold(key[0] ^ u64::from(account) ^ FACTORS[1], FACTORS[0]) ^ fold(key[1] ^ FACTORS[0], FACTORS[1])
}

#[inline]
fn rehash(stored: &Stored) -> u64 {
    hash(stored.account, stored.key)
}

impl Idempotency {
    /// Looks a key up before its command runs.
    ///
    /// # Errors
    /// `IDEMPOTENCY_CONFLICT` for another body, `IDEMPOTENCY_WINDOW_FULL` when the account has no room for a key.
    #[inline]
    pub fn check(&self, account: u32, key: &[u8; 16], body_hash: u64, now_ns: i64) -> Result<Known, Reject> {
        let key = words(key);
        let hash = hash(account, key);
        let found = self.table.find(hash, |stored| stored.key == key && stored.account == account);
        let mut known = Known::Fresh(hash);
        if let Some(stored) = found {
            if stored.valid_until_ns >= now_ns {
                if stored.body_hash == body_hash {
                    return Ok(Known::Answer(stored.value));
                }
                return reject(Code::IDEMPOTENCY_CONFLICT, stored.value as i64, 0);
            }
            known = Known::Stale(hash);
        }
        if self.live.get(account as usize).is_some_and(|&live| live >= MAX_LIVE_KEYS) {
            return reject(Code::IDEMPOTENCY_WINDOW_FULL, i64::from(MAX_LIVE_KEYS), i64::from(MAX_LIVE_KEYS));
        }
        Ok(known)
    }

    /// The value stored under a live key.
    pub fn value(&self, account: u32, key: &[u8; 16], now_ns: i64) -> Option<u64> {
        let key = words(key);
        let same = |stored: &Stored| stored.key == key && stored.account == account;
        let stored = self.table.find(hash(account, key), same)?;
        (stored.valid_until_ns >= now_ns).then_some(stored.value)
    }

    /// Remembers an accepted command; `known` is what [`Idempotency::check`] said.
    #[inline]
    pub fn store(
        &mut self,
        account: u32,
        key: &[u8; 16],
        known: Known,
        body_hash: u64,
        value: u64,
        valid_until_ns: i64,
    ) {
        let key = words(key);
        let entry = Stored { key, body_hash, value, valid_until_ns, account };
        match known {
            Known::Answer(_) => return,
            Known::Fresh(hash) => {
                self.table.insert_unique(hash, entry, rehash);
                self.count(account, 1);
            }
            Known::Stale(hash) => {
                let same = |stored: &Stored| stored.key == key && stored.account == account;
                // A purge at the start of the same command cannot have removed it: it ran before the check.
                *self.table.find_mut(hash, same).expect("a stale key is in the table") = entry;
            }
        }
        self.bucket(valid_until_ns.div_euclid(SECOND_NS)).keys.push((account, key));
    }

    #[inline]
    fn count(&mut self, account: u32, change: i32) {
        let index = account as usize;
        if index >= self.live.len() {
            self.live.resize(index + 1, 0);
        }
        self.live[index] = self.live[index].wrapping_add_signed(change);
    }

    /// The bucket of a second; nearly always the last one.
    #[inline]
    fn bucket(&mut self, second: i64) -> &mut Bucket {
        let at_end = self.buckets.back().is_some_and(|bucket| bucket.second == second);
        let position = if at_end { self.buckets.len() - 1 } else { self.place_of(second) };
        &mut self.buckets[position]
    }

    #[cold]
    fn place_of(&mut self, second: i64) -> usize {
        let position = self.buckets.partition_point(|bucket| bucket.second < second);
        if self.buckets.get(position).is_none_or(|bucket| bucket.second != second) {
            self.buckets.insert(position, Bucket { second, keys: Vec::new(), purged: 0 });
        }
        position
    }

    /// Forgets a few keys whose second is over.
    #[inline]
    pub fn purge(&mut self, now_ns: i64) {
        let Some(first) = self.buckets.front() else { return };
        if first.second.saturating_add(1).saturating_mul(SECOND_NS) <= now_ns {
            self.purge_some(now_ns.div_euclid(SECOND_NS));
        }
    }

    fn purge_some(&mut self, now_second: i64) {
        for _ in 0..PURGE_PER_COMMAND {
            let Some(bucket) = self.buckets.front_mut().filter(|bucket| bucket.second < now_second) else {
                return;
            };
            let second = bucket.second;
            let (account, key) = bucket.keys[bucket.purged];
            bucket.purged += 1;
            if bucket.purged == bucket.keys.len() {
                self.buckets.pop_front();
            }
            // The key may have been used again with a later validity: then a later bucket owns it.
            let same = |stored: &Stored| stored.key == key && stored.account == account;
            if let Ok(entry) = self.table.find_entry(hash(account, key), same) {
                if entry.get().valid_until_ns.div_euclid(SECOND_NS) == second {
                    entry.remove();
                    self.count(account, -1);
                }
            }
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.buckets.len());
        for bucket in &self.buckets {
            writer.i64(bucket.second);
            let waiting = &bucket.keys[bucket.purged..];
            writer.len(waiting.len());
            for &(account, key) in waiting {
                writer.u32(account);
                key.iter().for_each(|&word| writer.u64(word));
                let same = |stored: &Stored| stored.key == key && stored.account == account;
                let owned = self
                    .table
                    .find(hash(account, key), same)
                    .filter(|stored| stored.valid_until_ns.div_euclid(SECOND_NS) == bucket.second);
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
            let ascending = table.buckets.back().is_none_or(|bucket| bucket.second < second);
            if count == 0 || !ascending {
                return Err(format!("bucket {second} of client keys is empty or out of order"));
            }
            table.buckets.push_back(Bucket { second, keys: Vec::with_capacity(count), purged: 0 });
            for _ in 0..count {
                table.decode_key(reader)?;
            }
        }
        Ok(table)
    }

    fn decode_key(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        let (account, key) = (reader.u32()?, [reader.u64()?, reader.u64()?]);
        if account as usize >= MAX_ACCOUNTS {
            return Err(format!("account {account} of a client key"));
        }
        self.buckets.back_mut().expect("pushed by the caller").keys.push((account, key));
        if reader.u8()? == 0 {
            return Ok(());
        }
        let (body_hash, value, valid_until_ns) = (reader.u64()?, reader.u64()?, reader.i64()?);
        let hash = hash(account, key);
        if self.table.find(hash, |stored| stored.key == key && stored.account == account).is_none() {
            self.table.insert_unique(hash, Stored { key, body_hash, value, valid_until_ns, account }, rehash);
            self.count(account, 1);
        }
        Ok(())
    }
}
