"""The measurements behind performance claims. Each benchmark prints a table and ratios against a peer, and never
asserts times.
"""
