"""Feeds: live, recorded or generated market data behind one small protocol (`base.Feed`)."""
