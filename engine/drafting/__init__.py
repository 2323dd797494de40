"""Speculative decoding: guesses of the next tokens, which one forward pass verifies.

A guess changes how many passes a completion takes. It changes the completion only where the arithmetic of a wide pass
and of a single step differ, as they do with quantised weights on a CPU, and two tokens are nearly level.
"""
