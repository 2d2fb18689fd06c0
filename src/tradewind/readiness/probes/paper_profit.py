"""paper-profit-10000: profit of a campaign whose every fill is in the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from tradewind.core import event_types, journal
from tradewind.core.errors import TradewindError
from tradewind.core.events import decode_events
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.journal_range import JOURNAL_FOLDER
from tradewind.readiness.probe import Measurement, ProbeContext, probe
from tradewind.readiness.probes.paper_model import Model
from tradewind.readiness.probes.paper_soak import (
    JOURNAL_FILLS,
    PROVENANCES,
    Values,
    campaign_files,
    profit_values,
)
from tradewind.trader.campaign.evidence import from_files
from tradewind.trader.campaign.honesty import judge

MODEL_HOURS: Final = 24.0


def journal_trades(context: ProbeContext, wanted: set[str]) -> list[str]:
    """Which of the wanted trades the journal has. Raises CannotMeasureError."""
    found: set[str] = set()
    if not wanted:
        return []
    first = min(int(one.partition("-")[0]) for one in wanted)
    try:
        for batch in journal.batches(context.data_dir / JOURNAL_FOLDER, first):
            for event in decode_events(batch):
                if isinstance(event, event_types.Trade):
                    name = f"{event.seq}-{event.event_index}"
                    if name in wanted:
                        found.add(name)
    except (TradewindError, OSError) as error:
        raise CannotMeasureError(f"the journal cannot be read: {error}") from error
    return sorted(found)


@probe("paper-profit-10000")
def profit(context: ProbeContext) -> Measurement:
    """Every fill of the campaign is looked up in the journal."""
    files = campaign_files(context)
    evidence = from_files(files)
    known = journal_trades(context, {one.trade_id for one in evidence.fills})
    files[JOURNAL_FILLS] = json.dumps(known).encode()
    honest = judge(evidence)
    return Measurement(
        values=profit_values(evidence, honest, set(known)),
        artefacts=files,
        provenance=PROVENANCES[evidence.state.identity.provenance],
    )


@profit.mutation
def _generated_trades(context: ProbeContext) -> Measurement:
    """Trades that no journal knows were put into the campaign."""
    del context
    model = Model(MODEL_HOURS)
    files = model.files()
    files[JOURNAL_FILLS] = json.dumps([one.trade_id for one in model.fills[::2]]).encode()
    return Measurement(_values_of(files), files, provenance="virtual")


@profit.recompute
def _values_of(files: Mapping[str, bytes]) -> Values:
    evidence = from_files(files)
    return profit_values(evidence, judge(evidence), set(json.loads(files[JOURNAL_FILLS])))
