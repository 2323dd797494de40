"""Imports that stay for the life of the process, kept out of Python's garbage collection.

The modules of the server make some 80,000 objects. A full collection looks at each of them, which takes 50 to 100 ms,
and neither the editor nor the model is served meanwhile. So none runs while they are imported, and later ones pass them
over (`gc.freeze`). Collections of young objects do run: a class with slots is made twice, and the first one is garbage.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NEVER = 1_000_000
"""So many collections of the middle generation are not reached by any import."""


@contextmanager
def lasting_imports(module: str) -> Iterator[None]:
    """Import ``module`` in this block: what there is when it ends is not looked at by later collections.

    If the module was imported before, nothing changes, so a process that asks again and again (as tests do) does not
    keep its garbage.
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
