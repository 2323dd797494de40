"""Writing completions: the decode loop, where a completion stops, and the strategies that choose tokens.

`strategies` has a class for each strategy. They write by `candidates`, which joins the loop (`decode`) with where a
completion ends (`stopping`).
"""
