"""What the model sees besides the document: passages of other open documents, ranked by relevance.

Runs on the model's thread.
"""
