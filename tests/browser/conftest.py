"""A running platform and a browser for the console's tests. Skipped only where no Chromium is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A real Chromium. Its loop runs in this thread: it must be gone before an asynchronous test starts."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


class Running:
    """A platform in its own process."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{self.port}"
        script = Path(__file__).with_name("platform_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(self.port), str(data_dir), *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == "ready":
                return
        raise RuntimeError(f"the platform ended with {self.process.wait()}")

    def stop(self) -> int:
        """Orderly stop; the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=15)
        finally:
            self.process.kill()


@pytest.fixture
def platform(browser: object, tmp_path: Path) -> Iterator[Running]:
    """A platform of its own for every test that changes its state."""
    running = Running(tmp_path / "data")
    yield running
    running.stop()


@pytest.fixture
def forgiving_platform(browser: object, tmp_path: Path) -> Iterator[Running]:
    """A platform whose cool-down after a halt is over at once."""
    running = Running(tmp_path / "data", "0")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def shared_platform(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform for the tests that only look."""
    running = Running(tmp_path_factory.mktemp("console") / "data")
    yield running
    running.stop()
