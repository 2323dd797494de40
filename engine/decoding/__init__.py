"""Writing completions: the decode loop, where a completion stops, and the strategies that choose tokens.

`stopping` decides where a completion ends. `candidates` joins it with `decode`, the loop.
"""
