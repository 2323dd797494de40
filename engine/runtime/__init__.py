"""Running the graph: onnxruntime sessions, key/value buffers, and the cache of tokens that were read already.

`token_cache` is the only way in: it takes token ids and returns rows of logits. onnxruntime is imported by ``ort``
alone.
"""
