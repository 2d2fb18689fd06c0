"""Ways to stop the trader that do not need its core: the kill order in a file, and a venue's own cancel."""
