"""The HTTP API: commands in, views out, on loopback, behind a bearer token. Plus the assembly of a whole
platform.
"""
