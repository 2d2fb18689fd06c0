//! Numbers found by hash: one 8-byte cell an entry, linear probing, no tombstones and so nothing to rebuild.

/// Finds numbers (positions in a table that its owner keeps) by the hash of what they stand for.
///
/// A cell is `(number + 1) << 32 | low half of the hash`; zero is empty. The entries themselves are only touched to
/// confirm a hit, so a miss costs one load and growing costs no look at any entry.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// A power of two of cells, or none; at most half of them are used.
    cells: Vec<u64>,
    used: usize,
}

const FIRST_CELLS: usize = 16;

#[inline]
fn number(cell: u64) -> u32 {
    (cell >> 32) as u32 - 1
}

impl Index {
    /// The number with this hash that `same` confirms.
    #[inline]
    pub fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.cells.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            match self.cells.get(at) {
                None | Some(0) => return None,
                Some(&cell) if cell as u32 == hash as u32 && same(number(cell)) => return Some(number(cell)),
                Some(_) => at = at.wrapping_add(1) & mask,
            }
        }
    }

    /// Number of cells.
    #[inline]
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// The cell where the search for a hash starts; 0 when there is none.
    #[inline]
    pub fn first_cell(&self, hash: u64) -> u64 {
        let mask = self.cells.len().wrapping_sub(1);
        self.cells.get(hash as usize & mask).copied().unwrap_or(0)
    }

    /// Adds a number that is not in the index.
    ///
    /// # Panics
    /// For `u32::MAX`, which no table of this engine reaches.
    #[inline(always)]
    pub fn insert(&mut self, hash: u64, number: u32) {
        if self.used >= self.cells.len() / 2 {
            self.grow();
        }
        self.used += 1;
        self.place(u64::from(number + 1) << 32 | hash & u64::from(u32::MAX));
    }

    /// Removes a number; false when it is not in the index under this hash.
    #[inline]
    pub fn remove(&mut self, hash: u64, number: u32) -> bool {
        let cell = u64::from(number + 1) << 32 | hash & u64::from(u32::MAX);
        let mask = self.cells.len().wrapping_sub(1);
        let mut hole = hash as usize & mask;
        loop {
            match self.cells.get(hole) {
                None | Some(0) => return false,
                Some(&present) if present == cell => break,
                Some(_) => hole = hole.wrapping_add(1) & mask,
            }
        }
        // Cells behind the hole move into it unless that would put them before the place where their search starts.
        let mut at = hole;
        loop {
            at = at.wrapping_add(1) & mask;
            let behind = self.cells[at];
            if behind == 0 {
                break;
            }
            let home = behind as usize;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.cells[hole] = behind;
                hole = at;
            }
        }
        self.cells[hole] = 0;
        self.used -= 1;
        true
    }

    #[inline]
    fn place(&mut self, cell: u64) {
        let mask = self.cells.len() - 1;
        let mut at = cell as usize & mask;
        while self.cells[at] != 0 {
            at = at.wrapping_add(1) & mask;
        }
        self.cells[at] = cell;
    }

    #[cold]
    fn grow(&mut self) {
        let room = vec![0; (2 * self.cells.len()).max(FIRST_CELLS)];
        let old = std::mem::replace(&mut self.cells, room);
        old.into_iter().filter(|&cell| cell != 0).for_each(|cell| self.place(cell));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Hashes that collide in the low bits on purpose.
    fn crowded(key: u64) -> u64 {
        (key % 5) | (key << 40)
    }

    #[test]
    fn the_index_answers_like_an_ordered_map_under_collisions_and_removals() {
        let (mut index, mut model, mut keys) = (Index::default(), BTreeMap::new(), Vec::new());
        let mut state = 0x9E37_79B9_u64;
        for step in 0..4_000_u64 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let key = (state >> 33) % 97;
            // Half of the steps use hashes from five values, the others spread ones; a key keeps its kind.
            let hash = if key % 2 == 0 { crowded(key) } else { key.wrapping_mul(0x9E37_79B9_7F4A_7C15) };
            let found = index.find(hash, |number| keys[number as usize] == key);
            assert_eq!(found, model.get(&key).copied(), "step {step}, key {key}");
            match found {
                Some(number) => {
                    assert!(index.remove(hash, number));
                    assert!(!index.remove(hash, number));
                    model.remove(&key);
                }
                None => {
                    keys.push(key);
                    index.insert(hash, keys.len() as u32 - 1);
                    model.insert(key, keys.len() as u32 - 1);
                }
            }
            assert_eq!(index.used, model.len());
        }
    }
}
