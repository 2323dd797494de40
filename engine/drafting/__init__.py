"""Speculative decoding: guesses of the next tokens, which one forward pass verifies.

A guess changes no completion, only how many passes it takes.
"""
