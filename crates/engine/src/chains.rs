//! Open chains (protocol P15.9): steps that one command did together and that another one undoes together.
//!
//! A chain is a record of what was done and of what undoing it gives back; claims, shares and lots are its owner's and
//! lie where they would without it. What is over is in the log and no longer here.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{Reader, Writer};
use crate::limits::{MAX_CHAINS, MAX_CHAINS_PER_ACCOUNT, MAX_CHAIN_STEPS};
use crate::wire::chains::{chain_step, ChainStep};
use crate::wire::record::Record;

/// A step that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub request: ChainStep,
    /// What undoing it gives back: shares, lots, or the number of a lot.
    pub done: i64,
}

/// A chain that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub account: u32,
    pub sub: u8,
    pub opened_ns: i64,
    /// Micro-units of the settlement asset.
    pub base: i64,
    pub fee: i64,
    /// One to three.
    pub steps: Vec<Step>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Chains {
    /// Number of the last chain; numbers are never used again.
    pub last: u64,
    open: BTreeMap<u64, Chain>,
    by_account: BTreeSet<(u32, u64)>,
}

impl Chains {
    pub fn get(&self, chain: u64) -> Option<&Chain> {
        self.open.get(&chain)
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Open chains, ascending by number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Chain)> {
        self.open.iter().map(|(&number, chain)| (number, chain))
    }

    /// Open chains of an account, ascending by number.
    pub fn of_account(&self, account: u32) -> impl Iterator<Item = (u64, &Chain)> {
        let range = self.by_account.range((account, 0)..=(account, u64::MAX));
        range.map(|&(_, number)| (number, &self.open[&number]))
    }

    /// Keeps a chain under the next number.
    pub fn add(&mut self, chain: Chain) -> u64 {
        self.last += 1;
        self.put(self.last, chain);
        self.last
    }

    fn put(&mut self, number: u64, chain: Chain) {
        self.by_account.insert((chain.account, number));
        self.open.insert(number, chain);
    }

    pub fn remove(&mut self, number: u64) {
        if let Some(chain) = self.open.remove(&number) {
            self.by_account.remove(&(chain.account, number));
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.u64(self.last);
        writer.len(self.open.len());
        for (&number, chain) in &self.open {
            writer.u64(number);
            writer.u32(chain.account);
            writer.raw(&[chain.sub, chain.steps.len() as u8]);
            [chain.opened_ns, chain.base, chain.fee].into_iter().for_each(|value| writer.i64(value));
            for step in &chain.steps {
                writer.raw(step.request.bytes());
                writer.i64(step.done);
            }
        }
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut chains = Chains { last: reader.u64()?, ..Chains::default() };
        let count = reader.len(70)?;
        if count > MAX_CHAINS {
            return Err(format!("{count} chains"));
        }
        for _ in 0..count {
            let (number, account) = (reader.u64()?, reader.u32()?);
            let [sub, steps] = reader.array()?;
            let (opened_ns, base, fee) = (reader.i64()?, reader.i64()?, reader.i64()?);
            let mut chain = Chain { account, sub, opened_ns, base, fee, steps: Vec::new() };
            for _ in 0..steps {
                let request: ChainStep = bytemuck::pod_read_unaligned(&reader.array::<24>()?);
                chain.steps.push(Step { request, done: reader.i64()? });
            }
            let ascends = chains.open.last_key_value().is_none_or(|(&last, _)| last < number);
            let known = chain.steps.iter().all(|step| is_known(step.request.kind) && step.done >= 0);
            let counted = (1..=MAX_CHAIN_STEPS).contains(&usize::from(steps));
            if !ascends || !known || !counted || number > chains.last || base < 0 || fee < 0 {
                return Err(format!("chain {number} with {steps} steps"));
            }
            chains.put(number, chain);
            if chains.of_account(account).count() > MAX_CHAINS_PER_ACCOUNT {
                return Err(format!("account {account} has too many chains"));
            }
        }
        Ok(chains)
    }
}

/// Whether a step of this kind exists.
pub fn is_known(kind: u8) -> bool {
    chain_step::NAMES.iter().any(|&(_, known)| known == kind)
}
