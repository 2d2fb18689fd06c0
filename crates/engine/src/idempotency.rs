//! Idempotent client keys (protocol P2.1.2): cursor state, a pure function of the log.

use crate::codec::{Reader, Writer};
use crate::index::Index;
use crate::limits::{MAX_ACCOUNTS, MAX_LIVE_KEYS, SECOND_NS};
use crate::wire::error::{reject, Code, Reject};

/// Expired keys removed per command; more than the one that a command can add, so the table stays bounded.
const PURGE_PER_COMMAND: u32 = 4;
/// "No entry".
const NONE: u32 = u32::MAX;

/// A client key as two words.
type ClientKey = [u64; 2];

/// One use of a key. It stays until its second is purged, even when a later use of the key has replaced it.
#[derive(Clone, Copy, Debug)]
struct Stored {
    key: ClientKey,
    body_hash: u64,
    value: u64,
    valid_until_ns: i64,
    account: u32,
    /// The next entry of the same second, or the next free one.
    next: u32,
}

/// Entries that expire within one second as a list, oldest first; never empty.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    second: i64,
    /// First nanosecond of the second and the one behind its last, as far as they can be told; derived.
    from_ns: i64,
    until_ns: i64,
    first: u32,
    last: u32,
    count: usize,
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
#[derive(Clone, Debug)]
pub struct Idempotency {
    entries: Vec<Stored>,
    /// First of the empty entries.
    free: u32,
    index: Index,
    /// Descending by second: the first to expire stands last. A new second moves those of the few minutes that keys
    /// live, once a second.
    buckets: Vec<Bucket>,
    live: Vec<u32>,
}

impl Default for Idempotency {
    fn default() -> Self {
        Idempotency {
            entries: Vec::new(),
            free: NONE,
            index: Index::default(),
            buckets: Vec::new(),
            live: Vec::new(),
        }
    }
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
    // The account joins the word that counters leave alone, so that accounts that count do not meet.
    fold(key[0] ^ FACTORS[1], FACTORS[0]) ^ fold(key[1] ^ u64::from(account) ^ FACTORS[0], FACTORS[1])
}

impl Idempotency {
    /// The entry in force under a key.
    #[inline]
    fn find(&self, hash: u64, account: u32, key: ClientKey) -> Option<u32> {
        self.index.find(hash, |position| {
            let stored = &self.entries[position as usize];
            stored.key == key && stored.account == account
        })
    }

    /// Cells of the index of keys.
    #[inline]
    pub fn cells(&self) -> usize {
        self.index.cells()
    }

    /// Reads the cell at which the search for a key starts.
    #[inline]
    pub fn first_cell(&self, account: u32, key: &[u8; 16]) -> u64 {
        self.index.first_cell(hash(account, words(key)))
    }

    /// Looks a key up before its command runs.
    ///
    /// # Errors
    /// `IDEMPOTENCY_CONFLICT` for another body, `IDEMPOTENCY_WINDOW_FULL` when the account has no room for a key.
    #[inline(always)]
    pub fn check(&self, account: u32, key: &[u8; 16], body_hash: u64, now_ns: i64) -> Result<Known, Reject> {
        let key = words(key);
        let hash = hash(account, key);
        let mut known = Known::Fresh(hash);
        if let Some(position) = self.find(hash, account, key) {
            let stored = &self.entries[position as usize];
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
        let stored = &self.entries[self.find(hash(account, key), account, key)? as usize];
        (stored.valid_until_ns >= now_ns).then_some(stored.value)
    }

    /// Remembers an accepted command; `known` is what [`Idempotency::check`] said.
    #[inline(always)]
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
        let hash = match known {
            Known::Answer(_) => return,
            Known::Fresh(hash) => {
                self.count(account, 1);
                hash
            }
            Known::Stale(hash) => {
                self.replace(hash, account, key);
                hash
            }
        };
        let position = self.add(Stored { key, body_hash, value, valid_until_ns, account, next: NONE });
        self.index.insert(hash, position);
        self.append(valid_until_ns, position);
    }

    /// Takes the stale entry of a key out of the index; it stays in its bucket.
    #[cold]
    fn replace(&mut self, hash: u64, account: u32, key: ClientKey) {
        // A purge at the start of the same command cannot have removed it: it ran before the check.
        let position = self.find(hash, account, key).expect("a stale key is in the table");
        self.index.remove(hash, position);
    }

    #[inline(always)]
    fn add(&mut self, entry: Stored) -> u32 {
        let position = self.free;
        match self.entries.get_mut(position as usize) {
            Some(slot) => {
                self.free = slot.next;
                *slot = entry;
                position
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        }
    }

    #[inline(always)]
    fn count(&mut self, account: u32, change: i32) {
        let index = account as usize;
        if index >= self.live.len() {
            self.live.resize(index + 1, 0);
        }
        self.live[index] = self.live[index].wrapping_add_signed(change);
    }

    /// Puts an entry at the end of its second's list; the second is nearly always the last one.
    #[inline(always)]
    fn append(&mut self, valid_until_ns: i64, position: u32) {
        match self.buckets.first_mut() {
            Some(bucket) if bucket.from_ns <= valid_until_ns && valid_until_ns < bucket.until_ns => {
                self.entries[bucket.last as usize].next = position;
                bucket.last = position;
                bucket.count += 1;
            }
            _ => self.append_to(valid_until_ns.div_euclid(SECOND_NS), position),
        }
    }

    #[cold]
    fn append_to(&mut self, second: i64, position: u32) {
        let place = self.buckets.partition_point(|bucket| bucket.second > second);
        match self.buckets.get_mut(place) {
            Some(bucket) if bucket.second == second => {
                self.entries[bucket.last as usize].next = position;
                bucket.last = position;
                bucket.count += 1;
            }
            _ => {
                let (from_ns, until_ns) =
                    (second.saturating_mul(SECOND_NS), second.saturating_add(1).saturating_mul(SECOND_NS));
                let bucket = Bucket { second, from_ns, until_ns, first: position, last: position, count: 1 };
                self.buckets.insert(place, bucket);
            }
        }
    }

    /// Forgets a few keys whose second is over.
    #[inline]
    pub fn purge(&mut self, now_ns: i64) {
        let Some(first) = self.buckets.last() else {
            return;
        };
        if first.until_ns <= now_ns {
            self.purge_some(now_ns.div_euclid(SECOND_NS));
        }
    }

    fn purge_some(&mut self, now_second: i64) {
        for _ in 0..PURGE_PER_COMMAND {
            let Some(bucket) = self.buckets.last_mut().filter(|bucket| bucket.second < now_second) else {
                return;
            };
            let (second, position) = (bucket.second, bucket.first);
            let Stored { key, account, next, valid_until_ns, .. } = self.entries[position as usize];
            bucket.first = next;
            bucket.count -= 1;
            let within = bucket.from_ns <= valid_until_ns && valid_until_ns < bucket.until_ns;
            if bucket.count == 0 {
                self.buckets.pop();
            }
            let hash = hash(account, key);
            if within && self.index.remove(hash, position) {
                self.count(account, -1);
            } else if let Some(owner) = self.owner(hash, account, key, second) {
                // Used again within its second. Where the later use is valid longer, a later bucket owns it.
                self.index.remove(hash, owner);
                self.count(account, -1);
            }
            self.entries[position as usize].next = self.free;
            self.free = position;
        }
    }

    /// The entry in force under a key if it expires within `second`.
    fn owner(&self, hash: u64, account: u32, key: ClientKey, second: i64) -> Option<u32> {
        self.find(hash, account, key).filter(|&position| {
            self.entries[position as usize].valid_until_ns.div_euclid(SECOND_NS) == second
        })
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.buckets.len());
        for bucket in self.buckets.iter().rev() {
            writer.i64(bucket.second);
            writer.len(bucket.count);
            let mut position = bucket.first;
            for _ in 0..bucket.count {
                let Stored { account, key, next, .. } = self.entries[position as usize];
                position = next;
                writer.u32(account);
                key.iter().for_each(|&word| writer.u64(word));
                let owner = self.owner(hash(account, key), account, key, bucket.second);
                writer.u8(u8::from(owner.is_some()));
                if let Some(owner) = owner {
                    let stored = &self.entries[owner as usize];
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
            let ascending = table.buckets.first().is_none_or(|bucket| bucket.second < second);
            if count == 0 || !ascending {
                return Err(format!("bucket {second} of client keys is empty or out of order"));
            }
            for _ in 0..count {
                table.decode_key(second, reader)?;
            }
        }
        Ok(table)
    }

    fn decode_key(&mut self, second: i64, reader: &mut Reader<'_>) -> Result<(), String> {
        let (account, key) = (reader.u32()?, [reader.u64()?, reader.u64()?]);
        if account as usize >= MAX_ACCOUNTS {
            return Err(format!("account {account} of a client key"));
        }
        let mut entry = Stored { key, body_hash: 0, value: 0, valid_until_ns: 0, account, next: NONE };
        let owns = reader.u8()? != 0;
        if owns {
            entry.body_hash = reader.u64()?;
            entry.value = reader.u64()?;
            entry.valid_until_ns = reader.i64()?;
            if entry.valid_until_ns.div_euclid(SECOND_NS) != second {
                return Err(format!("a client key valid until {} in second {second}", entry.valid_until_ns));
            }
        }
        let position = self.add(entry);
        self.append_to(second, position);
        let hash = hash(account, key);
        if owns && self.find(hash, account, key).is_none() {
            self.index.insert(hash, position);
            self.count(account, 1);
        }
        Ok(())
    }
}
