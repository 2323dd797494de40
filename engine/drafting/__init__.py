"""Speculative decoding: guesses of the next tokens, which one forward pass verifies.

A guess changes how many passes a completion takes. It changes the completion itself only if the arithmetic of a pass
over several tokens differs from that of single steps, as it does with quantised weights on a CPU, and two tokens are
almost equally probable.
"""
