"""From document text to a prompt: windows around the cursor, the fill-in-the-middle template, and extra context.

The partial token (the tail) always ends a prompt.
"""
