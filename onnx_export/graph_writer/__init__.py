"""Our own writer of decoder graphs: sizes and weights in, `model.onnx` with its data file out. numpy and onnx only."""
