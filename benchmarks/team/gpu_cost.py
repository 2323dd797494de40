"""What a forward pass of a model of 7 billion parameters takes on a GPU, as arithmetic.

The model has the sizes of Qwen2.5-Coder-7B (its published ``config.json``): 7.6e9 parameters in bfloat16, 28 layers,
4 heads of keys and values with 128 numbers each. The GPU is an H100 SXM (NVIDIA's data sheet): 3.35 TB/s from its
memory, 989 TFLOP/s in bfloat16 without sparsity, 80 GB.

- Weights: 15.2 GB are read once for each pass. At 70 % of the data sheet's rate that takes 15.2 / 2,345 s = 6.5 ms.
- Tokens: 2 FLOP for each parameter, 15.2 GFLOP. At 40 % of the data sheet's rate, which dense code reaches, a token
  takes 15.2 / 395,600 s = 38 microseconds. A pass takes the longer one of the two: up to 169 tokens are free.
- Keys and values: 2 x 28 x 4 x 128 x 2 bytes = 57 kB for each position, read by each row: 1,500 positions are 86 MB or
  37 microseconds a row.
- 0.3 ms to start the kernels, if they are recorded as a CUDA graph.
- Room: 80 GB less 10 % and the weights are 57 GB, or a million positions: 660 documents of 1,500.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuCost:
    """The cost of a pass: seconds, bytes, and FLOP a second."""

    parameters: float = 7.6e9
    position_bytes: float = 2 * 28 * 4 * 128 * 2
    bytes_per_s: float = 0.7 * 3.35e12
    flop_per_s: float = 0.4 * 989e12
    start_s: float = 0.0003
    memory_bytes: float = 80e9

    def pass_s(self, tokens: int, positions: int) -> float:
        """Seconds of a pass that reads or writes ``tokens`` tokens, whose rows have ``positions`` positions in all."""
        reading_s = 2 * self.parameters / self.bytes_per_s
        computing_s = tokens * 2 * self.parameters / self.flop_per_s
        return self.start_s + max(reading_s, computing_s) + positions * self.position_bytes / self.bytes_per_s

    def documents(self, positions: int) -> int:
        """How many documents of ``positions`` positions have room for their keys and values."""
        return int((0.9 * self.memory_bytes - 2 * self.parameters) / (positions * self.position_bytes))
