"""Public history of venues: fetched in whole days, resumable, every file in a manifest with its SHA-256."""
