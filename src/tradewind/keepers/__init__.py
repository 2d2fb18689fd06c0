"""Workers that do what keepers and oracle sources do: liquidate, crank funding, watch triggers, publish
prices.

Safety never depends on them: SYSTEM performs every due action itself two seconds later (protocol P13.1).
"""
