"""The recipe of the bundled model: corpus, tokenizer, fill-in-the-middle samples, model and training loop."""
