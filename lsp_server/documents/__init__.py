"""Open documents as frozen values: text, changes, positions, line endings, notebooks.

Only `positions` converts between an editor's positions and offsets of the text.
"""
