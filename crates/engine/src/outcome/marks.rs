//! Marks of the outcomes of a market (protocol P4.7): a median that no single print moves, a limit on its speed, and
//! marks that are the payout together.
//!
//! Of two outcomes one is marked and the other is what remains. Of more outcomes every one has its price: prices whose
//! sum is within [`SUM_BP`] of the payout are divided by it, as a venue's are (P6.3), and rounded so that they are the
//! payout to the tick. Other prices move nothing: the marks are held, and the market is `DEGRADED`.

use crate::codec::{Reader, Writer};
use crate::limits::MAX_OUTCOMES;
use crate::oracle::state;
use crate::outcome::loans::SHORT;
use crate::perp::mark::{credit_ns, median, premium_e6, PREMIUM_SCALE};

/// How far a mark moves within each [`STEP_NS`], of the payout (P4.7).
const STEP_BP: i128 = 200;
const STEP_NS: i128 = 400_000_000;
/// How far the sum of prices may be from the payout before they say nothing (P6.3).
const SUM_BP: i128 = 100;
/// Prices are compared in these parts of a tick: the mean of two means of two is whole.
const PARTS: i64 = 4 * PREMIUM_SCALE;

/// What the mark of an outcome is made of, as it is now; None = it does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// In 1e-6 ticks.
    pub index_e6: Option<i64>,
    /// In ticks.
    pub bid: Option<i64>,
    pub ask: Option<i64>,
    pub last: Option<i64>,
}

impl Terms {
    /// The middle of the book less the index, in 1e-6 ticks.
    fn premium_e6(&self) -> Option<i64> {
        let middle = (self.bid? + self.ask?) * (PREMIUM_SCALE / 2);
        Some(middle - self.index_e6?)
    }

    /// The fair price in [`PARTS`]: median of index, index and its smoothed premium, and the median of the book.
    fn fair(&self, premium_e6: i64) -> Option<i64> {
        let ticks = |price: Option<i64>| price.map(|price| price * PARTS);
        let index = self.index_e6.map(|index| index * (PARTS / PREMIUM_SCALE));
        let smoothed = index.map(|index| (index + premium_e6 * (PARTS / PREMIUM_SCALE)).max(0));
        median([index, smoothed, median([ticks(self.bid), ticks(self.ask), ticks(self.last)])])
    }
}

/// One outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// In ticks; 0 = unknown.
    pub mark: i64,
    /// Where it would be without the limit of its speed.
    pub target: i64,
    /// In 1e-6 ticks; 0 = none.
    pub index_e6: i64,
    pub premium_e6: i64,
    /// Middle less index, as it stands since the marks were looked at last.
    sample_e6: Option<i64>,
}

/// The marks of a market that has leveraged positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// One for two outcomes, else one for each.
    pub lines: Vec<Line>,
    /// VALID, or DEGRADED while the marks are held.
    pub state: u8,
    held_back: bool,
    /// When the marks were moved, and looked at, last.
    mark_ns: i64,
    seen_ns: i64,
}

impl Marks {
    pub fn new(lines: usize, now_ns: i64) -> Self {
        let lines = vec![Line::default(); lines];
        Marks { lines, state: state::VALID, mark_ns: now_ns, seen_ns: now_ns, held_back: false }
    }

    /// The mark of what a position holds, in ticks: an outcome, or all but one, which are what that one is not of the
    /// payout. 0 = unknown.
    pub fn of_place(&self, place: u8, ticks: i64) -> i64 {
        match (self.of(place & !SHORT, ticks), place & SHORT) {
            (0, _) => 0,
            (mark, 0) => mark,
            (mark, _) => ticks - mark,
        }
    }

    /// The mark of an outcome in ticks; 0 = unknown.
    pub fn of(&self, outcome: u8, ticks: i64) -> i64 {
        match (self.lines.as_slice(), outcome) {
            ([only], 1) if only.mark != 0 => ticks - only.mark,
            (lines, outcome) => lines.get(usize::from(outcome)).map_or(0, |line| line.mark),
        }
    }

    /// When they moved last, or could have.
    pub const fn moved_ns(&self) -> i64 {
        self.mark_ns
    }

    /// Looks at the prices of now. What stood until now counts for as long as it stood, so that a price of one moment
    /// moves no average.
    pub fn step(&mut self, terms: &[Terms], ticks: i64, now_ns: i64) {
        let passed_ns = now_ns.saturating_sub(self.seen_ns);
        self.seen_ns = now_ns;
        let mut fair = Vec::with_capacity(terms.len());
        for (line, terms) in self.lines.iter_mut().zip(terms) {
            if let Some(sample_e6) = line.sample_e6 {
                line.premium_e6 = premium_e6(line.premium_e6, sample_e6, passed_ns);
            }
            line.sample_e6 = terms.premium_e6();
            line.index_e6 = terms.index_e6.unwrap_or(0);
            fair.extend(terms.fair(line.premium_e6));
        }
        let targets = (fair.len() == self.lines.len()).then(|| targets(&fair, ticks)).flatten();
        let Some(targets) = targets else {
            self.hold(now_ns);
            return;
        };
        self.state = state::VALID;
        self.move_to(&targets, ticks, now_ns);
    }

    /// Leaves the marks where they are: nothing supports others. The time is no credit for a jump behind it.
    pub fn hold(&mut self, now_ns: i64) {
        (self.state, self.mark_ns) = (state::DEGRADED, now_ns);
    }

    /// All marks along one line towards their targets, none further than its speed allows: what is the payout together
    /// stays the payout together.
    fn move_to(&mut self, targets: &[i64], ticks: i64, now_ns: i64) {
        for (line, &target) in self.lines.iter_mut().zip(targets) {
            line.target = target;
            if line.mark == 0 {
                (line.mark, self.mark_ns) = (target, now_ns);
            }
        }
        let furthest = self.lines.iter().map(|line| (line.target - line.mark).abs()).max().unwrap_or(0);
        let credit = credit_ns(self.held_back, now_ns.saturating_sub(self.mark_ns));
        let reach = i128::from(ticks) * STEP_BP * i128::from(credit.max(0)) / (10_000 * STEP_NS);
        let reach = reach.min(i128::from(furthest)) as i64;
        self.held_back = reach < furthest;
        // A step below one tick waits until enough time has passed for one.
        if !self.held_back || reach > 0 {
            self.mark_ns = now_ns;
        }
        if reach == 0 {
            return;
        }
        let part = |line: &Line| {
            (i128::from(line.target - line.mark) * i128::from(reach) / i128::from(furthest)) as i64
        };
        let mut moves: Vec<i64> = self.lines.iter().map(part).collect();
        let mut excess: i64 = if moves.len() > 1 { moves.iter().sum() } else { 0 };
        // Rounding shortened some moves more than others: the longest ones are shortened, too.
        while excess != 0 {
            let sign = excess.signum();
            let longest = (0..moves.len()).rev().max_by_key(|&at| moves[at] * sign).expect("more than one");
            moves[longest] -= sign;
            excess -= sign;
        }
        for (line, by) in self.lines.iter_mut().zip(moves) {
            line.mark += by;
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.u8(self.state);
        writer.u8(u8::from(self.held_back));
        writer.i64(self.mark_ns);
        writer.i64(self.seen_ns);
        writer.len(self.lines.len());
        for line in &self.lines {
            writer.u8(u8::from(line.sample_e6.is_some()));
            let sample_e6 = line.sample_e6.unwrap_or(0);
            let values = [line.mark, line.target, line.index_e6, line.premium_e6, sample_e6];
            values.into_iter().for_each(|value| writer.i64(value));
        }
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let (state, held_back) = (reader.u8()?, reader.u8()? == 1);
        let mut marks =
            Marks { state, held_back, mark_ns: reader.i64()?, seen_ns: reader.i64()?, ..Marks::default() };
        let count = reader.len(41)?;
        if count > usize::from(MAX_OUTCOMES) || !matches!(state, state::VALID | state::DEGRADED) {
            return Err(format!("{count} marks in state {state}"));
        }
        for _ in 0..count {
            let sampled = reader.u8()? == 1;
            let (mark, target, index_e6) = (reader.i64()?, reader.i64()?, reader.i64()?);
            let (premium_e6, sample) = (reader.i64()?, reader.i64()?);
            let sample_e6 = sampled.then_some(sample);
            marks.lines.push(Line { mark, target, index_e6, premium_e6, sample_e6 });
        }
        Ok(marks)
    }
}

/// Marks in ticks for fair prices in [`PARTS`]: rounded once, ties down; of more than two outcomes divided by their sum
/// and rounded so that they are the payout. None when the sum is too far from it, or no outcome could keep a tick.
fn targets(fair: &[i64], ticks: i64) -> Option<Vec<i64>> {
    if let [only] = fair {
        return Some(vec![(only + PARTS / 2 - 1).div_euclid(PARTS).clamp(1, ticks - 1)]);
    }
    let (whole, sum) =
        (i128::from(ticks) * i128::from(PARTS), fair.iter().map(|&price| i128::from(price)).sum::<i128>());
    if (sum - whole).abs() * 10_000 > whole * SUM_BP || fair.len() as i64 > ticks {
        return None;
    }
    let scaled = |price: i64| i128::from(price) * i128::from(ticks);
    let mut marks: Vec<i64> = fair.iter().map(|&price| ((scaled(price) / sum) as i64).max(1)).collect();
    let mut order: Vec<usize> = (0..fair.len()).collect();
    // The largest remainders are rounded up, of equal ones the first.
    order.sort_unstable_by_key(|&at| (-(scaled(fair[at]) % sum), at));
    let mut left = ticks - marks.iter().sum::<i64>();
    for at in order {
        if left > 0 {
            marks[at] += 1;
            left -= 1;
        }
    }
    // Outcomes that were raised to a tick take it from the likeliest.
    while left < 0 {
        let largest = (0..marks.len()).rev().max_by_key(|&at| marks[at]).expect("more than one");
        marks[largest] -= 1;
        left += 1;
    }
    Some(marks)
}
