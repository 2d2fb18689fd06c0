//! Sorted keys with their lots, in pieces, so that an edit in the middle moves a piece and not the whole.

/// A piece that grows beyond this is cut in two.
const MAX_PIECE: usize = 64;

#[derive(Clone, Debug, Default)]
struct Piece {
    /// Ascending and never empty.
    keys: Vec<i64>,
    lots: Vec<i128>,
}

impl Piece {
    fn with_room() -> Self {
        Piece { keys: Vec::with_capacity(MAX_PIECE + 1), lots: Vec::with_capacity(MAX_PIECE + 1) }
    }
}

/// Where a key is, or where it would be.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    piece: usize,
    offset: usize,
    pub exists: bool,
}

/// An ordered map in ascending order of its keys.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    /// The first key of each piece.
    firsts: Vec<i64>,
    pieces: Vec<Piece>,
    len: usize,
}

impl Ladder {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn clear(&mut self) {
        *self = Ladder::default();
    }

    #[inline]
    pub fn find(&self, key: i64) -> Place {
        let piece = self.firsts.partition_point(|&first| first <= key).saturating_sub(1);
        let Some(found) = self.pieces.get(piece) else {
            return Place { piece, offset: 0, exists: false };
        };
        let offset = found.keys.partition_point(|&one| one < key);
        Place { piece, offset, exists: found.keys.get(offset) == Some(&key) }
    }

    /// The lots of a place that exists.
    #[inline]
    pub fn lots_mut(&mut self, place: Place) -> Option<&mut i128> {
        self.pieces.get_mut(place.piece)?.lots.get_mut(place.offset)
    }

    pub fn lots(&self, key: i64) -> Option<i128> {
        let place = self.find(key);
        let lots = self.pieces.get(place.piece)?.lots.get(place.offset)?;
        place.exists.then_some(*lots)
    }

    /// Puts a key at a place where it is not yet.
    #[inline]
    pub fn insert(&mut self, place: Place, key: i64, lots: i128) {
        self.len += 1;
        let Some(piece) = self.pieces.get_mut(place.piece) else {
            let mut first = Piece::with_room();
            first.keys.push(key);
            first.lots.push(lots);
            self.firsts.push(key);
            self.pieces.push(first);
            return;
        };
        piece.keys.insert(place.offset, key);
        piece.lots.insert(place.offset, lots);
        self.firsts[place.piece] = piece.keys[0];
        if piece.keys.len() > MAX_PIECE {
            let mut upper = Piece::with_room();
            upper.keys.extend(piece.keys.drain(MAX_PIECE / 2..));
            upper.lots.extend(piece.lots.drain(MAX_PIECE / 2..));
            self.firsts.insert(place.piece + 1, upper.keys[0]);
            self.pieces.insert(place.piece + 1, upper);
        }
    }

    /// Takes away the key at a place that exists.
    #[inline]
    pub fn remove(&mut self, place: Place) {
        let piece = &mut self.pieces[place.piece];
        piece.keys.remove(place.offset);
        piece.lots.remove(place.offset);
        self.len -= 1;
        match piece.keys.first() {
            Some(&first) => self.firsts[place.piece] = first,
            None => {
                self.firsts.remove(place.piece);
                self.pieces.remove(place.piece);
            }
        }
    }

    /// The smallest key.
    pub fn first(&self) -> Option<i64> {
        self.firsts.first().copied()
    }

    /// Takes away the smallest key.
    pub fn pop_first(&mut self) -> Option<i64> {
        let first = self.first()?;
        self.remove(Place { piece: 0, offset: 0, exists: true });
        Some(first)
    }

    /// The largest key and its lots.
    pub fn last(&self) -> Option<(i64, i128)> {
        let piece = self.pieces.last()?;
        Some((*piece.keys.last()?, *piece.lots.last()?))
    }

    /// Largest key first.
    pub fn descending(&self) -> impl Iterator<Item = (i64, i128)> + '_ {
        self.pieces.iter().rev().flat_map(|piece| {
            let lots = piece.lots.iter().copied();
            piece.keys.iter().copied().zip(lots).rev()
        })
    }

    /// How many keys are at least this one.
    pub fn count_from(&self, key: i64) -> usize {
        let place = self.find(key);
        let behind = self.pieces.iter().skip(place.piece).map(|piece| piece.keys.len()).sum::<usize>();
        behind - place.offset
    }
}

#[cfg(test)]
mod tests {
    use super::Ladder;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_ladder_is_an_ordered_map(steps in prop::collection::vec((0_i64..400, 0_u8..4), 0..2_000)) {
            let (mut ladder, mut model) = (Ladder::default(), BTreeMap::new());
            for (number, (key, what)) in steps.into_iter().enumerate() {
                let place = ladder.find(key);
                prop_assert_eq!(place.exists, model.contains_key(&key));
                let lots = number as i128;
                match (what, place.exists) {
                    (0, true) => {
                        ladder.remove(place);
                        model.remove(&key);
                    }
                    (0, false) => prop_assert_eq!(ladder.pop_first(), model.pop_first().map(|(key, _)| key)),
                    (_, true) => {
                        *ladder.lots_mut(place).expect("it exists") = lots;
                        model.insert(key, lots);
                    }
                    (_, false) => {
                        ladder.insert(place, key, lots);
                        model.insert(key, lots);
                    }
                }
                prop_assert_eq!(ladder.len(), model.len());
                prop_assert_eq!(ladder.lots(key), model.get(&key).copied());
                prop_assert_eq!(ladder.first(), model.keys().next().copied());
                prop_assert_eq!(ladder.last(), model.iter().next_back().map(|(&key, &lots)| (key, lots)));
                prop_assert_eq!(ladder.count_from(key), model.range(key..).count());
            }
            let expected: Vec<(i64, i128)> = model.into_iter().rev().collect();
            prop_assert_eq!(ladder.descending().collect::<Vec<_>>(), expected);
        }
    }
}
