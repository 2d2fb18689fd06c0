#!/usr/bin/env python3
"""Applies every listed mutation to a copy of the engine and asks whether a test turns red.

    python3 tools/mutations/run.py                     all lists
    python3 tools/mutations/run.py --list              what they hold, without building
    python3 tools/mutations/run.py --only B2a          entries whose id contains this
    python3 tools/mutations/run.py --json              one object on standard output
    python3 tools/mutations/run.py --table docs/mutations.md   writes the result into the page's table

Answers: caught (and by which tests), survived, does not compile, text not found.
Exit status: 0 every mutation was caught, 1 one was not, 2 a list or the unchanged engine is at fault.
Only the standard library is used.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from schemata import SWITCH, ListError, Mutation, load, replaced, woven

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "mutations"
ENGINE = "crates/engine/src"
COPIED = ("crates", "Cargo.toml", "Cargo.lock")
TEST_TIMEOUT_S = 60
BUILD_TIMEOUT_S = 1_500
# Builds that leave out what does not compile, before the rest is given up.
BUILD_ROUNDS = 5
ERROR_PLACE = re.compile(r"^\s*--> (\S+?\.rs):(\d+):\d+$", re.MULTILINE)
EXECUTABLE = re.compile(r"Executable (unittests )?\S+ \((\S+)\)")
FAILED_TEST = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. FAILED$", re.MULTILINE)
COUNT = re.compile(r"^running (\d+) tests?$", re.MULTILINE)
TABLE_MARK = "<!-- results: written by tools/mutations/run.py --table -->"


class EngineError(Exception):
    """The engine does not build, or its tests fail, without any mutation."""


@dataclass(frozen=True)
class Outcome:
    mutation: Mutation
    answer: str
    tests: tuple[str, ...] = ()
    seconds: float = 0.0


class Copy:
    """The copy of the workspace that mutations are made in."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "CARGO_TARGET_DIR": str(target),
            "CARGO_PROFILE_DEV_DEBUG": "0",
            "CARGO_TERM_COLOR": "never",
            "RUSTFLAGS": "--cap-lints=warn",
            "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "true",
            "PROPTEST_MAX_SHRINK_ITERS": "0",
        }

    def refresh(self, changed: dict[str, str]) -> None:
        """Makes the copy equal to the workspace but for these files. Untouched files keep their times."""
        wanted = {
            path.relative_to(ROOT).as_posix(): path
            for name in COPIED
            for path in ([ROOT / name] if (ROOT / name).is_file() else sorted((ROOT / name).rglob("*")))
            if path.is_file()
        }
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.relative_to(self.folder).as_posix() not in wanted:
                path.unlink()
        for name, source in wanted.items():
            content = changed[name].encode() if name in changed else source.read_bytes()
            place = self.folder / name
            if not place.exists() or place.read_bytes() != content:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)

    def build(self) -> tuple[dict[str, Path], str]:
        """Test programs by suite, or none and what the compiler said."""
        command = ["cargo", "test", "--package", "tradewind-engine", "--lib", "--test", "engine", "--no-run"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            return {}, done.stderr
        found = EXECUTABLE.findall(done.stderr)
        return {"lib" if unit else "engine": Path(path) for unit, path in found}, ""

    def test(self, program: Path, filters: Sequence[str], number: int) -> subprocess.CompletedProcess[str]:
        """Runs the tests whose names contain one of the filters, all of them without any."""
        return subprocess.run(
            [str(program), "--test-threads", "1", *filters],
            cwd=self.folder / "crates" / "engine",
            env={**self.environment, "TRADEWIND_MUTANT": str(number)},
            capture_output=True,
            text=True,
            timeout=TEST_TIMEOUT_S,
            check=False,
        )


def filters_of(mutation: Mutation) -> dict[str, list[str]]:
    """Test filters by suite."""
    found: dict[str, list[str]] = {}
    for test in mutation.tests:
        suite, _, name = test.partition(":")
        found.setdefault(suite, []).append(name)
    return found


def judged(copy: Copy, programs: dict[str, Path], mutation: Mutation, number: int) -> Outcome:
    """Runs the tests of one mutation that is built in."""
    started, red = time.monotonic(), []
    for suite, filters in filters_of(mutation).items():
        try:
            done = copy.test(programs[suite], filters, number)
        except subprocess.TimeoutExpired:
            # A test that never ends is as red as one that fails.
            red.append(f"{suite}: did not end within {TEST_TIMEOUT_S} s")
            continue
        if done.returncode != 0:
            names = FAILED_TEST.findall(done.stdout)
            red += [f"{suite}:{name}" for name in names] or [f"{suite}: ended with {done.returncode}"]
    answer = "caught" if red else "survived"
    return Outcome(mutation, answer, tuple(red), time.monotonic() - started)


def check_filters(copy: Copy, programs: dict[str, Path], mutations: Sequence[Mutation]) -> None:
    """Every filter selects a test, and without a mutation all of them pass."""
    chosen = {
        (suite, name) for entry in mutations for suite, names in filters_of(entry).items() for name in names
    }
    for suite, name in sorted(chosen):
        done = copy.test(programs[suite], [name], 0)
        if done.returncode != 0:
            raise EngineError(f"{suite}:{name} fails without a mutation: {FAILED_TEST.findall(done.stdout)}")
        if not any(int(count) for count in COUNT.findall(done.stdout)):
            raise EngineError(f"the filter {suite}:{name} selects no test")


def sources_of(mutations: Sequence[Mutation]) -> dict[str, list[Mutation]]:
    by_file: dict[str, list[Mutation]] = {}
    for mutation in mutations:
        by_file.setdefault(mutation.file, []).append(mutation)
    return by_file


def woven_files(mutations: Sequence[Mutation]) -> tuple[dict[str, str], dict[str, dict[int, set[int]]]]:
    """Contents of the files that hold mutations, with the switch, and their numbers by file and line."""
    changed, lines = {}, {}
    for name, members in sources_of(mutations).items():
        changed[name], lines[name] = woven((ROOT / name).read_text(encoding="utf-8"), members)
    root = f"{ENGINE}/lib.rs"
    changed[root] = changed.get(root, (ROOT / root).read_text(encoding="utf-8")) + SWITCH
    return changed, lines


def run_together(copy: Copy, mutations: list[Mutation], jobs: int) -> list[Outcome]:
    """One build for all; what the compiler refuses is left out and reported."""
    outcomes: list[Outcome] = []
    left = list(mutations)
    for _ in range(BUILD_ROUNDS):
        changed, lines = woven_files(left)
        copy.refresh(changed)
        programs, said = copy.build()
        if programs:
            break
        # A warning is no reason to leave something out: only what the compiler says under "error".
        errors = "\n".join(block for block in said.split("\n\n") if block.startswith("error"))
        places = [(name, int(line)) for name, line in ERROR_PLACE.findall(errors)]
        guilty = {number for name, line in places for number in lines.get(name, {}).get(line, set())}
        if not guilty:
            raise EngineError(said[-4_000:])
        for mutation in [one for one in left if one.number in guilty]:
            progress(f"{mutation.id} does not compile")
            outcomes.append(Outcome(mutation, "does not compile"))
        if os.environ.get("TRADEWIND_MUTATIONS_VERBOSE"):
            progress(said[-8_000:])
        left = [one for one in left if one.number not in guilty]
    else:
        raise EngineError(f"does not compile after {BUILD_ROUNDS} rounds")
    check_filters(copy, programs, left)
    with ThreadPoolExecutor(jobs) as pool:
        for outcome in pool.map(lambda one: judged(copy, programs, one, one.number), left):
            report(outcome)
            outcomes.append(outcome)
    return outcomes


def run_alone(copy: Copy, mutation: Mutation) -> Outcome:
    """A build of its own."""
    source = (ROOT / mutation.file).read_text(encoding="utf-8")
    copy.refresh({mutation.file: replaced(source, mutation)})
    programs, _ = copy.build()
    outcome = judged(copy, programs, mutation, 0) if programs else Outcome(mutation, "does not compile")
    report(outcome)
    return outcome


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def report(outcome: Outcome) -> None:
    by = f" by {outcome.tests[0]}" if outcome.tests else ""
    more = f" and {len(outcome.tests) - 1} more" if len(outcome.tests) > 1 else ""
    progress(f"{outcome.answer:>16}  {outcome.mutation.id}{by}{more}")


def write_table(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Puts the outcomes behind the mark of the page, in place of what stands there."""
    head, mark, _ = path.read_text(encoding="utf-8").partition(TABLE_MARK)
    if not mark:
        raise ListError(f"{path} has no line {TABLE_MARK}")
    caught = sum(outcome.answer == "caught" for outcome in outcomes)
    lines = ["", "", f"{caught} of {len(outcomes)} caught.", "", "| id | rule | caught by |", "|---|---|---|"]
    for outcome in outcomes:
        names = [f"`{name}`" for name in outcome.tests[:2]]
        if len(outcome.tests) > 2:
            names.append(f"{len(outcome.tests) - 2} more")
        by = ", ".join(names) if outcome.answer == "caught" else f"**{outcome.answer}**"
        rule = outcome.mutation.rule.replace("|", "\\|")
        lines.append(f"| {outcome.mutation.id} | {rule} | {by} |")
    path.write_text(head + mark + "\n".join(lines) + "\n", encoding="utf-8")


def as_json(outcomes: Sequence[Outcome]) -> str:
    rows = [
        {
            "id": outcome.mutation.id,
            "rule": outcome.mutation.rule,
            "file": outcome.mutation.file,
            "answer": outcome.answer,
            "tests": list(outcome.tests),
            "seconds": round(outcome.seconds, 2),
        }
        for outcome in outcomes
    ]
    caught = sum(outcome.answer == "caught" for outcome in outcomes)
    return json.dumps({"mutations": len(rows), "caught": caught, "outcomes": rows}, indent=1)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lists", nargs="*", type=Path, help="lists to run (default: all beside this file)")
    parser.add_argument("--only", default=[], action="append", metavar="TEXT", help="ids that contain this")
    parser.add_argument("--list", action="store_true", help="print the entries and check their texts")
    parser.add_argument("--json", action="store_true", help="the outcome as one JSON object")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the outcomes into this page")
    parser.add_argument("--target-dir", type=Path, default=WORK / "build", help="cargo's folder for builds")
    parser.add_argument("--copy", type=Path, default=WORK / "source", help="where the copy is made")
    parser.add_argument("--jobs", type=int, default=2, help="mutations whose tests run at the same time")
    return parser.parse_args(arguments)


def stale(mutations: Sequence[Mutation]) -> list[str]:
    """What the lists name and the sources do not hold exactly once."""
    found = []
    for mutation in mutations:
        path = ROOT / mutation.file
        try:
            mutation.span(path.read_text(encoding="utf-8") if path.is_file() else "")
        except ListError as error:
            found.append(f"text not found: {error}")
    return found


def main(arguments: Sequence[str]) -> int:
    given = options(arguments)
    try:
        mutations = load(given.lists or sorted(HERE.glob("*.toml")))
    except ListError as error:
        progress(str(error))
        return 2
    chosen = [m for m in mutations if not given.only or any(text in m.id for text in given.only)]
    if given.list:
        for mutation in chosen:
            print(f"{mutation.id:<58} {mutation.rule}")
    if missing := stale(chosen):
        progress("\n".join(missing))
        return 2
    if given.list:
        return 0
    copy = Copy(given.copy, given.target_dir.absolute())
    try:
        together = [mutation for mutation in chosen if mutation.form != "text"]
        outcomes = run_together(copy, together, given.jobs) if together else []
        outcomes += [run_alone(copy, mutation) for mutation in chosen if mutation.form == "text"]
    except (EngineError, ListError) as error:
        progress(str(error))
        return 2
    order = {mutation.id: at for at, mutation in enumerate(chosen)}
    outcomes.sort(key=lambda outcome: order[outcome.mutation.id])
    if given.table:
        write_table(given.table, outcomes)
    if given.json:
        print(as_json(outcomes))
    missed = [outcome for outcome in outcomes if outcome.answer != "caught"]
    progress(f"{len(outcomes) - len(missed)} of {len(outcomes)} mutations caught")
    for outcome in missed:
        progress(f"{outcome.answer:>16}  {outcome.mutation.id}: {outcome.mutation.rule}")
    return 1 if missed or not outcomes else 0


if __name__ == "__main__":
    if shutil.which("cargo") is None:
        sys.exit("cargo is needed: run `make dev` first")
    sys.exit(main(sys.argv[1:]))
