"""Imports that stay for the life of the process, kept out of Python's garbage collection.

The modules of the server make some 80,000 objects. A full collection looks at each of them. That takes around 100 ms
on a slow processor, and nobody is served meanwhile. So no full collection runs while they are imported, and later ones
pass over them (`gc.freeze`). Collections of young objects do run: attrs makes a class with slots twice, and the first
one is garbage.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NEVER = 1_000_000
"""A full collection comes after so many of the middle generation. No import reaches that."""


@contextmanager
def lasting_imports(module: str) -> Iterator[None]:
    """Import ``module`` in this block. Later collections pass over all objects that exist when the block ends.

    If the module is already imported, the block changes nothing. Otherwise a process that calls this often, as tests
    do, would keep its garbage.
    """
    if module in sys.modules:
        yield
        return
    young, middle, full = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    try:
        yield
        gc.freeze()
    finally:
        gc.set_threshold(young, middle, full)
