//! Verse credits (protocol P15.10, row 0E03): money put aside for a verse, and legs that it finances without any lender.
//! What a credit holds lies on a sub-account that no command can name; see [`crate::outcome::credits`].

mod job;
mod locking;
mod plan;
mod releasing;

pub use job::CreditJob;

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::ledger::{line, post_margin, post_user};
use crate::limits::{MAX_CREDITS, MAX_CREDITS_PER_ACCOUNT, MAX_CREDIT_LEGS};
use crate::market::Market;
use crate::math::MAX_BALANCE;
use crate::outcome::credits::{Credit, Credits, Leg, Place};
use crate::output::{Output, Subject};
use crate::wire::command::{Command, CreditLegs, CreditMoney};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{CreditMoneyBody, EventKind};

/// Legs that one command carries.
const LEGS_PER_COMMAND: usize = 3;

impl<B: Book> Engine<B> {
    /// Credits by place, for readers.
    pub fn credits(&self) -> &Credits {
        &self.state.credits
    }

    /// The credit of an account in a verse: its number, what is available, and the credit.
    pub fn credit_of(&self, account: &[u8; 32], verse: u32) -> Option<(u8, i64, &Credit)> {
        let handle = self.state.accounts.find(account)?;
        let place = self.state.credits.find(handle, verse)?;
        let credit = self.state.credits.get(place)?;
        Some((place.1, self.credit_cash(place, credit.asset), credit))
    }

    /// 0E03/2: puts money aside for a verse, one to one. The first deposit makes the credit. The result is its number.
    ///
    /// # Errors
    /// `RESERVED_NOT_ZERO`, `VERSE_NOT_FOUND`, `ASSET_NOT_FOUND` (unknown, or not the credit's), `INVALID_AMOUNT`,
    /// `ABOVE_MAXIMUM`, `CAPACITY_EXCEEDED` (credits of the account, of the shard), `INSUFFICIENT_BALANCE`, and where
    /// positions need the money `INSUFFICIENT_FREE_COLLATERAL`.
    pub(crate) fn deposit_credit(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: CreditMoney = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        self.state.verses.find(request.verse)?;
        if usize::from(request.asset) >= self.state.assets.len() {
            return reject(Code::ASSET_NOT_FOUND, 0, i64::from(request.asset));
        }
        if request.amount < 1 {
            return reject(Code::INVALID_AMOUNT, 1, request.amount);
        }
        let (place, fresh) = self.place_of_credit(context.account, &request)?;
        let total = fresh.as_ref().or(self.state.credits.get(place)).map_or(0, |credit| credit.total);
        if request.amount > MAX_BALANCE - total {
            return reject(Code::ABOVE_MAXIMUM, MAX_BALANCE - total, request.amount);
        }
        let free = self.state.accounts.balance(context.account, command.sub, request.asset, line::FREE);
        if request.amount > free {
            return reject(Code::INSUFFICIENT_BALANCE, free, request.amount);
        }
        self.check_removal(context.account, command.sub, request.asset, request.amount)?;
        if let Some(credit) = fresh {
            if self.state.accounts.list[place.0 as usize].sub(place.1).is_none() {
                self.state.accounts.list[place.0 as usize].open_sub(place.1, 0);
            }
            self.state.credits.insert(place, credit);
        }
        self.move_credit(command, place, request.amount, output);
        Ok(u64::from(place.1))
    }

    /// 0E03/3: takes what is available back. A credit without money, legs and staged legs is no more.
    ///
    /// # Errors
    /// `RESERVED_NOT_ZERO`, `VERSE_NOT_FOUND`, `ASSET_NOT_FOUND`, `INVALID_AMOUNT`, `CREDIT_INSUFFICIENT` (bound: what is
    /// available).
    pub(crate) fn withdraw_credit(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: CreditMoney = command.payload_as();
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        self.state.verses.find(request.verse)?;
        if request.amount < 0 {
            return reject(Code::INVALID_AMOUNT, 0, request.amount);
        }
        let place = self.own_credit(context.account, request.verse, request.amount)?;
        let credit = &self.state.credits.get(place).expect("found just now");
        if credit.asset != request.asset {
            return reject(Code::ASSET_NOT_FOUND, i64::from(credit.asset), i64::from(request.asset));
        }
        let available = self.credit_cash(place, credit.asset);
        let amount = if request.amount == 0 { available } else { request.amount };
        // Nothing to give closes a credit that has nothing, and is refused else.
        let idle = credit.total == 0 && credit.outlays().next().is_none();
        if amount > available || amount == 0 && !idle {
            return reject(Code::CREDIT_INSUFFICIENT, available, amount);
        }
        self.move_credit(command, place, -amount, output);
        Ok(amount as u64)
    }

    /// 0E03/4: keeps legs for the command that locks them; `staged` 0 forgets those that were kept before.
    ///
    /// # Errors
    /// `RESERVED_NOT_ZERO`, `VERSE_NOT_FOUND`, `CREDIT_INSUFFICIENT` (there is no credit), `PARAMETER_OUT_OF_BOUNDS` (not
    /// the number of legs that are kept, or none or too many given), `TOO_MANY_POSITIONS`, and those of a leg's form:
    /// `MARKET_NOT_FOUND`, `INVALID_MARKET_KIND`, `INVALID_OUTCOME`, `INVALID_ORDER_TYPE`, `INVALID_SIZE`,
    /// `INVALID_PRICE`.
    pub(crate) fn stage_credit(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: CreditLegs = command.payload_as();
        if request.exclusive != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.exclusive));
        }
        self.state.verses.find(request.verse)?;
        let legs = legs_of(&request)?;
        let place = self.own_credit(context.account, request.verse, 0)?;
        let mut staged = self.staged_legs(place, request.staged)?;
        staged.extend(legs);
        check_leg_count(staged.len())?;
        for leg in &staged {
            self.check_leg_form(leg)?;
        }
        let count = staged.len();
        self.state.credits.get_mut(place).expect("found just now").staged = staged;
        output.emit(command, EventKind::CreditStaged, Subject::account(place.0, place.1), &request);
        Ok(count as u64)
    }

    /// Where the money of a request goes, and the credit to make if there is none yet.
    fn place_of_credit(
        &self,
        account: u32,
        request: &CreditMoney,
    ) -> Result<(Place, Option<Credit>), Reject> {
        let credits = &self.state.credits;
        if let Some(place) = credits.find(account, request.verse) {
            let asset = credits.get(place).expect("found just now").asset;
            if asset != request.asset {
                return reject(Code::ASSET_NOT_FOUND, i64::from(asset), i64::from(request.asset));
            }
            return Ok((place, None));
        }
        if credits.len() >= MAX_CREDITS {
            return reject(Code::CAPACITY_EXCEEDED, MAX_CREDITS as i64, credits.len() as i64);
        }
        let fresh = Credit::new(request.verse, request.asset);
        match credits.vacant(account) {
            Some(sub) => Ok(((account, sub), Some(fresh))),
            None => {
                let most = MAX_CREDITS_PER_ACCOUNT as i64;
                reject(Code::CAPACITY_EXCEEDED, most, most)
            }
        }
    }

    /// The account's credit in a verse that exists.
    fn own_credit(&self, account: u32, verse: u32, wanted: i64) -> Result<Place, Reject> {
        self.state.credits.find(account, verse).ok_or(Reject::new(Code::CREDIT_INSUFFICIENT, 0, wanted))
    }

    /// The legs that are staged, if there are as many as the sender believes; none when it takes none along.
    fn staged_legs(&self, place: Place, expected: u8) -> Result<Vec<Leg>, Reject> {
        let staged = &self.state.credits.get(place).expect("its place was found").staged;
        match usize::from(expected) {
            0 => Ok(Vec::new()),
            count if count == staged.len() => Ok(staged.clone()),
            _ => reject(Code::PARAMETER_OUT_OF_BOUNDS, staged.len() as i64, i64::from(expected)),
        }
    }

    /// Money between the command's sub-account and a credit (negative: back), and its end when nothing is left.
    fn move_credit(&mut self, command: &Command, place: Place, amount: i64, output: &mut Output) {
        let credit = self.state.credits.get_mut(place).expect("its place was found");
        credit.total += amount;
        let (verse, asset, total, locked) = (credit.verse, credit.asset, credit.total, credit.locked());
        let closed = total == 0 && amount <= 0 && credit.outlays().next().is_none();
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_margin(accounts, postings, (place.0, command.sub), asset, -amount);
        post_user(accounts, postings, place.0, place.1, asset, line::FREE, amount);
        let body = CreditMoneyBody {
            verse,
            asset,
            owner_sub: command.sub,
            closed: u8::from(closed),
            amount,
            available: self.credit_cash(place, asset),
            locked,
            total,
            reserved: 0,
        };
        let subject = Subject::account(place.0, place.1);
        output.emit(command, EventKind::CreditMoved, subject, &body);
        if closed {
            self.state.credits.remove(place);
        }
        self.after_collateral(command, place.0, command.sub, output);
    }

    /// Money of a credit that nothing has reserved.
    fn credit_cash(&self, place: Place, asset: u16) -> i64 {
        self.state.accounts.balance(place.0, place.1, asset, line::FREE)
    }

    fn market_of_credit(&self, market: u32) -> &Market {
        &self.state.markets.list[market as usize]
    }
}

/// The legs that a command carries.
fn legs_of(request: &CreditLegs) -> Result<Vec<Leg>, Reject> {
    if request.reserved != 0 || request.reserved2 != 0 {
        return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved2));
    }
    let count = usize::from(request.count);
    if count > LEGS_PER_COMMAND {
        return reject(Code::PARAMETER_OUT_OF_BOUNDS, LEGS_PER_COMMAND as i64, count as i64);
    }
    let CreditLegs { market_1, market_2, market_3, price_1, price_2, price_3, .. } = *request;
    let CreditLegs { lots_1, lots_2, lots_3, .. } = *request;
    let sides = [
        (request.outcome_1, request.side_1),
        (request.outcome_2, request.side_2),
        (request.outcome_3, request.side_3),
    ];
    let [markets, prices] = [[market_1, market_2, market_3], [price_1, price_2, price_3]];
    let lots = [lots_1, lots_2, lots_3];
    let all = (0..LEGS_PER_COMMAND).map(|at| (markets[at], prices[at], lots[at], sides[at]));
    let mut legs = Vec::with_capacity(count);
    for (at, (market, price, lots, (outcome, side))) in all.enumerate() {
        if at >= count {
            if (market, price, lots, outcome, side) != (0, 0, 0, 0, 0) {
                return reject(Code::RESERVED_NOT_ZERO, count as i64, at as i64);
            }
            continue;
        }
        if side > 1 {
            return reject(Code::INVALID_ORDER_TYPE, 1, i64::from(side));
        }
        legs.push(Leg { market, outcome, short: side == 1, price: i64::from(price), lots });
    }
    Ok(legs)
}

fn check_leg_count(count: usize) -> Result<(), Reject> {
    match count {
        0 => reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, 0),
        1..=MAX_CREDIT_LEGS => Ok(()),
        _ => reject(Code::TOO_MANY_POSITIONS, MAX_CREDIT_LEGS as i64, count as i64),
    }
}
