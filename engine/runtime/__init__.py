"""Running the graph: onnxruntime sessions, key/value buffers, and the cache of tokens that were read already.

`token_cache` is the one door: token ids in, rows of logits out. onnxruntime is imported by ``ort`` alone.
"""
