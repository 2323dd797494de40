"""One completion: from a place in a document to the engine's request, and from its answer to items of the protocol.

`answer` is the way through; `prompt` builds the request, `items` the answer.
"""
