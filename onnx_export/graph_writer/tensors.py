"""Which tensors a decoder has, by GGUF's names, and the shapes that they may have."""

from collections.abc import Mapping

from onnx_export.graph_writer.decoder import Decoder

Shape = tuple[int, ...]
Shapes = tuple[Shape, *tuple[Shape | None, ...]]
"""The allowed shapes of a tensor; None among them means that it may be missing."""


def expected_tensors(decoder: Decoder, found: Mapping[str, tuple[int, ...]]) -> Mapping[str, Shapes]:
    """Every tensor that a decoder may have, with its allowed shapes.

    ``found`` has the shapes of the existing tensors. They give what the decoder does not: the rows of the vocabulary,
    the inner width, and whether some matrices are joined.
    """
    width = decoder.width
    query, keys = decoder.heads * decoder.head_size, decoder.key_value_heads * decoder.head_size
    rows = found.get("token_embd.weight", (0,))[0]
    expected: dict[str, Shapes] = {
        "token_embd.weight": ((rows, width),),
        "output.weight": ((rows, width), None),
        "output.bias": ((rows,), None),
        "output_norm.weight": ((width,),),
        "output_norm.bias": ((width,), None),
    }
    for layer in range(len(decoder.layers)):
        block = f"blk.{layer}"
        fused = f"{block}.attn_qkv.weight" in found
        parts: dict[str, Shapes] = {"attn_qkv": ((query + 2 * keys, width),)} if fused else {
            "attn_q": ((query, width),), "attn_k": ((keys, width),), "attn_v": ((keys, width),)
        }  # fmt: skip
        inner = found.get(f"{block}.ffn_up.weight", (0,))[0]
        gated = f"{block}.ffn_gate.weight" in found
        parts |= {
            "attn_output": ((width, query),),
            "ffn_up": ((inner, width),),
            "ffn_down": ((width, inner),) if gated else ((width, inner), (width, inner // 2)),
            **({"ffn_gate": ((inner, width),)} if gated else {}),
        }
        for name, shapes in parts.items():
            expected[f"{block}.{name}.weight"] = shapes
            expected[f"{block}.{name}.bias"] = ((shapes[0][0],), None)
        for name, length in (
            ("attn_norm", width),
            ("ffn_norm", width),
            ("post_attention_norm", width),
            ("post_ffw_norm", width),
        ):
            needed = name == "attn_norm" or (name == "ffn_norm" and not decoder.parallel)
            expected[f"{block}.{name}.weight"] = ((length,),) if needed else ((length,), None)
            expected[f"{block}.{name}.bias"] = ((length,), None)
        for name, heads in (("attn_q_norm", decoder.heads), ("attn_k_norm", decoder.key_value_heads)):
            # One norm for all heads, or one for each (StableLM 12B).
            expected[f"{block}.{name}.weight"] = ((decoder.head_size,), (heads, decoder.head_size), None)
            if len(found.get(f"{block}.{name}.weight", ())) == 1:
                expected[f"{block}.{name}.bias"] = ((decoder.head_size,), None)
    return expected
