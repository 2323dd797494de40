"""Open documents as frozen values: text, changes, positions, line endings, notebooks.

`positions` alone converts between an editor's positions and offsets of the text.
"""
