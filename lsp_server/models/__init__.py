"""Models that can be used here: bundled, added to our own store, and found where other programs keep theirs.

Nothing in this room uses a network. What others keep is read only, and never followed out of their folders.
"""
