from hypothesis import given
from hypothesis import strategies as st

from lsp_server.documents.notebooks import Cell, Notebook, Notebooks

names = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


def notebook(*names: str, uri: str = "n") -> Notebook:
    return Notebook(uri, tuple(Cell(name, name.islower()) for name in names))


@given(names, st.integers(0, 12), st.integers(0, 12), names)
def test_splicing_is_that_of_a_list(cells, start, count, new):
    expected = list(cells)
    expected[start : start + count] = new
    spliced = notebook(*cells).splice(start, count, notebook(*new).cells)
    assert [cell.uri for cell in spliced.cells] == expected


def test_only_code_is_around():
    made = notebook("a", "B", "c", "d", "E", "f")
    assert made.code_around("c") == (("a",), ("d", "f"))
    assert made.update([Cell("B", True)]).code_around("c") == (("a", "B"), ("d", "f"))
    assert made.code_around("elsewhere") == (("a", "c", "d", "f"), ())


def test_cells_are_found_by_their_notebook_as_it_is_now():
    notebooks = Notebooks()
    notebooks.put(notebook("a", "b"))
    notebooks.put(notebook("b", "c"))
    notebooks.put(notebook("x", uri="m"))
    assert notebooks.of_cell("a") is None
    assert notebooks.of_cell("b") == notebook("b", "c")
    assert notebooks.remove("n") == notebook("b", "c")
    assert notebooks.remove("n") is None
    assert notebooks.of_cell("b") is None
    assert notebooks.of_cell("x") is not None
