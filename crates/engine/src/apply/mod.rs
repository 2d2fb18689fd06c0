//! What each command does. Checks come first and return a reject; from the first posting on nothing can fail.

mod accounts;
mod admission;
mod breakers;
mod collateral;
mod conditional;
mod detection;
mod feeds;
mod flow;
mod governance;
mod hooks;
mod keeper_acts;
mod keepers;
mod liquidation;
pub(crate) mod margin;
mod markets;
mod marks;
mod matching;
mod oracle;
mod order_form;
mod orders;
pub(crate) mod pauses;
mod perpetual;
mod perpetual_fill;
mod roles;
mod slashes;
mod timers;
pub(crate) mod work;
