"""One completion: from a place in a document to the engine's request, and from its answer to items of the protocol.

`answer` handles a request from start to end. `prompt` builds the engine's request, `items` builds the protocol's
answer.
"""
