"""Other venues through ccxt, an optional library: `pip install 'tradewind[ccxt]'`. Nothing here imports it
early.
"""
