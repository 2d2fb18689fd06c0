"""A paper campaign: honest hours, series of raw measurements, the checklist and its report (T15.7-T15.10)."""
