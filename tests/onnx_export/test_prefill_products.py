import pytest

from benchmarks.prefill_products import KINDS, MODELS, NOW, Shape, Sizes, errors, main, products, random_layer, report
from engine.runtime.ort import ort


def test_each_kind_computes_the_product():
    found = {name: even for name, even, _ in errors(Shape("up", 64, 96), threads=1)}
    assert found.keys() == KINDS.keys()
    for name, error in found.items():
        if KINDS[name].exact:
            assert error < (0.2 if "4 bits" in name else 0.03 if KINDS[name].integers is None else 1e-9), name


def test_the_table_has_every_kind_and_each_number_of_rows():
    made = report(Sizes(layers=2, width=64, inner=96, keys=32), rows=(1, 5), rounds=1, threads=1)
    rates, bounds, found = made.tables
    assert [row[0] for row in rates.rows] == [row[0] for row in bounds.rows] == [row[0] for row in found.rows]
    assert len(rates.rows) == len(KINDS)
    assert all(isinstance(rate, float) and rate > 0 for row in rates.rows for rate in row[1:])
    assert len(made.ratios) == 2 * (len(KINDS) - 1)


def test_a_kind_that_onnxruntime_lacks_is_left_out_and_told(monkeypatch, capsys):
    opened = ort.InferenceSession

    def some(model, *arguments, **options):
        if b"DynamicQuantizeMatMul" in model:
            raise RuntimeError("no kernel\nand more")
        return opened(model, *arguments, **options)

    monkeypatch.setattr(ort, "InferenceSession", some)
    found = products(Shape("up", 64, 32), threads=1)
    assert "DynamicQuantizeMatMul" not in found
    assert NOW in found
    assert "DynamicQuantizeMatMul: no kernel\n" in capsys.readouterr().err


def test_inputs_are_those_of_the_shape_and_always_the_same():
    shape = MODELS["qwen-0.5b"].shapes[0]
    values, weights = random_layer(shape, 3)
    assert values.shape == (3, 896)
    assert weights.shape == (896, 1152)
    assert (random_layer(shape, 3)[0] == values).all()


def test_the_command_prints_a_report(capsys, monkeypatch):
    monkeypatch.setitem(MODELS, "qwen-0.5b", Sizes(1, 64, 96, 32))
    assert main(["--rows", "2", "--rounds", "1", "--threads", "1"]) == 0
    assert "tokens a second, if nothing but these products took time" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--model", "unknown"])
