"""Text and tokens: the vocabulary, the tokenizer, and where a text can be cut without changing its tokens.

Works in bytes throughout. Reads the tokenizer's own split rules; knows nothing of the model.
"""
