"""Runbook pages run as they stand: what is not one command of ours, or shows too little, did not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.readiness.runbooks import BadRunbook, Step, filled, steps_of, take

ROOT = Path(__file__).parents[2]


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text)
    return path


def test_every_runbook_with_steps_can_be_read_by_the_machine() -> None:
    pages = [one for one in (ROOT / "docs" / "runbooks").glob("*.md") if "```sh step=" in one.read_text()]
    assert pages
    for one in pages:
        assert steps_of(one)


@pytest.mark.parametrize(
    "text",
    [
        "no step at all",
        "```sh step=a\ntradewind status\n```",
        "```sh step=a exit=0\nrm -rf /\n```",
        "```sh step=a exit=0\ntradewind status\ntradewind halt\n```",
        "```sh step=a exit=0\n```",
        "```sh step=a exit=0\ntradewind status\n```\n```sh step=a exit=0\ntradewind status\n```",
    ],
)
def test_a_step_that_is_not_one_command_of_ours_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadRunbook):
        steps_of(page(tmp_path, text))


def test_words_and_names_of_a_step_are_read(tmp_path: Path) -> None:
    text = (
        '```sh step=look-twice exit=1 shows="a b","\\"x\\"","{key}"\ntradewind keys list --data {data}\n```\n'
    )
    [step] = steps_of(page(tmp_path, text))
    assert step == Step(
        name="look-twice", command="tradewind keys list --data {data}", exit=1, shows=("a b", '"x"', "{key}")
    )
    assert filled(step.command, {"data": "/x y"}) == "tradewind keys list --data /x y"
    with pytest.raises(BadRunbook, match="data"):
        filled(step.command, {})


@pytest.mark.parametrize(
    ("exit_status", "shows", "passed"),
    [(0, ("keys",), True), (1, ("keys",), False), (0, ("nothing",), False)],
)
def test_a_step_passes_by_exit_status_and_words(
    exit_status: int, shows: tuple[str, ...], passed: bool, tmp_path: Path
) -> None:
    step = Step(name="a", command="tradewind keys list --data {data} --json", exit=exit_status, shows=shows)
    assert take(step, {"data": str(tmp_path)}).passed is passed
