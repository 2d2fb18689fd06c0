"""Views built from batches alone: they can be dropped and rebuilt from the log at any time, and risk never
reads them.
"""
