import pytest

from onnx_export.train.precision import bfloat16_pays, lists_bfloat16


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16 sse\n", True),
        ("processor\t: 0\nflags\t\t: fpu amx_bf16\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f\nbugs\t: bf16\n", False),
        ("", False),
    ],
)
def test_instructions_are_looked_up(text: str, expected: bool) -> None:
    assert lists_bfloat16(text) is expected


def test_a_gpu_has_them() -> None:
    assert bfloat16_pays("cuda")
