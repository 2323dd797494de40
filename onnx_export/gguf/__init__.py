"""Reading GGUF files: header, blocks of weights, tokenizer. Nothing here imports torch or trusts the file."""
