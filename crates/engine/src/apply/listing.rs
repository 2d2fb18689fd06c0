//! Markets that accounts list themselves, and what becomes of their bond (protocol P15.4, row 0101).

use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::fees::CAP_E8;
use crate::governance::parameters::Parameter;
use crate::ledger::{line, post_system, post_user};
use crate::market::{has_outcomes, kind, market_flag};
use crate::output::{Output, Subject};
use crate::resolution::listing::Listing;
use crate::roles::permission;
use crate::wire::command::{Command, CreateMarket, ListMarket};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, ListingBody, ListingEndBody, NO_ACCOUNT};

impl<B: Book> Engine<B> {
    /// The account that lists a market, if accounts may (parameter `listing.open`).
    ///
    /// # Errors
    /// `PERMISSION_DENIED` (bound: the bit that creates markets otherwise).
    pub(crate) fn lister(&self, account: u32) -> Result<u32, Reject> {
        match self.state.governance.value(Parameter::ListingOpen) {
            0 => reject(Code::PERMISSION_DENIED, i64::from(permission::CREATE_MARKET), 0),
            _ => Ok(account),
        }
    }

    /// 0101/1: a market of outcomes, or of a number, listed by an account with a bond. Its terms are the platform's: the
    /// elastic fee with its highest rate as cap, and the defaults of band, slippage and sizes.
    ///
    /// # Errors
    /// `INVALID_MARKET_KIND` for what has no outcomes; those of row 0101 in its order; then `ASSET_NOT_FOUND` when the
    /// platform has a settlement asset and the quote is another one, `MARKET_LIMIT_REACHED` (bound: listings of one
    /// account that are not final), `BOND_TOO_LOW` (bound: the governed bond), `INSUFFICIENT_BALANCE`.
    pub(crate) fn list_market(
        &mut self,
        command: &Command,
        context: Context,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: ListMarket = command.payload_as();
        if !has_outcomes(request.market_kind) {
            let (bound, given) = (i64::from(kind::OUTCOME), i64::from(request.market_kind));
            return reject(Code::INVALID_MARKET_KIND, bound, given);
        }
        if request.reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(request.reserved));
        }
        let terms = terms_of(&request);
        let checked = self.check_new_market(command, &terms)?;
        let listing = self.check_listing(command, context, &request)?;
        let market = self.make_market(command, context, &terms, checked, output);
        self.state.resolutions.listings.insert(market, listing);
        let postings = &mut output.postings;
        let (account, sub, quote, bond) = (listing.account, listing.sub, request.quote, listing.bond);
        post_user(&mut self.state.accounts, postings, account, sub, quote, line::FREE, -bond);
        post_system(&mut self.state.system, postings, line::BOND_ESCROW, market + 1, quote, bond);
        let subject = Subject { account, sub, ..Subject::market(market) };
        let body = ListingBody { bond, reward: listing.reward };
        output.emit(command, EventKind::ListingBonded, subject, &body);
        self.after_collateral(command, account, sub, output);
        Ok(u64::from(market))
    }

    fn check_listing(
        &self,
        command: &Command,
        context: Context,
        request: &ListMarket,
    ) -> Result<Listing, Reject> {
        let governance = &self.state.governance;
        // A bond in an asset that anybody can have for nothing would keep nobody from anything.
        if let Some(settlement) = self.settlement_asset().filter(|&settlement| settlement != request.quote) {
            return reject(Code::ASSET_NOT_FOUND, i64::from(settlement), i64::from(request.quote));
        }
        let most = governance.value(Parameter::ListingMarkets);
        let open = i64::from(self.state.resolutions.listings.count_of(context.account));
        if open >= most {
            return reject(Code::MARKET_LIMIT_REACHED, most, open);
        }
        let bond = governance.value(Parameter::ListingBond) * 1_000_000;
        if request.bond < bond {
            return reject(Code::BOND_TOO_LOW, bond, request.bond);
        }
        self.check_bond_money(context.account, command.sub, request.quote, bond)?;
        let reward = bond * governance.value(Parameter::ListingRewardPct) / 100;
        Ok(Listing { account: context.account, sub: command.sub, bond, reward })
    }

    /// The listing bond of a market that is final: a reward, and the rest back or to insurance.
    pub(super) fn end_listing(&mut self, command: &Command, market: u32, quote: u16, output: &mut Output) {
        let Some(listing) = self.state.resolutions.listings.take(market) else { return };
        let resolution = self.state.resolutions.get(market).expect("finalised just now");
        let winner = resolution.right_party().copied();
        let end = listing.end(winner.is_some(), winner.is_some() && resolution.standing().is_invalid());
        let (accounts, postings) = (&mut self.state.accounts, &mut output.postings);
        post_system(&mut self.state.system, postings, line::BOND_ESCROW, market + 1, quote, -listing.bond);
        if let Some(winner) = winner {
            post_user(accounts, postings, winner.account, winner.sub, quote, line::FREE, end.reward);
        }
        post_user(accounts, postings, listing.account, listing.sub, quote, line::FREE, end.returned);
        post_system(&mut self.state.system, postings, line::INSURANCE, 0, quote, end.to_insurance);
        let body = ListingEndBody {
            bond: listing.bond,
            reward: end.reward,
            returned: end.returned,
            to_insurance: end.to_insurance,
            winner: winner.map_or(NO_ACCOUNT, |winner| winner.account),
            winner_sub: winner.map_or(0, |winner| winner.sub),
            reserved: 0,
            reserved2: 0,
            reserved3: 0,
        };
        let subject = Subject { account: listing.account, sub: listing.sub, ..Subject::market(market) };
        output.emit(command, EventKind::ListingEnded, subject, &body);
        self.after_collateral(command, listing.account, listing.sub, output);
        if let Some(winner) = winner {
            self.after_collateral(command, winner.account, winner.sub, output);
        }
    }

    /// The bond behind a market that an account has listed and that is not final.
    pub fn listing(&self, market: u32) -> Option<&Listing> {
        self.state.resolutions.listings.get(market)
    }
}

/// The market that a listing asks for.
fn terms_of(request: &ListMarket) -> CreateMarket {
    let usual = |parameter: Parameter| parameter.definition().default;
    CreateMarket {
        nonce: request.nonce,
        market_kind: request.market_kind,
        outcome_count: request.outcome_count,
        base: request.quote,
        quote: request.quote,
        market_flags: market_flag::ELASTIC_FEE,
        tick_size: request.tick_size,
        lot_size: request.lot_size,
        settle_time_ns: request.settle_time_ns,
        feed: 0,
        band_bp: usual(Parameter::BandBp) as u16,
        slippage_bp: usual(Parameter::SlippageBp) as u16,
        taker_fee_e6bp: CAP_E8 / 100,
        maker_fee_e6bp: 0,
        min_notional: usual(Parameter::MinNotional),
        max_notional: usual(Parameter::MaxNotional),
    }
}
