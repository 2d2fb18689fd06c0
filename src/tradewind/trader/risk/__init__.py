"""Pre-trade risk: the one module through which every order of every path passes (T11)."""
