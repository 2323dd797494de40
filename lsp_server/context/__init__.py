"""What the model sees in addition to the document: passages of other open documents, ranked by relevance.

Runs on the model's thread.
"""
