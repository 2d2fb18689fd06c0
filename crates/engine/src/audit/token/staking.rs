//! Stakes and their share of the fees (I16).

use super::*;

impl Auditor {
    pub(super) fn staked(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: StakeBody = event.body_as();
        let account = event.account;
        let quarters = match body.lock_s {
            0 => 4,
            2_592_000 => 5,
            7_776_000 => 6,
            other => return Err(fault("I16", format_args!("a stake is locked for {other} s"))),
        };
        let weight = (i128::from(body.amount) * quarters / 4) as i64;
        let unlock_ns = event.time_ns.saturating_add(i64::from(body.lock_s) * 1_000_000_000);
        ensure!(
            body.amount >= LEAST_STAKE && (body.weight, body.unlock_ns) == (weight, unlock_ns),
            "I16",
            "a stake of {} weighs {} until {}",
            body.amount,
            body.weight,
            body.unlock_ns
        );
        let last = self.token.last_lot.insert(account, body.lot).unwrap_or(0);
        ensure!(body.lot == last + 1, "I16", "lot {} of account {account} follows {last}", body.lot);
        bonded(event, body.asset, body.amount, postings)?;
        let entries = self.token.funds.iter().map(|(&asset, fund)| (asset, fund.accumulator)).collect();
        let lot = Lot { amount: body.amount, weight, unlock_ns, entries };
        self.token.lots.insert((account, body.lot), lot);
        let lots = self.token.lots_of(account).count();
        ensure!(lots <= LOTS, "I20", "account {account} has {lots} stakes");
        self.token.reweigh(weight);
        self.check_staked_line(account, body.asset)
    }

    /// A lot leaves, or its lock is over and it weighs less: what it had earned was paid before.
    pub(super) fn stake_fell(&mut self, kind: EventKind, event: &Event, postings: &[Posting]) -> Check {
        let body: StakeBody = event.body_as();
        let key = (event.account, body.lot);
        let Some(lot) = self.token.lots.get(&key).cloned() else {
            return Err(fault("I16", format_args!("lot {} of account {} is unknown", key.1, key.0)));
        };
        ensure!(event.time_ns >= lot.unlock_ns, "I16", "lot {} is locked until {}", key.1, lot.unlock_ns);
        for &asset in self.token.funds.keys() {
            let waiting = self.token.waiting(asset, &lot);
            ensure!(
                waiting == 0,
                "I16",
                "lot {} changes while {waiting} of asset {asset} wait for it",
                key.1
            );
        }
        let leaves = kind == EventKind::Unstaked;
        let weight = if leaves { lot.weight } else { lot.amount };
        ensure!(
            (body.amount, body.weight) == (lot.amount, weight) && (leaves || lot.weight > lot.amount),
            "I16",
            "lot {} of {} at weight {} becomes {} at {}",
            key.1,
            lot.amount,
            lot.weight,
            body.amount,
            body.weight
        );
        bonded(event, body.asset, if leaves { -lot.amount } else { 0 }, postings)?;
        if leaves {
            self.token.lots.remove(&key);
            self.token.reweigh(-lot.weight);
        } else {
            self.token.lots.insert(key, Lot { weight: lot.amount, ..lot });
            self.token.reweigh(weight - lot.weight);
        }
        self.check_staked_line(event.account, body.asset)
    }

    pub(super) fn check_staked_line(&self, account: u32, asset: u16) -> Check {
        let keeper = self.records.bonds.get(&account).filter(|bond| bond.asset == asset);
        let expected = keeper.map_or(0, |bond| bond.total()) + self.token.staked_in(account, asset);
        let line = self.ledger.line(account, 0, asset, BOND);
        ensure!(
            line == expected,
            "I23",
            "account {account} has {line} on its bond line and stakes of {expected}"
        );
        Ok(())
    }

    pub(super) fn rewards_shared(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: RewardsSharedBody = event.body_as();
        ensure!(postings.is_empty(), "I16", "sharing rewards moves money");
        let total = self.token.total_weight;
        let pool = self.ledger.line(0, 0, body.asset, STAKER_POOL);
        let fund = self.token.funds.entry(body.asset).or_default();
        ensure!(
            total > 0
                && body.total_weight == total
                && body.amount > 0
                && i128::from(fund.owed) + i128::from(body.amount) == i128::from(pool),
            "I16",
            "{} of asset {} are shared among {}, the pool is {pool}, {} of it is owed",
            body.amount,
            body.asset,
            body.total_weight,
            fund.owed
        );
        let numerator = body.amount as u128 * (1_u128 << 64) + fund.carry;
        fund.accumulator += numerator / total as u128;
        fund.carry = numerator % total as u128;
        fund.owed += body.amount;
        let wide = |low: u64, high: u64| u128::from(low) | (u128::from(high) << 64);
        let shown =
            (wide(body.accumulator_low, body.accumulator_high), wide(body.carry_low, body.carry_high));
        ensure!(
            shown == (fund.accumulator, fund.carry) && fund.carry < total as u128,
            "I16",
            "the accumulator of asset {} is {shown:?}",
            body.asset
        );
        Ok(())
    }

    pub(super) fn rewards_claimed(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: RewardsBody = event.body_as();
        let (account, asset) = (event.account, body.asset);
        let accumulator = self.token.funds.get(&asset).map_or(0, |fund| fund.accumulator);
        let mut waiting = 0;
        for (_, lot) in self
            .token
            .lots
            .range_mut((account, 0)..=(account, u64::MAX))
            .filter(|((_, number), _)| body.lot == 0 || *number == body.lot)
        {
            let entry = lot.entries.insert(asset, accumulator).unwrap_or(0);
            waiting += share(lot.weight, accumulator - entry);
        }
        ensure!(
            body.amount > 0 && i128::from(body.amount) == waiting && body.source == STAKER_POOL,
            "I16",
            "account {account} claims {} of asset {asset}, {waiting} wait for it",
            body.amount
        );
        let movements = [(0, 0, asset, STAKER_POOL, -body.amount), (account, 0, asset, FREE, body.amount)];
        check_movements("I16", movements, postings)?;
        self.collect_fees(asset, -body.amount);
        let fund = self.token.funds.entry(asset).or_default();
        fund.owed -= body.amount;
        ensure!(fund.owed >= 0, "I15", "more of asset {asset} is claimed than was funded: {}", fund.owed);
        Ok(())
    }
}

/// `amount` went from the account's `free` to its `bond`, or back when negative.
fn bonded(event: &Event, asset: u16, amount: i64, postings: &[Posting]) -> Check {
    let account = event.account;
    let movements = [(account, 0, asset, FREE, -amount), (account, 0, asset, BOND, amount)];
    check_movements("I16", movements, postings)
}
