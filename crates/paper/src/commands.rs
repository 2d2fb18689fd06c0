//! Actions as commands of the engine.

use tradewind_engine::wire::command::{
    order_flag, time_in_force, CancelOrder, Command, Kind, PlaceOrder, ReplaceOrder,
};
use tradewind_engine::wire::record::Record;

use crate::Action;

/// Principal and account id of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    pub principal: [u8; 32],
    pub account: [u8; 32],
}

/// Who acts for the mirror in one market.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    pub market: u32,
    pub maker: Sender,
    pub taker: Sender,
}

impl Encoder {
    /// The command of an action: the maker places, resizes and cancels, the taker takes.
    pub fn command(&self, action: &Action) -> Command {
        match *action {
            Action::Place { side, price_ticks, lots } => {
                let order_flags = order_flag::POST_ONLY;
                let place = PlaceOrder { order_flags, ..self.limit(side as u8, price_ticks, lots) };
                of(&self.maker, Kind::PlaceOrder).with(&place)
            }
            Action::Take { side, price_ticks, lots } => {
                let time_in_force = time_in_force::IOC;
                let take = PlaceOrder { time_in_force, ..self.limit(side as u8, price_ticks, lots) };
                of(&self.taker, Kind::PlaceOrder).with(&take)
            }
            Action::Resize { order, total_lots } => {
                let resize = ReplaceOrder { order, total_lots, ..ReplaceOrder::zero() };
                of(&self.maker, Kind::ReplaceOrder).with(&resize)
            }
            Action::Cancel { order } => {
                of(&self.maker, Kind::CancelOrder).with(&CancelOrder { order, ..CancelOrder::zero() })
            }
        }
    }

    fn limit(&self, side: u8, price: i64, lots: i64) -> PlaceOrder {
        PlaceOrder { market: self.market, side, price, lots, ..PlaceOrder::zero() }
    }
}

fn of(sender: &Sender, kind: Kind) -> Command {
    Command { principal: sender.principal, account: sender.account, ..Command::new(kind) }
}
