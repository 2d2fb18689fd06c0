//! Reading ahead: what the next commands will look at is loaded for several of them at once.
//!
//! One command waits for memory again and again, each time for what the last load named. The loads of different
//! commands do not depend on each other, so a group that is looked at first waits once for all of them. Nothing is
//! decided here: what is read is thrown away, and a wrong guess costs only time.

use std::hint::black_box;

use crate::book::Book;
use crate::engine::Engine;
use crate::order::NONE;
use crate::wire::command::{CancelOrder, Command, Kind, PlaceOrder};

/// Commands that are looked at together.
pub const GROUP: usize = 16;
/// Open orders (of 128 bytes) and cells of the keys' index (of 8) from which on they no longer fit the caches, so that
/// reading ahead pays.
const FROM_ORDERS: usize = 1 << 16;
const FROM_CELLS: usize = 1 << 17;
const PLACE_ORDER: (u16, u8) = Kind::PlaceOrder.code();
const CANCEL_ORDER: (u16, u8) = Kind::CancelOrder.code();

impl<B: Book> Engine<B> {
    /// Touches what the first [`GROUP`] commands will look for in tables that outgrew the caches.
    #[inline]
    pub(crate) fn read_ahead(&self, commands: &[Command]) {
        if self.cursor.idempotency.cells() >= FROM_CELLS {
            self.touch_keys(commands);
        }
        if self.state.orders.len() >= FROM_ORDERS {
            self.touch_orders(commands);
        }
    }

    #[inline(never)]
    fn touch_keys(&self, commands: &[Command]) {
        let mut seen = 0;
        for command in commands.iter().take(GROUP).filter(|command| command.client_key != [0; 16]) {
            let account = self.state.accounts.guess(&command.account);
            seen ^=
                account.map_or(0, |account| self.cursor.idempotency.first_cell(account, &command.client_key));
        }
        black_box(seen);
    }

    #[inline(never)]
    fn touch_orders(&self, commands: &[Command]) {
        let mut neighbours = [[NONE; 4]; GROUP];
        let mut seen = 0;
        for (command, neighbours) in commands.iter().zip(&mut neighbours) {
            *neighbours = self.slots_near(command, &mut seen);
        }
        for slot in neighbours.into_iter().flatten() {
            seen ^= self.state.orders.get(slot).map_or(0, |order| order.remaining);
        }
        black_box(seen);
    }

    /// Reads a command's account and order; the slots that the command will change beside them.
    #[inline]
    fn slots_near(&self, command: &Command, seen: &mut i64) -> [u32; 4] {
        let (orders, accounts) = (&self.state.orders, &self.state.accounts);
        let account = accounts.find(&command.account);
        // The first row of balances, whatever its asset.
        *seen ^= account.map_or(0, |handle| accounts.balance(handle, command.sub, 0, 0));
        match (command.kind, command.op) {
            CANCEL_ORDER => {
                let Some(slot) = orders.find(command.payload_as::<CancelOrder>().order) else {
                    return [NONE; 4];
                };
                let order = &orders[slot];
                // Its second cache line.
                *seen ^= order.total;
                [order.previous, order.next, order.account_previous, order.account_next]
            }
            PLACE_ORDER => {
                let request: PlaceOrder = command.payload_as();
                let book = self.state.books.get(request.market as usize);
                let ranked = book.and_then(|book| book.last_at(request.side & 1, request.price));
                let listed = account.map(|handle| accounts.list[handle as usize].last_order);
                [ranked.unwrap_or(NONE), listed.unwrap_or(NONE), NONE, NONE]
            }
            _ => [NONE; 4],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::book::FastBook;
    use crate::sequence::apply_batch;
    use crate::streams::{Flow, Stream};
    use crate::wire::command::COMMAND_SIZE;

    /// Bytes that are not aligned to a command are applied one by one, without reading ahead.
    fn unaligned(commands: &[Command]) -> Vec<u8> {
        let mut bytes = vec![0; commands.len() * COMMAND_SIZE + 1];
        bytes[1..].copy_from_slice(bytemuck::cast_slice(commands));
        bytes
    }

    #[test]
    fn reading_ahead_changes_no_outcome() {
        let (mut ahead, mut stream) = Stream::new::<FastBook>(1_000, 1, 2_000);
        let mut plain = ahead.clone();
        let (mut batch, mut other) = (Batch::default(), Batch::default());
        let flows = [Flow::Mixed, Flow::Cancel, Flow::Trade, Flow::Replace, Flow::Place];
        let fill = std::iter::repeat_n(Flow::Place, FROM_ORDERS / 4_096 + 1);
        for flow in fill.chain(flows) {
            let commands = stream.batch(flow, 4_096, FROM_ORDERS);
            batch.clear();
            other.clear();
            apply_batch(&mut ahead, bytemuck::cast_slice(&commands), stream.now_ns, &mut batch)
                .expect("applies");
            apply_batch(&mut plain, &unaligned(&commands)[1..], stream.now_ns, &mut other).expect("applies");
            assert!(batch.as_view() == other.as_view(), "{flow:?}");
            stream.learn(&batch);
        }
        assert!(ahead.sizes().0 > FROM_ORDERS);
        assert!(ahead.cursor.idempotency.cells() >= FROM_CELLS);
        assert_eq!((ahead.state_hash(), ahead.cursor_hash()), (plain.state_hash(), plain.cursor_hash()));
    }
}
