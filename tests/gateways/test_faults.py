"""Plans of faults: data, seeded, logged, changed while a gateway runs."""

from __future__ import annotations

import asyncio
import json
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.gateways.fault_control import FaultControl
from tradewind.gateways.faults import (
    MAX_RULES,
    Fault,
    FaultError,
    FaultPlan,
    Plan,
    Rule,
    corrupted_checksum,
)

CALLS = ["POST /0/private/AddOrder", "POST /0/private/CancelOrder", "GET /0/public/Time"]
rules = st.builds(
    Rule,
    action=st.sampled_from(list(Fault)),
    surface=st.sampled_from(["*", "rest", "stream"]),
    name=st.sampled_from(["*", "*AddOrder", "book"]),
    probability_ppm=st.integers(0, 1_000_000),
    skip=st.integers(0, 5),
    times=st.integers(0, 5),
)
calls = st.lists(
    st.tuples(st.sampled_from(["rest", "stream"]), st.sampled_from([*CALLS, "book"])), max_size=60
)


def run(plan: Plan, made: list[tuple[str, str]]) -> tuple[list[object], list[object]]:
    faults = FaultPlan(plan)
    answers: list[object] = []
    for number, (surface, name) in enumerate(made):
        if surface == "rest":
            answers.append([one.fault for one in faults.on_request(surface, name)])
        else:
            answers.append(faults.on_frame(surface, name, f'{{"checksum":{number}}}'.encode()))
    return answers, list(faults.log)


@given(seed=st.integers(0, 2**32), given_rules=st.lists(rules, max_size=6), made=calls)
def test_the_same_seed_and_calls_meet_the_same_faults(
    seed: int, given_rules: list[Rule], made: list[tuple[str, str]]
) -> None:
    plan = Plan(seed=seed, rules=tuple(given_rules))
    assert run(plan, made) == run(plan, made)


@given(given_rules=st.lists(rules, max_size=6), made=calls)
def test_no_rule_acts_more_often_than_it_may_and_all_it_does_is_logged(
    given_rules: list[Rule], made: list[tuple[str, str]]
) -> None:
    answers, log = run(Plan(rules=tuple(given_rules)), made)
    done = [one for answer in answers if isinstance(answer, list) for one in answer if isinstance(one, Fault)]
    assert done == [one.fault for one in log if one.surface == "rest"]  # type: ignore[attr-defined]
    for number, rule in enumerate(given_rules):
        acted = sum(one.rule == number for one in log)  # type: ignore[attr-defined]
        assert not rule.times or acted <= rule.times


def test_a_draw_follows_its_probability() -> None:
    faults = FaultPlan(Plan(seed=5, rules=(Rule(action=Fault.DROP_REPLY, probability_ppm=250_000),)))
    acted = sum(bool(faults.on_request("rest", "x")) for _ in range(4_000))
    assert 850 < acted < 1_150


def test_a_plan_is_read_from_toml_and_json(tmp_path: Path) -> None:
    text = 'seed = 3\n[[rules]]\naction = "status"\nstatus = 429\nname = "*Order*"\ntimes = 1\n'
    toml, both = tmp_path / "plan.toml", tmp_path / "plan.json"
    toml.write_text(text)
    rule = {"action": "status", "status": 429, "name": "*Order*", "times": 1}
    both.write_text(json.dumps({"seed": 3, "rules": [rule]}))
    assert Plan.read(toml) == Plan.read(both)
    assert Plan.read(toml).rules[0].matches("rest", "POST /0/private/AddOrder")


@pytest.mark.parametrize(
    "text",
    [
        "rules = 3",
        "seed = [",
        '[[rules]]\naction = "explode"',
        '[[rules]]\naction = "delay"\nspeed = 3',
        '[[rules]]\naction = "delay"\ndelay_ms = -1',
        '[[rules]]\naction = "status"\nstatus = 200',
    ],
)
def test_a_bad_plan_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(FaultError):
        Plan.read(path)


def test_too_many_rules_are_refused() -> None:
    with pytest.raises(FaultError):
        FaultPlan(Plan(rules=(Rule(action=Fault.DELAY),) * (MAX_RULES + 1)))


def test_a_corrupted_checksum_differs_and_nothing_else_does() -> None:
    assert corrupted_checksum(b'{"a":1,"checksum":4294967295}') == b'{"a":1,"checksum":0}'
    assert corrupted_checksum(b'{"checksum": 7,"b":[]}') == b'{"checksum": 8,"b":[]}'
    assert corrupted_checksum(b'{"a":1}') == b'{"a":1}'


async def test_a_plan_is_changed_and_its_log_read_while_the_gateway_runs() -> None:
    faults = FaultPlan()
    with tempfile.TemporaryDirectory() as folder:
        control = FaultControl(faults, Path(folder) / "control")
        await control.start()
        assert stat.S_IMODE(control.path.stat().st_mode) == 0o600
        reader, writer = await asyncio.open_unix_connection(control.path)

        async def ask(document: object) -> dict[str, object]:
            writer.write(json.dumps(document).encode() + b"\n")
            answer: dict[str, object] = json.loads(await asyncio.wait_for(reader.readline(), 20))
            return answer

        assert await ask({"plan": {"rules": [{"action": "rate_ban", "times": 1}]}}) == {
            "ok": True,
            "rules": 1,
        }
        assert [one.fault for one in faults.on_request("rest", "x")] == [Fault.RATE_BAN]
        answer = await ask({"log": 10})
        assert answer["counts"] == {"rate_ban": 1} and len(answer["done"]) == 1  # type: ignore[arg-type]
        assert (await ask({"plan": {"rules": [{"action": "explode"}]}}))["ok"] is False
        assert len(faults.plan.rules) == 1
        writer.close()
        await control.close()
        assert not control.path.exists()
