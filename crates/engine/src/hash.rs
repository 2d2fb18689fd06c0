//! Fixed, fast hashers for keys that are ids. Iteration order of the maps never reaches the outcome.

use std::hash::{BuildHasherDefault, Hasher};

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Folds each written word with a multiplication.
#[derive(Default, Clone, Copy)]
pub struct WordHasher(u64);

impl WordHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(MULTIPLIER);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for WordHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }
    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.mix(u64::from(value));
    }
    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }
    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// An id as a map key; hashed by its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub Id32);

impl std::hash::Hash for Id {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

pub type Map<K, V> = hashbrown::HashMap<K, V, BuildHasherDefault<WordHasher>>;
pub type Set<K> = hashbrown::HashSet<K, BuildHasherDefault<WordHasher>>;

/// A 16- or 32-byte id as words, so that hashing and comparing take few instructions.
pub type Id32 = [u64; 4];

#[inline]
pub fn id32(bytes: &[u8; 32]) -> Id {
    Id(bytemuck::pod_read_unaligned(bytes))
}

/// The hash of an id under which an [`Index`](crate::index::Index) keeps it: ids are digests or public keys, so
/// their first word is spread already.
#[inline]
pub fn id_hash(id: &[u8; 32]) -> u64 {
    id32(id).0[0]
}
