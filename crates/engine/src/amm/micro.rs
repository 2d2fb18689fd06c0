//! The market makers on integer micro: differences in integers first, then the kernels, then the guards (P10.2.1).

use super::distribution::{self, Normal};
use super::lmsr::{self, Move, Weights, MAX_SPREAD};
use super::pm::{self, Reserves};
use super::{paid, received, MAX_OUTCOMES};
use crate::wire::Code;

/// b of an LMSR pool: 1 to 10,000,000 whole shares in micro (P10.3.1).
pub const MIN_B_MICRO: i64 = 1_000_000;
pub const MAX_B_MICRO: i64 = 10_000_000_000_000;

/// State of an LMSR pool: b in micro-shares and the net shares sold of each outcome, in micro.
#[derive(Clone, Copy, Debug)]
pub struct Lmsr<'a> {
    pub b: i64,
    pub quantities: &'a [i64],
}

/// What a trader asks of one outcome, in micro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Shares for so much money.
    Spend(i64),
    /// So many shares.
    Buy(i64),
    /// Money for so many shares.
    Sell(i64),
    /// So much money for shares.
    Earn(i64),
}

impl Ask {
    /// Whether the trader receives shares.
    pub const fn buys(&self) -> bool {
        matches!(self, Ask::Spend(_) | Ask::Buy(_))
    }
}

/// A trade of one outcome: micro-shares, micro-quote, and its price before and after in 1e-9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traded {
    pub shares: i64,
    /// Paid for a purchase, received for a sale.
    pub cost: i64,
    pub before_ppb: i64,
    pub after_ppb: i64,
}

/// Enlargements of a number of shares until they bring the money that was asked for, each twice the one before.
const MAX_ENLARGEMENTS: u32 = 48;

/// The least shares near `guess` whose sale brings at least `money`, by the sale's own rounded value: so that asking
/// for money never brings more than asking with shares.
fn shares_for_money(
    guess: i64,
    money: i64,
    mut value_of: impl FnMut(i64) -> Result<i64, Code>,
) -> Result<i64, Code> {
    let mut shares = guess.max(money);
    let mut more = 1 + shares / (1 << 44);
    for _ in 0..MAX_ENLARGEMENTS {
        if value_of(shares)? >= money {
            return Ok(shares);
        }
        shares = shares.checked_add(more).ok_or(Code::MATH_OVERFLOW)?;
        more = more.checked_mul(2).ok_or(Code::MATH_OVERFLOW)?;
    }
    Err(Code::CONVERGENCE_FAILED)
}

fn to_ppb(price: f64) -> i64 {
    libm::round(price * 1e9) as i64
}

/// (value − reference)/b with the difference taken in integers.
fn in_b(value: i128, reference: i128, b: i64) -> f64 {
    (value - reference) as f64 / b as f64
}

/// As [`in_b`], quicker where the difference fits.
fn quotient(value: i64, reference: i64, b: i64) -> f64 {
    match value.checked_sub(reference) {
        Some(difference) => difference as f64 / b as f64,
        None => in_b(value.into(), reference.into(), b),
    }
}

impl Lmsr<'_> {
    /// Fills the exponentials; the largest quantity.
    ///
    /// # Errors
    /// `INVALID_OUTCOME_COUNT`, `PARAMETER_OUT_OF_BOUNDS` for b, `POOL_DOMAIN_EXCEEDED`.
    #[inline]
    fn weigh(&self, weights: &mut Weights) -> Result<i64, Code> {
        if !(MIN_B_MICRO..=MAX_B_MICRO).contains(&self.b) {
            return Err(Code::PARAMETER_OUT_OF_BOUNDS);
        }
        let top = self.quantities.iter().copied().max().ok_or(Code::INVALID_OUTCOME_COUNT)?;
        let exponents = self.quantities.iter().map(|&quantity| quotient(quantity, top, self.b));
        weights.fill(self.quantities.len(), exponents)?;
        Ok(top)
    }

    /// A trade of one outcome with its prices, from one set of exponentials.
    ///
    /// # Errors
    /// As [`Lmsr::cost`]; `INVALID_AMOUNT` for an amount below 1; `INSUFFICIENT_LIQUIDITY` when no number of shares
    /// brings the money; `CONVERGENCE_FAILED`.
    #[inline(never)]
    pub fn trade(&self, outcome: usize, ask: Ask) -> Result<Traded, Code> {
        if outcome >= self.quantities.len() {
            return Err(Code::INVALID_OUTCOME);
        }
        let (Ask::Spend(amount) | Ask::Buy(amount) | Ask::Sell(amount) | Ask::Earn(amount)) = ask;
        if amount < 1 {
            return Err(Code::INVALID_AMOUNT);
        }
        let mut weights = Weights::empty();
        let top = self.weigh(&mut weights)?;
        let scale = self.b as f64;
        let (shares, cost) = match ask {
            Ask::Spend(money) => {
                let exponent = quotient(self.quantities[outcome], top, self.b);
                let shares = lmsr::shares_for_cost(&weights, outcome, exponent, money as f64 / scale);
                (received(shares * scale, scale)?.max(0), money)
            }
            Ask::Buy(shares) => (shares, self.cost_of_one(&weights, outcome, shares)?),
            Ask::Sell(shares) => (shares, self.value_of_one(&weights, outcome, shares)?),
            Ask::Earn(money) => {
                let guess = lmsr::shares_that_bring(&weights, outcome, money as f64 / scale)
                    .ok_or(Code::INSUFFICIENT_LIQUIDITY)?;
                let value_of = |shares| self.value_of_one(&weights, outcome, shares);
                (shares_for_money(paid(guess * scale, scale)?, money, value_of)?, money)
            }
        };
        let sold = if ask.buys() { shares } else { -shares };
        self.check_spread(outcome, sold)?;
        Ok(Traded {
            shares,
            cost,
            before_ppb: to_ppb(weights.price(outcome)),
            after_ppb: to_ppb(weights.price_after(outcome, sold as f64 / scale)),
        })
    }

    /// Cost of micro-shares of one outcome, negative for a sale.
    fn cost_of_one(&self, weights: &Weights, outcome: usize, shares: i64) -> Result<i64, Code> {
        let scale = self.b as f64;
        if let Some(cost) = weights.step_cost(outcome, shares as f64 / scale) {
            return paid(cost * scale, scale);
        }
        let mut delta = [0; MAX_OUTCOMES];
        delta[outcome] = shares;
        self.cost(&delta[..self.quantities.len()])
    }

    fn value_of_one(&self, weights: &Weights, outcome: usize, shares: i64) -> Result<i64, Code> {
        Ok((-self.cost_of_one(weights, outcome, -shares)?).max(0))
    }

    /// The spread of the quantities once `sold` more of one outcome are sold.
    fn check_spread(&self, outcome: usize, sold: i64) -> Result<(), Code> {
        let own = self.quantities[outcome].checked_add(sold).ok_or(Code::MATH_OVERFLOW)?;
        let (mut most, mut least) = (own, own);
        for (place, &quantity) in self.quantities.iter().enumerate() {
            let other = if place == outcome { own } else { quantity };
            most = most.max(other);
            least = least.min(other);
        }
        if quotient(most, least, self.b) > MAX_SPREAD {
            return Err(Code::POOL_DOMAIN_EXCEEDED);
        }
        Ok(())
    }

    /// Largest possible loss, and the funding of a new pool: ceil(b·ln N) micro (P10.3.1).
    ///
    /// # Errors
    /// As [`Lmsr::prices_ppb`].
    pub fn funding(b: i64, outcomes: usize) -> Result<i64, Code> {
        if !(2..=MAX_OUTCOMES).contains(&outcomes) {
            return Err(Code::INVALID_OUTCOME_COUNT);
        }
        if !(MIN_B_MICRO..=MAX_B_MICRO).contains(&b) {
            return Err(Code::PARAMETER_OUT_OF_BOUNDS);
        }
        paid(b as f64 * libm::log(outcomes as f64), b as f64)
    }

    /// Prices in 1e-9, each rounded to nearest.
    ///
    /// # Errors
    /// `INVALID_OUTCOME_COUNT`, `PARAMETER_OUT_OF_BOUNDS`, `POOL_DOMAIN_EXCEEDED`.
    pub fn prices_ppb(&self, prices: &mut [i64]) -> Result<(), Code> {
        let mut weights = Weights::empty();
        self.weigh(&mut weights)?;
        for (outcome, price) in prices.iter_mut().enumerate().take(self.quantities.len()) {
            *price = to_ppb(weights.price(outcome));
        }
        Ok(())
    }

    /// Cost of `delta` micro-shares in micro: positive is paid (`ceil`), negative is received (`floor`).
    ///
    /// # Errors
    /// As [`Lmsr::prices_ppb`]; `INVALID_OUTCOME` when the lengths differ; `MATH_OVERFLOW`.
    #[inline(never)]
    pub fn cost(&self, delta: &[i64]) -> Result<i64, Code> {
        if delta.len() != self.quantities.len() {
            return Err(Code::INVALID_OUTCOME);
        }
        let mut weights = Weights::empty();
        let top = i128::from(self.weigh(&mut weights)?);
        let least = delta.iter().copied().min().unwrap_or(0);
        let most = delta.iter().copied().max().unwrap_or(0);
        // The common part is a number of complete sets, which costs its face.
        let common = if least > 0 { least } else { most.min(0) };
        if least == most {
            return Ok(common);
        }
        let count = delta.len();
        let new_top =
            self.quantities.iter().zip(delta).map(|(&q, &step)| i128::from(q) + i128::from(step)).max();
        let new_top = new_top.unwrap_or(0);
        let (mut steps, mut after) = ([0.0; MAX_OUTCOMES], [0.0; MAX_OUTCOMES]);
        for outcome in 0..count {
            let quantity = i128::from(self.quantities[outcome]);
            let step = i128::from(delta[outcome]);
            steps[outcome] = in_b(step, common.into(), self.b);
            after[outcome] = in_b(quantity + step, new_top, self.b);
        }
        let lift = in_b(new_top - i128::from(common), top, self.b);
        let trade = Move { steps: &steps[..count], after: &after[..count], lift };
        let scale = self.b as f64;
        let rest = paid(lmsr::trade_cost(&weights, &trade)? * scale, scale)?;
        common.checked_add(rest).ok_or(Code::MATH_OVERFLOW)
    }

    /// Micro-shares of `outcome` that `spend` micro buys, `floor`.
    ///
    /// # Errors
    /// As [`Lmsr::cost`]; `INVALID_OUTCOME`, `INVALID_AMOUNT` below 0.
    pub fn shares_for_cost(&self, outcome: usize, spend: i64) -> Result<i64, Code> {
        if outcome >= self.quantities.len() {
            return Err(Code::INVALID_OUTCOME);
        }
        if spend < 0 {
            return Err(Code::INVALID_AMOUNT);
        }
        let mut weights = Weights::empty();
        let top = self.weigh(&mut weights)?;
        let exponent = quotient(self.quantities[outcome], top, self.b);
        let scale = self.b as f64;
        let shares = lmsr::shares_for_cost(&weights, outcome, exponent, spend as f64 / scale);
        let shares = received(shares * scale, scale)?.max(0);
        let after = i128::from(self.quantities[outcome]) + i128::from(shares);
        let bottom = self.quantities.iter().copied().min().unwrap_or(0);
        if in_b(after.max(top.into()), bottom.into(), self.b) > MAX_SPREAD {
            return Err(Code::POOL_DOMAIN_EXCEEDED);
        }
        Ok(shares)
    }
}

/// State of a pm-AMM pool in micro: liquidity (of this moment, for the dynamic kind) and the two reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pm {
    pub liquidity: i64,
    pub x: i64,
    pub y: i64,
}

/// What a swap gave, and the solver's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PmOut {
    pub out: i64,
    pub newton_steps: u32,
    pub bisections: u32,
}

impl Pm {
    /// Reserves at a price of X in 1e-9, rounded up, so that they hold at least what the curve asks for.
    ///
    /// # Errors
    /// `PARAMETER_OUT_OF_BOUNDS` for liquidity below 1, `POOL_DOMAIN_EXCEEDED`, `MATH_OVERFLOW`.
    pub fn at_price(liquidity: i64, price_ppb: i64) -> Result<Pm, Code> {
        if liquidity < 1 {
            return Err(Code::PARAMETER_OUT_OF_BOUNDS);
        }
        let score = pm::score_of_price(price_ppb as f64 / 1e9)?;
        let (x, y) = pm::reserves_at(score);
        let scale = liquidity as f64;
        Ok(Pm { liquidity, x: paid(x * scale, scale)?, y: paid(y * scale, scale)? })
    }

    /// u = (y − x)/L, the difference taken in integers.
    pub fn score(&self) -> f64 {
        (i128::from(self.y) - i128::from(self.x)) as f64 / self.liquidity as f64
    }

    /// Price of X in 1e-9, rounded to nearest.
    pub fn price_ppb(&self) -> i64 {
        to_ppb(pm::price(self.score()))
    }

    /// What lies in the reserves beyond the curve, in micro (I17: at least 0 up to the guard).
    pub fn residual(&self) -> f64 {
        let score = self.score();
        let scale = self.liquidity as f64;
        if score < 0.0 {
            self.y as f64 - pm::psi(score) * scale
        } else {
            self.x as f64 - pm::psi(-score) * scale
        }
    }

    /// Y that `amount` of X paid in takes out, `floor`.
    ///
    /// # Errors
    /// `INVALID_AMOUNT` below 0, `POOL_DOMAIN_EXCEEDED`, `CONVERGENCE_FAILED`, `NOT_A_NUMBER`.
    pub fn swap_x_in(&self, amount: i64) -> Result<PmOut, Code> {
        self.swap(self.y, -self.score(), amount)
    }

    /// X that `amount` of Y paid in takes out. Errors as [`Pm::swap_x_in`].
    pub fn swap_y_in(&self, amount: i64) -> Result<PmOut, Code> {
        self.swap(self.x, self.score(), amount)
    }

    /// X bought with `amount` of collateral: as many sets minted, their Y swapped (P10.4.2).
    ///
    /// # Errors
    /// As [`Pm::swap_x_in`], and `MATH_OVERFLOW`.
    pub fn buy_x(&self, amount: i64) -> Result<PmOut, Code> {
        let swapped = self.swap_y_in(amount)?;
        Ok(PmOut { out: swapped.out.checked_add(amount).ok_or(Code::MATH_OVERFLOW)?, ..swapped })
    }

    /// Cash that `shares` of X sold to the pool bring, `floor`: x + s − c and y − c lie on the curve where the score
    /// has fallen by s/L, so no equation is to be solved.
    ///
    /// # Errors
    /// As [`Pm::swap_x_in`].
    pub fn cash_for_x(&self, shares: i64) -> Result<i64, Code> {
        let cash = -self.reserve_change(shares, -1.0)?;
        Ok(received(cash, self.liquidity as f64)?.clamp(0, shares.min(self.y)))
    }

    /// X whose sale brings `cash` of collateral: ψ(u₁) = (y − c)/L on the curve, shares = L·(u₀ − u₁) (P10.4.2).
    ///
    /// # Errors
    /// As [`Pm::swap_x_in`]; `INSUFFICIENT_LIQUIDITY` when the pool has less Y than the cash.
    pub fn x_for_cash(&self, cash: i64) -> Result<i64, Code> {
        if cash < 0 {
            return Err(Code::INVALID_AMOUNT);
        }
        let (score, scale) = (self.score(), self.liquidity as f64);
        if score.is_nan() || score.abs() > pm::MAX_SCORE {
            return Err(Code::POOL_DOMAIN_EXCEEDED);
        }
        let left = pm::psi(score) - cash as f64 / scale;
        if left <= 0.0 || cash >= self.y {
            return Err(Code::INSUFFICIENT_LIQUIDITY);
        }
        let after = pm::solve_score(left, -pm::MAX_SCORE)?.score;
        shares_for_money(paid((score - after) * scale, scale)?, cash, |shares| self.cash_for_x(shares))
    }

    /// A trade of X with its prices.
    ///
    /// # Errors
    /// As [`Pm::buy_x`], [`Pm::cost_of_x`], [`Pm::cash_for_x`] and [`Pm::x_for_cash`].
    pub fn trade_x(&self, ask: Ask) -> Result<Traded, Code> {
        let (shares, cost) = match ask {
            Ask::Spend(money) => (self.buy_x(money)?.out, money),
            Ask::Buy(shares) => (shares, self.cost_of_x(shares)?),
            Ask::Sell(shares) => (shares, self.cash_for_x(shares)?),
            Ask::Earn(money) => (self.x_for_cash(money)?, money),
        };
        let (sold, minted) = if ask.buys() { (shares, cost) } else { (-shares, -cost) };
        let after = Pm {
            liquidity: self.liquidity,
            x: self.x.saturating_add(minted).saturating_sub(sold),
            y: self.y.saturating_add(minted),
        };
        Ok(Traded { shares, cost, before_ppb: self.price_ppb(), after_ppb: after.price_ppb() })
    }

    /// Cash that buys `shares` of X, `ceil`. Errors as [`Pm::swap_x_in`].
    pub fn cost_of_x(&self, shares: i64) -> Result<i64, Code> {
        paid(self.reserve_change(shares, 1.0)?, self.liquidity as f64)
    }

    /// Change of Y's reserve in micro when the trader's X moves the score by `shares` up or down.
    fn reserve_change(&self, shares: i64, sign: f64) -> Result<f64, Code> {
        if shares < 0 {
            return Err(Code::INVALID_AMOUNT);
        }
        let scale = self.liquidity as f64;
        Ok(pm::reserve_change(self.score(), sign * shares as f64 / scale)? * scale)
    }

    /// The pool with its outcomes exchanged.
    pub const fn mirrored(&self) -> Pm {
        Pm { liquidity: self.liquidity, x: self.y, y: self.x }
    }

    fn swap(&self, from: i64, score: f64, amount: i64) -> Result<PmOut, Code> {
        if amount < 0 {
            return Err(Code::INVALID_AMOUNT);
        }
        if score.is_nan() || score.abs() > pm::MAX_SCORE {
            return Err(Code::POOL_DOMAIN_EXCEEDED);
        }
        let scale = self.liquidity as f64;
        // From the curve itself, not from the reserves: what rounding left in the pool stays there.
        let reserves = Reserves { into: pm::psi(score), from: pm::psi(-score), score };
        let swapped = pm::swap(&reserves, amount as f64 / scale)?;
        let out = received(swapped.out * scale, scale)?.clamp(0, from);
        Ok(PmOut { out, newton_steps: swapped.newton_steps, bisections: swapped.bisections })
    }
}

/// Collateral of a move of a distribution market in micro, `ceil`; k in micro, means and widths in the question's
/// own unit times 10⁶.
///
/// # Errors
/// `INVALID_AMOUNT` when nothing moves, `CONVERGENCE_FAILED`, `NOT_A_NUMBER`, `MATH_OVERFLOW`.
pub fn distribution_collateral(k: i64, from: (i64, i64), to: (i64, i64)) -> Result<i64, Code> {
    if from == to {
        return Err(Code::INVALID_AMOUNT);
    }
    // The peak has the unit k/√σ: the widths enter in whole units, the shape only in their quotients.
    let shift = (i128::from(to.0) - i128::from(from.0)) as f64 / 1e6;
    let claims =
        (Normal { mean: 0.0, sigma: from.1 as f64 / 1e6 }, Normal { mean: shift, sigma: to.1 as f64 / 1e6 });
    let scale = k as f64;
    paid(distribution::collateral(scale, claims.0, claims.1)?, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micro(whole: f64) -> i64 {
        (whole * 1e6).round() as i64
    }

    #[test]
    fn golden_amounts_of_the_lmsr() {
        let pool = Lmsr { b: micro(100.0), quantities: &[0, 0] };
        assert_eq!(pool.cost(&[micro(1.0), 0]), Ok(501_250));
        let pool = Lmsr { b: micro(100.0), quantities: &[283_450_316, 143_793_258] };
        assert_eq!(pool.cost(&[-29_382_766, 0]), Ok(-22_827_338));
        let pool = Lmsr { b: micro(50.0), quantities: &[0, 0] };
        assert_eq!(pool.cost(&[micro(2_000.0), 0]), Ok(1_965_342_641));
        let pool = Lmsr { b: micro(1e6), quantities: &[micro(500_000.0), micro(250_000.0)] };
        assert_eq!(pool.cost(&[1, 0]), Ok(1));
        let pool = Lmsr { b: micro(37.5), quantities: &[micro(12.0), micro(3.25), micro(40.0), 0] };
        assert_eq!(pool.cost(&[micro(7.0); 4]), Ok(7_000_000));
        assert_eq!(Lmsr::funding(micro(100.0), 2), Ok(69_314_719));
        assert_eq!(Lmsr::funding(micro(100.0), 8), Ok(207_944_155));
    }

    #[test]
    fn golden_amounts_of_the_pm_amm() {
        let pool = Pm::at_price(100_000_000, 500_000_000).unwrap();
        assert_eq!((pool.x, pool.y), (39_894_229, 39_894_229));
        let bought = |price_ppb, cash| Pm::at_price(100_000_000, price_ppb).unwrap().buy_x(cash).unwrap().out;
        for (price_ppb, cash, expected) in [
            (500_000_000, 1_000_000, 1_984_292.495),
            (500_000_000, 10_000_000, 18_620_724.876),
            (500_000_000, 100_000_000, 135_881_908.906),
            (100_000_000, 5_000_000, 36_456_719.907),
            (900_000_000, 5_000_000, 5_526_475.452),
        ] {
            // The score of a pool in whole micro is a micro off, which the tail's slope multiplies.
            let found = bought(price_ppb, cash);
            let room = if price_ppb == 500_000_000 { 1.0 } else { 8.0 };
            assert!((expected - found as f64).abs() <= room, "{price_ppb} {cash}: {found}");
        }
        let half_way = Pm::at_price(70_710_678, 500_000_000).unwrap();
        assert_eq!((half_way.x, half_way.y), (28_209_480, 28_209_480));
    }

    #[test]
    fn golden_collateral_of_the_distribution_market() {
        let unit = 1_000_000;
        let k = 100 * unit;
        assert_eq!(distribution_collateral(k, (0, unit), (unit, unit)), Ok(41_975_573));
        assert_eq!(distribution_collateral(k, (0, unit), (1_000, unit)), Ok(45_559));
        assert_eq!(distribution_collateral(k, (0, unit), (40 * unit, unit)), Ok(75_112_555));
        assert_eq!(distribution_collateral(k, (0, unit), (0, 2 * unit)), Ok(21_999_958));
        assert_eq!(distribution_collateral(k, (0, 2 * unit), (0, unit)), Ok(22_356_328));
        assert_eq!(distribution_collateral(k, (0, 2 * unit), (1_500_000, unit / 2)), Ok(52_522_692));
        assert_eq!(distribution_collateral(k, (0, unit), (0, unit)), Err(Code::INVALID_AMOUNT));
    }

    #[test]
    fn numbers_outside_the_domain_are_refused() {
        let two = [0, 0];
        let cost = |b, delta: &[i64]| Lmsr { b, quantities: &two }.cost(delta);
        assert_eq!(cost(0, &[1, 0]), Err(Code::PARAMETER_OUT_OF_BOUNDS));
        assert_eq!(cost(MAX_B_MICRO + 1, &[1, 0]), Err(Code::PARAMETER_OUT_OF_BOUNDS));
        assert_eq!(cost(MIN_B_MICRO, &[1]), Err(Code::INVALID_OUTCOME));
        assert_eq!(cost(MIN_B_MICRO, &[700_000_001, 0]), Err(Code::POOL_DOMAIN_EXCEEDED));
        assert!(cost(MIN_B_MICRO, &[700_000_000, 0]).is_ok());
        for count in [0, 1, 65] {
            let quantities = vec![0; count];
            let pool = Lmsr { b: MIN_B_MICRO, quantities: &quantities };
            assert_eq!(pool.cost(&quantities), Err(Code::INVALID_OUTCOME_COUNT));
        }
        let pool = Pm::at_price(1_000_000, 500_000_000).unwrap();
        assert_eq!(pool.buy_x(8_000_000), Err(Code::POOL_DOMAIN_EXCEEDED));
        assert_eq!(pool.swap_x_in(-1), Err(Code::INVALID_AMOUNT));
        assert_eq!(paid(f64::NAN, 1.0), Err(Code::NOT_A_NUMBER));
        assert_eq!(paid(1e300, 1.0), Err(Code::MATH_OVERFLOW));
    }
}
