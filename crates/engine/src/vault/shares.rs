//! Price of vault shares and the reward units of early deposits (protocol P9.8, P9.11). Shares and money in micro-units.

/// Virtual shares and assets: they make the first depositor's inflation attack cost more than it takes.
pub const VIRTUAL: i128 = 1_000_000;
/// Least deposit and least exit: $1.
pub const LEAST: i64 = 1_000_000;

/// `floor(a·(supply + 10^6)/(NAV + 10^6))`: shares for a deposit. Arguments at least 0.
///
/// ```
/// # use tradewind_engine::vault::shares::shares_for;
/// assert_eq!(shares_for(100_000_000, 1_000_000_000, 1_100_000_000), 90_917_347);
/// ```
pub fn shares_for(assets: i64, supply: i64, nav: i64) -> i64 {
    let shares = i128::from(assets) * (i128::from(supply) + VIRTUAL) / (i128::from(nav) + VIRTUAL);
    i64::try_from(shares).unwrap_or(i64::MAX)
}

/// `floor(s·(NAV + 10^6)/(supply + 10^6))`: what shares are worth; never more than the vault holds, which a vault that
/// has lost money could otherwise owe by its virtual assets.
pub fn assets_for(shares: i64, supply: i64, nav: i64) -> i64 {
    let assets = i128::from(shares) * (i128::from(nav) + VIRTUAL) / (i128::from(supply) + VIRTUAL);
    assets.min(i128::from(nav)) as i64
}

/// Price of a share in 1e-12, for the high-water mark.
pub fn price_e12(supply: i64, nav: i64) -> i128 {
    (i128::from(nav) + VIRTUAL) * 1_000_000_000_000 / (i128::from(supply) + VIRTUAL)
}

/// `floor(10 % of the gain above the high-water mark)` (P9.8).
pub fn performance_fee(supply: i64, nav: i64, high_water_e12: i128) -> i64 {
    let mark = (i128::from(supply) + VIRTUAL) * high_water_e12;
    let gain = (i128::from(nav) + VIRTUAL) - (mark + 999_999_999_999) / 1_000_000_000_000;
    (gain.max(0) / 10).min(i128::from(nav)) as i64
}

/// (end of the band in micro-units, weight in hundredths) of P9.11.
const REWARD_BANDS: [(i64, i64); 3] = [(1_000_000_000, 200), (5_000_000_000, 150), (i64::MAX, 100)];

/// Reward units of a deposit, integrated over what the vault held before and the deposit, in micro-units.
///
/// ```
/// # use tradewind_engine::vault::shares::reward_units;
/// assert_eq!(reward_units(0, 100_000_000_000), 103_000_000_000);
/// ```
pub fn reward_units(vault_before: i64, deposit: i64) -> i64 {
    let end = i128::from(vault_before) + i128::from(deposit);
    let (mut from, mut weighted) = (i128::from(vault_before), 0_i128);
    for (band_end, weight) in REWARD_BANDS {
        let upto = end.min(i128::from(band_end));
        weighted += (upto - from).max(0) * i128::from(weight);
        from = from.max(upto);
    }
    i64::try_from(weighted / 100).unwrap_or(i64::MAX)
}
