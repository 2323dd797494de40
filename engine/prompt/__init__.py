"""From document text to a prompt: windows around the cursor, the fill-in-the-middle template, what else is shown.

The partial token (the tail) always ends a prompt.
"""
