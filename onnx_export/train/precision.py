"""Whether matrix products in bfloat16 are faster. On a processor without instructions for them they are several times
slower.
"""

import re
from functools import cache
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
_WITH_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@cache
def bfloat16_pays(device: str) -> bool:
    """True on a GPU, and on a processor for which Linux lists such instructions (x86 or Arm); otherwise false."""
    if device != "cpu":
        return True
    try:
        text = CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return lists_bfloat16(text)


def lists_bfloat16(cpu_info: str) -> bool:
    """Whether the text of /proc/cpuinfo lists instructions for bfloat16."""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", cpu_info, re.MULTILINE)
    return found is not None and not _WITH_BFLOAT16.isdisjoint(found[1].split())
