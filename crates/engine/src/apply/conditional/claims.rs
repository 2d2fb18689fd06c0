//! Special orders on outcome markets (protocol P2.5): what a position is there are claims, and prices of outcome 1 of two
//! are those of outcome 0 turned round.
//!
//! REDUCE_ONLY sells claims that its owner has, and no more of them: it is cut when it is accepted, and what it sells is
//! held from then on, so that nothing can shrink below it.

use super::form::{check_fields, display_of, takes_time_in_force};
use crate::apply::order_form::check_time;
use crate::book::Book;
use crate::engine::{Context, Engine};
use crate::limits::{CLAIMS_ROOM, MAX_LOTS};
use crate::order::flag;
use crate::output::Output;
use crate::trigger::Special;
use crate::wire::command::{order_flag, order_type, side, Command, PlaceOrder};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::EventKind;

const PLAIN_FLAGS: u16 = order_flag::POST_ONLY | order_flag::REDUCE_ONLY;

impl<B: Book> Engine<B> {
    /// Checks and accepts an order on claims that is more than a plain limit or market order; its market and outcome are
    /// checked.
    #[inline(never)]
    pub(super) fn place_on_claims(
        &mut self,
        command: &Command,
        context: Context,
        request: &PlaceOrder,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let kind = request.order_type;
        let known = kind <= order_type::MARKET || kind == order_type::ICEBERG;
        if !known || request.order_flags & !PLAIN_FLAGS != 0 {
            return reject(Code::INVALID_ORDER_TYPE, i64::from(order_type::MARKET), i64::from(kind));
        }
        let mut request = *request;
        if request.order_flags & order_flag::REDUCE_ONLY != 0 {
            request.lots = self.sellable(context.account, command.sub, &request)?;
        }
        if kind == order_type::ICEBERG {
            return self.place_iceberg(command, context, &request, output);
        }
        self.place_outcome(command, context, &request, output)
    }

    /// Lots that an order which only reduces may sell: those asked for, at most the claims that are free.
    fn sellable(&self, account: u32, sub: u8, request: &PlaceOrder) -> Result<i64, Reject> {
        if !(1..=MAX_LOTS).contains(&request.lots) {
            return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots);
        }
        let market = &self.state.markets.list[request.market as usize];
        let free = self.state.claims.free(account, sub, request.market, request.outcome) / market.lot_size;
        if request.side == side::BUY || free == 0 {
            return reject(Code::REDUCE_ONLY_WOULD_INCREASE, free, request.lots);
        }
        Ok(request.lots.min(free))
    }

    /// An iceberg (P2.5.5): secured as a whole, displayed in parts.
    fn place_iceberg(
        &mut self,
        command: &Command,
        context: Context,
        request: &PlaceOrder,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        check_fields(request)?;
        check_time(request, takes_time_in_force(request), command.time_ns)?;
        let plain = PlaceOrder { order_type: order_type::LIMIT, display_lots: 0, ..*request };
        let price = self.outcome_form(&plain, command.time_ns, context.system)?;
        let special = Special { limit: price, display: display_of(request)?, ..Special::PLAIN };
        if !context.system {
            self.check_outcome_band(request.market, request.outcome, request.side, price)?;
        }
        self.check_room(command, context, request.market, false)?;
        if self.state.claims.len() >= CLAIMS_ROOM {
            return reject(Code::CAPACITY_EXCEEDED, CLAIMS_ROOM as i64, self.state.claims.len() as i64);
        }
        let mut given = self.new_order(command, context, request, price);
        given.flags |= flag::SPECIAL;
        let mut order = self.in_book_terms(given);
        order.reserve = self.secure_outcome(&order, 0)?;
        let takes = self.check_outcome_execution(&order, command.time_ns)?;

        let slot = self.take_id(&mut order);
        self.remember(&order, special);
        self.hold_quote(&order, order.reserve, output);
        self.emit_given(command, EventKind::OrderAccepted, &order, !takes, output);
        self.hold_claims(command, &order, order.reserve, output);
        self.detect_order(&order);
        self.match_or_rest(command, order, (slot, false), takes, context.system, output);
        Ok(order.id)
    }
}
