"""What a model folder holds: the manifest, its checks against graph and tokenizer, folders of other exporters.

A folder is data. Nothing here runs a graph or imports onnxruntime.
"""
