"""Environments of third-party programs: made whole, once, and named when they cannot be made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import bootstrap

OVERRIDE = "TRADEWIND_TEST_PYTHON"


class Installer:
    """Stands for `run_logged`: notes every command, makes the interpreter, fails where it is told to."""

    def __init__(self, failing: str = "") -> None:
        self.failing, self.commands = failing, list[list[str]]()

    def __call__(self, command: list[str], what: str, env: dict[str, str] | None = None) -> None:
        self.commands.append(command)
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()
        if self.failing and self.failing in command:
            raise bootstrap.StepFailed(f"{what}: no such version")


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bootstrap.ClientEnvironment:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv(OVERRIDE, raising=False)
    pins = tmp_path / "pins.txt"
    pins.write_text("# what\none==1\n\ntwo==2\n")
    return bootstrap.ClientEnvironment(tmp_path / ".venv-one", pins, OVERRIDE)


def installed(monkeypatch: pytest.MonkeyPatch, failing: str = "") -> Installer:
    installer = Installer(failing)
    monkeypatch.setattr(bootstrap, "run_logged", installer)
    return installer


def test_an_environment_is_made_once_and_again_when_its_pins_change(
    wanted: bootstrap.ClientEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer = installed(monkeypatch)
    assert bootstrap.ensure_client_environment(wanted) == "installed 2 packages"
    commands = len(installer.commands)
    assert bootstrap.ensure_client_environment(wanted) == "2 packages are there"
    wanted.requirements.write_text(wanted.requirements.read_text() + "# a word more\n")
    assert bootstrap.ensure_client_environment(wanted) == "2 packages are there"
    assert len(installer.commands) == commands
    left = wanted.folder / "left"
    left.touch()
    wanted.requirements.write_text("one==1.1\n")
    assert bootstrap.ensure_client_environment(wanted) == "installed 1 packages"
    assert not left.exists()


@pytest.mark.parametrize("failing", ["venv", "install", "check"])
def test_a_failed_install_leaves_nothing_and_is_named(
    wanted: bootstrap.ClientEnvironment, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    installed(monkeypatch, failing)
    told = bootstrap.ensure_client_environment(wanted)
    assert told.startswith("MISSING .venv-one") and "no such version" in told
    assert not wanted.folder.exists()
    installed(monkeypatch)
    assert bootstrap.ensure_client_environment(wanted) == "installed 2 packages"


def test_in_continuous_integration_a_failed_install_is_a_failure(
    wanted: bootstrap.ClientEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    installed(monkeypatch, "install")
    with pytest.raises(bootstrap.StepFailed, match="no such version"):
        bootstrap.ensure_client_environment(wanted)
    assert not wanted.folder.exists()


def test_an_interpreter_that_is_named_is_taken_as_it_is(
    wanted: bootstrap.ClientEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer = installed(monkeypatch)
    monkeypatch.setenv(OVERRIDE, sys.executable)
    assert OVERRIDE in bootstrap.ensure_client_environment(wanted)
    assert installer.commands == [] and not wanted.folder.exists()


def test_only_the_tests_wait_for_these_environments() -> None:
    titles = {profile: [step.title for step in bootstrap.steps_of(profile)] for profile in bootstrap.PROFILES}
    for one in bootstrap.CLIENT_ENVIRONMENTS:
        assert one.requirements.is_file()
        assert [name for name, steps in titles.items() if any(one.folder.name in step for step in steps)] == [
            "test"
        ]


def test_make_test_makes_these_environments() -> None:
    makefile = (bootstrap.ROOT / "Makefile").read_text()
    assert "\ntest-python: test-tools\n" in makefile and "bootstrap.py test\n" in makefile


def test_ccxt_comes_in_the_pinned_version_without_its_pins_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "STAMPS", tmp_path / "stamps")
    monkeypatch.delenv("CI", raising=False)
    failing = installed(monkeypatch, failing="--no-deps")
    assert bootstrap.ensure_ccxt().startswith("MISSING")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(bootstrap.StepFailed):
        bootstrap.ensure_ccxt()
    assert len(failing.commands) == 4, "a failure leaves no stamp"
    installer = installed(monkeypatch)
    [pin] = [one for one in bootstrap.requirement_lines(bootstrap.CLIENTS / "clients.txt") if "ccxt" in one]
    assert bootstrap.ensure_ccxt() == f"installed {pin}"
    assert bootstrap.ensure_ccxt() == "is there"
    assert installer.commands[-1][-2:] == ["--no-deps", pin]
    assert len(installer.commands) == 2


def test_the_pinned_ccxt_is_one_that_the_extra_allows() -> None:
    text = (bootstrap.ROOT / "pyproject.toml").read_text()
    [pin] = [one for one in bootstrap.requirement_lines(bootstrap.CLIENTS / "clients.txt") if "ccxt" in one]
    version = tuple(map(int, pin.partition("==")[2].split(".")))
    assert 'ccxt = ["ccxt>=4.5.90,<5"]' in text
    assert (4, 5, 90) <= version < (5,)
