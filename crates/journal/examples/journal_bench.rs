//! Measures the journal on this machine and prints one JSON object.
//!
//! `cargo run --release -p tradewind-journal --example journal_bench [DIRECTORY]`

use std::time::Instant;

use tradewind_journal::{verify, BlockMeta, Journal, JournalOptions, Reader};

const RECORD_BYTES: usize = 128;
const CASES: [(u32, usize); 4] = [(1, 4000), (16, 4000), (256, 2000), (4096, 1500)];

fn percentile_us(sorted_ns: &[u64], fraction: f64) -> f64 {
    sorted_ns[((sorted_ns.len() - 1) as f64 * fraction) as usize] as f64 / 1000.0
}

fn measure(parent: &std::path::Path, batch: u32, rounds: usize) -> String {
    let directory = tempfile::tempdir_in(parent).expect("temporary directory");
    let mut journal =
        Journal::create(directory.path(), b"bench", JournalOptions::default()).expect("create journal");
    let payload: Vec<u8> = (0..batch as usize * RECORD_BYTES).map(|i| (i * 31 + i / 251) as u8).collect();
    let mut latencies_ns = Vec::with_capacity(rounds);
    let started = Instant::now();
    for round in 0..rounds as u64 {
        let begin = Instant::now();
        let meta = BlockMeta::new(1 + round * u64::from(batch), batch, 0);
        journal.append(meta, &[&payload]).expect("append");
        journal.sync().expect("sync");
        latencies_ns.push(begin.elapsed().as_nanos() as u64);
    }
    let seconds = started.elapsed().as_secs_f64();
    journal.close().expect("close");
    latencies_ns.sort_unstable();
    let begin = Instant::now();
    let report = verify(directory.path(), &mut |_, _| {}).expect("verify");
    let verify_seconds = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let mut reader = Reader::open(directory.path(), 0).expect("open reader");
    let mut records = 0u64;
    while let Some(block) = reader.next().expect("read") {
        records += u64::from(block.count);
    }
    let read_seconds = begin.elapsed().as_secs_f64();
    format!(
        "\"batch_{batch}\":{{\"p50_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1},\"records_per_second\":{:.0},\
         \"verify_gb_per_second\":{:.2},\"read_records_per_second\":{:.0}}}",
        percentile_us(&latencies_ns, 0.50),
        percentile_us(&latencies_ns, 0.99),
        percentile_us(&latencies_ns, 0.999),
        (rounds as f64) * f64::from(batch) / seconds,
        report.bytes as f64 / verify_seconds / 1e9,
        records as f64 / read_seconds,
    )
}

fn main() {
    let parent = std::env::args().nth(1).map_or_else(std::env::temp_dir, std::path::PathBuf::from);
    let rows: Vec<String> = CASES.iter().map(|(batch, rounds)| measure(&parent, *batch, *rounds)).collect();
    println!("{{{}}}", rows.join(","));
}
