"""The completion engine: token healing over ONNX code models. Knows nothing of editors and never imports torch."""
