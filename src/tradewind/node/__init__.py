"""The node: one writer that sequences, commits and publishes; projections that follow the log."""
