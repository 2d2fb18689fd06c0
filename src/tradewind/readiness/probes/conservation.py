"""collateral-balance-conservation: nothing appears or vanishes, and the log gives the same state again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from tradewind.core.base import Posting
from tradewind.core.enums import Line
from tradewind.core.events import decode_postings, decode_results
from tradewind.core.measure import StandardStream
from tradewind.core.native import Batch, Engine, JournalReader, Node, command_kinds
from tradewind.core.records import codec
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue

LIVE_ORDERS: Final = 500
BATCHES: Final = 10
BATCH_COMMANDS: Final = 4_096

ReadPostings = Callable[[Batch], list[Posting]]


class _Books:
    """Balances summed from the postings alone, apart from the engine and its auditor."""

    def __init__(self) -> None:
        self.by_asset: defaultdict[int, int] = defaultdict(int)
        self.by_owner: defaultdict[tuple[int, int, int], int] = defaultdict(int)
        self.worst_micro = 0

    def add(self, postings: list[Posting]) -> None:
        for item in postings:
            self.by_asset[item.asset] += item.amount
            if item.line < Line.WORLD:
                self.by_owner[item.owner, item.sub, item.asset] += item.amount
        self.worst_micro = max(self.worst_micro, *(abs(amount) for amount in self.by_asset.values()), 0)


def _all_postings(batch: Batch) -> list[Posting]:
    return decode_postings(batch.postings)


def _opened_accounts(batch: Batch) -> dict[int, bytes]:
    """Handle to id of the accounts which a batch opened."""
    kind, operation, _ = command_kinds()["OpenAccount"]
    names = [name for name, _, _ in codec("Command").fields]
    rows = [dict(zip(names, row, strict=True)) for row in codec("Command").iter(batch.commands)]
    results = decode_results(batch.results)
    return {
        result.value: row["account"]
        for row, result in zip(rows, results, strict=True)
        if (row["kind"], row["op"]) == (kind, operation) and result.accepted
    }


def _write(context: ProbeContext) -> tuple[Any, list[str]]:
    """Journals the standard stream in the scratch folder; the genesis, and the state hash of each block."""
    stream = StandardStream(LIVE_ORDERS)
    genesis = stream.genesis.encode()
    node = Node.create(context.scratch / "journal", genesis)
    hashes = []
    try:
        parts = [(part, stream.setup_ns) for part in stream.setup]
        parts += list(stream.fill())
        parts += [stream.next("mixed", BATCH_COMMANDS) for _ in range(BATCHES)]
        for part, now_ns in parts:
            node.commit(part, (), now_ns)
            hashes.append(bytes(node.state_hash()).hex())
    finally:
        node.close()
    return genesis, hashes


def _observe(context: ProbeContext, read_postings: ReadPostings = _all_postings) -> Facts:
    genesis, hashes = _write(context)
    engine = Engine(genesis)
    reader = JournalReader(context.scratch / "journal")
    books, accounts, commands, mismatches = _Books(), dict[int, bytes](), 0, 0
    for expected in hashes:
        batch = reader.next()
        if batch is None:
            mismatches += 1
            break
        accounts |= _opened_accounts(batch)
        engine.apply_stamped(batch.commands)
        mismatches += bytes(engine.state_hash()).hex() != expected
        books.add(read_postings(batch))
        commands += batch.count
    differences = [
        abs(
            total
            - sum(engine.balance(accounts[owner], sub, asset, line) or 0 for line in (Line.FREE, Line.HELD))
        )
        for (owner, sub, asset), total in books.by_owner.items()
    ]
    return {
        "blocks": len(hashes),
        "commands": commands,
        "accounts_compared": len(differences),
        "replay_hash_mismatches": mismatches,
        "worst_sum_micro": books.worst_micro,
        "worst_account_difference_micro": max(differences, default=None),
        "last_state_hash": hashes[-1],
    }


def _without_vault_side(context: ProbeContext) -> Facts:
    """The vault's side of each fee entry is not posted."""
    return _observe(
        context, lambda batch: [item for item in _all_postings(batch) if item.line != Line.VAULT_CASH]
    )


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    worst = max(facts["worst_sum_micro"], facts["worst_account_difference_micro"])
    return {
        "ledger_imbalance": MeasuredValue(worst, "micro", facts["blocks"]),
        "replay_hash_mismatches": count(facts["replay_hash_mismatches"], facts["blocks"]),
    }


conservation = drill(
    "collateral-balance-conservation",
    observe=_observe,
    broken=_without_vault_side,
    summarise=_summarise,
    provenance="virtual",
)
