"""The watchdog: a process of its own that cancels when the trading core is silent (T8.3)."""
