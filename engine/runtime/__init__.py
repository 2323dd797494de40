"""Running the graph: onnxruntime sessions, key/value buffers, and the cache of tokens that were already read.

`token_cache` is the only way in: it takes token ids and returns rows of logits. Only ``ort`` imports onnxruntime.
"""
