"""Back-tests (T14.7, T14.8): the paper trader on a virtual clock over recorded data, measured honestly."""
