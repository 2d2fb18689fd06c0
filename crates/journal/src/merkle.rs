//! Merkle tree over block hashes, shaped as in RFC 6962 with BLAKE3 as the hash. Pure.
//!
//! `leaf = BLAKE3(0x00 || block_hash)`, `node = BLAKE3(0x01 || left || right)`. A published root also binds the
//! number of leaves, `BLAKE3(0x02 || tree_size_le || tree_hash)`, so that a proof cannot claim another size.

/// A BLAKE3-256 value.
pub type Hash = [u8; 32];

/// More path elements than this cannot occur in a tree with u64 leaves.
pub const MAX_PATH_LENGTH: usize = 130;

pub fn leaf_hash(block_hash: &Hash) -> Hash {
    let mut bytes = [0u8; 33];
    bytes[1..].copy_from_slice(block_hash);
    *blake3::hash(&bytes).as_bytes()
}

pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1u8; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    *blake3::hash(&bytes).as_bytes()
}

/// The root that is signed and published: binds the tree hash to its number of leaves.
pub fn bound_root(tree_size: u64, tree_hash: &Hash) -> Hash {
    let mut bytes = [2u8; 41];
    bytes[1..9].copy_from_slice(&tree_size.to_le_bytes());
    bytes[9..].copy_from_slice(tree_hash);
    *blake3::hash(&bytes).as_bytes()
}

/// Hash of the tree without leaves.
pub fn empty_tree_hash() -> Hash {
    *blake3::hash(b"").as_bytes()
}

/// The right edge of a growing tree: enough to append leaves and give the root, at most 64 hashes.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Appends what is already a leaf hash.
    pub fn push_leaf(&mut self, leaf: Hash) {
        let mut node = leaf;
        let mut position = self.size;
        // Each trailing one bit of the size is a complete left sibling waiting to be joined.
        while position & 1 == 1 {
            let left = self.peaks.pop().expect("one peak per set bit of the size");
            node = node_hash(&left, &node);
            position >>= 1;
        }
        self.peaks.push(node);
        self.size += 1;
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn tree_hash(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_tree_hash(),
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }

    pub fn root(&self) -> Hash {
        bound_root(self.size, &self.tree_hash())
    }
}

/// Tree hash over leaves that are already leaf hashes.
pub fn tree_hash(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push_leaf(*leaf));
    frontier.tree_hash()
}

/// Largest power of two below `size`; `size` must be at least 2.
fn split(size: usize) -> usize {
    1 << (usize::BITS - 1 - (size - 1).leading_zeros())
}

/// Siblings from the leaf at `index` up to the root. `index` must be below `leaves.len()`.
pub fn inclusion_path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    let (mut part, mut index, mut path) = (leaves, index, Vec::new());
    while part.len() > 1 {
        let (left, right) = part.split_at(split(part.len()));
        if index < left.len() {
            path.push(tree_hash(right));
            part = left;
        } else {
            path.push(tree_hash(left));
            index -= left.len();
            part = right;
        }
    }
    path.reverse();
    path
}

/// Tree hash that follows from a leaf and its path; None when the path has the wrong length (RFC 9162 2.1.3.2).
pub fn tree_hash_from_inclusion(leaf: Hash, index: u64, tree_size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= tree_size {
        return None;
    }
    let (mut position, mut last, mut hash) = (index, tree_size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if position & 1 == 1 || position == last {
            hash = node_hash(sibling, &hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// Nodes that show the first `old_size` leaves to be a prefix of `leaves` (RFC 6962 2.1.2).
pub fn consistency_path(leaves: &[Hash], old_size: usize) -> Vec<Hash> {
    let (mut part, mut old, mut whole, mut path) = (leaves, old_size, true, Vec::new());
    if old == 0 || old >= leaves.len() {
        return path;
    }
    while old != part.len() {
        let (left, right) = part.split_at(split(part.len()));
        if old <= left.len() {
            path.push(tree_hash(right));
            part = left;
        } else {
            path.push(tree_hash(left));
            old -= left.len();
            part = right;
            whole = false;
        }
    }
    if !whole {
        path.push(tree_hash(part));
    }
    path.reverse();
    path
}

/// New tree hash that follows from the old one and the path; None when they do not fit (RFC 9162 2.1.4.2).
pub fn tree_hash_from_consistency(
    old_size: u64,
    new_size: u64,
    old_hash: Hash,
    path: &[Hash],
) -> Option<Hash> {
    if old_size == 0 || old_size >= new_size {
        return (old_size == new_size && path.is_empty()).then_some(old_hash);
    }
    let start = if old_size.is_power_of_two() { Some(old_hash) } else { None };
    let mut nodes = start.iter().chain(path.iter());
    let (mut position, mut last) = (old_size - 1, new_size - 1);
    while position & 1 == 1 {
        position >>= 1;
        last >>= 1;
    }
    let first = *nodes.next()?;
    let (mut from_old, mut from_new) = (first, first);
    for node in nodes {
        if last == 0 {
            return None;
        }
        if position & 1 == 1 || position == last {
            from_old = node_hash(node, &from_old);
            from_new = node_hash(node, &from_new);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, node);
        }
        position >>= 1;
        last >>= 1;
    }
    (last == 0 && from_old == old_hash).then_some(from_new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST_TREE: usize = 36;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|i| leaf_hash(blake3::hash(&(i as u64).to_le_bytes()).as_bytes())).collect()
    }

    /// The definition of RFC 6962 2.1, word for word.
    fn tree_hash_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_tree_hash(),
            [one] => *one,
            many => {
                let mut k = 1;
                while k * 2 < many.len() {
                    k *= 2;
                }
                node_hash(&tree_hash_by_definition(&many[..k]), &tree_hash_by_definition(&many[k..]))
            }
        }
    }

    #[test]
    fn the_frontier_gives_the_hash_of_the_definition_for_every_size() {
        let all = leaves(LARGEST_TREE);
        for size in 0..=LARGEST_TREE {
            assert_eq!(tree_hash(&all[..size]), tree_hash_by_definition(&all[..size]), "size {size}");
        }
    }

    #[test]
    fn every_leaf_is_proven_and_no_other_leaf_or_position_passes() {
        for size in 1..=LARGEST_TREE {
            let all = leaves(size);
            let expected = tree_hash_by_definition(&all);
            for index in 0..size {
                let path = inclusion_path(&all, index);
                let check = |leaf, index: usize| {
                    tree_hash_from_inclusion(leaf, index as u64, size as u64, &path) == Some(expected)
                };
                assert!(check(all[index], index), "leaf {index} of {size}");
                assert!(!check(leaf_hash(&[9; 32]), index), "foreign leaf at {index} of {size}");
                assert!(
                    size == 1 || !check(all[index], (index + 1) % size),
                    "wrong position {index} of {size}"
                );
                let longer = [path.as_slice(), &[[0; 32]]].concat();
                assert_eq!(tree_hash_from_inclusion(all[index], index as u64, size as u64, &longer), None);
            }
        }
    }

    #[test]
    fn every_prefix_is_proven_consistent_and_no_other_history_passes() {
        for new_size in 1..=LARGEST_TREE {
            let all = leaves(new_size);
            for old_size in 1..=new_size {
                let old_hash = tree_hash_by_definition(&all[..old_size]);
                let path = consistency_path(&all, old_size);
                let check =
                    |old_hash| tree_hash_from_consistency(old_size as u64, new_size as u64, old_hash, &path);
                assert_eq!(check(old_hash), Some(tree_hash_by_definition(&all)), "{old_size} of {new_size}");
                assert_ne!(check([7; 32]), Some(tree_hash_by_definition(&all)), "{old_size} of {new_size}");
            }
        }
    }
}
