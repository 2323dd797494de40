"""What the code at the cursor says: open brackets and strings, one line or a block, how sure a completion must be.

Pure functions of text.
"""
