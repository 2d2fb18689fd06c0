"""Programs that run in the interpreter of a peer and import nothing of this package."""
