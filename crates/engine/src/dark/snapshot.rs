//! The dark book's canonical encoding.

use super::{Dark, DarkOrder, Print};
use crate::codec::{Reader, Writer};
use crate::limits::MAX_DARK_ORDERS;

impl Dark {
    pub fn encode(&self, writer: &mut Writer) {
        writer.u64(self.last_id);
        writer.len(self.orders.len());
        for (&id, order) in &self.orders {
            writer.u64(id);
            writer.u32(order.account);
            writer.u32(order.market);
            writer.raw(&[order.sub, order.outcome, order.side]);
            [order.lots, order.min_lots, order.limit, order.reserve]
                .into_iter()
                .for_each(|value| writer.i64(value));
            writer.u32(order.cap_e8);
        }
        writer.len(self.next_ns.len());
        for (&market, &next_ns) in &self.next_ns {
            writer.u32(market);
            writer.i64(next_ns);
        }
        writer.u64(self.last_print);
        writer.len(self.prints.len());
        for (&id, print) in &self.prints {
            writer.u64(id);
            writer.u32(print.market);
            writer.u8(print.outcome);
            [print.due_ns, print.crossed_ns, print.midpoint, print.lots]
                .into_iter()
                .for_each(|value| writer.i64(value));
        }
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut dark = Dark::default();
        let last_id = reader.u64()?;
        for _ in 0..reader.len(55)? {
            let (id, account, market) = (reader.u64()?, reader.u32()?, reader.u32()?);
            let [sub, outcome, side] = reader.array()?;
            let (lots, min_lots) = (reader.i64()?, reader.i64()?);
            let (limit, reserve) = (reader.i64()?, reader.i64()?);
            let cap_e8 = reader.u32()?;
            if id <= dark.last_id || id > last_id || side > 1 || lots <= 0 || limit <= 0 || reserve < 0 {
                return Err(format!("dark order {id} of {lots} lots at {limit}"));
            }
            dark.put(
                id,
                DarkOrder { account, sub, market, outcome, side, lots, min_lots, limit, reserve, cap_e8 },
            );
        }
        dark.last_id = last_id;
        for _ in 0..reader.len(12)? {
            let (market, next_ns) = (reader.u32()?, reader.i64()?);
            dark.next_ns.insert(market, next_ns);
        }
        let last_print = reader.u64()?;
        for _ in 0..reader.len(45)? {
            let (id, market, outcome) = (reader.u64()?, reader.u32()?, reader.u8()?);
            let (due_ns, crossed_ns) = (reader.i64()?, reader.i64()?);
            let (midpoint, lots) = (reader.i64()?, reader.i64()?);
            if id > last_print {
                return Err(format!("print {id} of {last_print}"));
            }
            dark.prints.insert(id, Print { due_ns, crossed_ns, market, outcome, midpoint, lots });
        }
        dark.last_print = last_print;
        Ok(dark)
    }

    /// Whether the markets and accounts that it names exist, and every market with orders has its next cross.
    ///
    /// # Errors
    /// A sentence that names the defect.
    pub fn check_markets(&self, markets: usize, accounts: usize) -> Result<(), String> {
        let known = |order: &DarkOrder| {
            (order.market as usize) < markets
                && (order.account as usize) < accounts
                && self.next_ns.contains_key(&order.market)
        };
        if let Some((id, order)) = self.iter().find(|(_, order)| !known(order)) {
            return Err(format!("dark order {id} of account {} in market {}", order.account, order.market));
        }
        if self.len() > MAX_DARK_ORDERS || self.next_ns.keys().any(|&market| market as usize >= markets) {
            return Err(format!("{} dark orders in {markets} markets", self.len()));
        }
        Ok(())
    }
}
