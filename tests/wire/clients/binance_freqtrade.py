"""Starts freqtrade, unmodified and trading for real (dry_run false), against a Binance gateway.

Runs until it has closed WANTED trades, stops it with SIGINT as an operator would, and prints what its own
database says. Environment: URL, SOCKET_URL, KEY, SECRET, FOLDER, WANTED, LIMIT_S.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import ccxt.pro

FOLDER = Path(os.environ["FOLDER"])
HERE = Path(__file__).parent
WANTED, LIMIT_S = int(os.environ["WANTED"]), float(os.environ["LIMIT_S"])
STOP_S = 90


def replaced(urls: dict) -> dict:
    """The client's own addresses with another host."""
    found = {}
    for name, url in urls.items():
        if isinstance(url, dict):
            found[name] = replaced(url)
        elif isinstance(url, str):
            base = os.environ["SOCKET_URL"] if url.startswith("ws") else os.environ["URL"]
            found[name] = base + "/" + url.split("/", 3)[3]
    return found


urls = {"urls": {"api": replaced(ccxt.pro.binance().urls["api"])}}
config = {
    "dry_run": False,
    "trading_mode": "spot",
    "stake_currency": "USDT",
    "stake_amount": 500,
    "max_open_trades": 1,
    "timeframe": "1m",
    "fiat_display_currency": "",
    "db_url": f"sqlite:///{FOLDER}/trades.sqlite",
    "cancel_open_orders_on_exit": True,
    "entry_pricing": {
        "price_side": "other",
        "use_order_book": True,
        "order_book_top": 1,
        "check_depth_of_market": {"enabled": False},
    },
    "exit_pricing": {"price_side": "other", "use_order_book": True, "order_book_top": 1},
    "unfilledtimeout": {"entry": 1, "exit": 1, "unit": "minutes"},
    "exchange": {
        "name": "binance",
        "key": os.environ["KEY"],
        "secret": os.environ["SECRET"],
        "pair_whitelist": ["BTC/USDT"],
        "pair_blacklist": [],
        "ccxt_config": urls,
        "ccxt_async_config": urls,
    },
    "pairlists": [{"method": "StaticPairList"}],
    "strategy": "Always",
    "strategy_path": str(HERE),
    "user_data_dir": str(FOLDER),
    "internals": {"process_throttle_secs": 1},
    "initial_state": "running",
}


def rows(query: str) -> list:
    try:
        with sqlite3.connect(f"file:{FOLDER}/trades.sqlite?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


(FOLDER / "config.json").write_text(json.dumps(config))
log = (FOLDER / "freqtrade.log").open("wb")
bot = subprocess.Popen(
    [sys.executable, "-m", "freqtrade", "trade", "--config", str(FOLDER / "config.json")],
    stdout=log,
    stderr=subprocess.STDOUT,
    cwd=FOLDER,
)
deadline = time.monotonic() + LIMIT_S
try:
    while time.monotonic() < deadline and bot.poll() is None:
        closed = rows("select count(*) from trades where is_open = 0 and close_profit is not null")
        if closed and closed[0][0] >= WANTED:
            break
        time.sleep(0.5)
    # the signal may interrupt the bot in its own database too: what it complains of then is not ours
    complaints = (FOLDER / "freqtrade.log").read_text(errors="replace")
    bot.send_signal(signal.SIGINT)
    bot.wait(STOP_S)
finally:
    if bot.poll() is None:
        bot.kill()
trades = rows("select id, is_open, open_rate, close_rate, amount, close_profit_abs from trades")
orders = rows("select order_id, status, ft_order_side, filled, average from orders")
text = (FOLDER / "freqtrade.log").read_text(errors="replace")
problems = [line for line in complaints.splitlines() if " - ERROR - " in line or "Traceback" in line]
print(json.dumps({"trades": trades, "orders": orders, "problems": problems, "code": bot.returncode}))
if len([trade for trade in trades if not trade[1]]) < WANTED:
    print(text[-6_000:])
    sys.exit(1)
