"""Processor time of the service's processes by what they do: unlike waiting times, other work on the machine hardly
changes it.
"""

from collections import Counter
from collections.abc import Mapping

import psutil

ROLES = {"ProxyActor": "proxy", "HAProxy": "proxy", ":ingress": "ingress", ":model": "replica"}
OTHERS = "rest of Ray"


def role_of(title: str) -> str:
    """What a process of Ray does, by its title or name; empty for any other process."""
    for part, role in ROLES.items():
        if title.startswith("ray::") and part in title:
            return role
    return OTHERS if title.startswith(("ray::", "raylet", "gcs_server")) else ""


def processor_s() -> Mapping[str, float]:
    """Seconds that the processes of each role have used so far; `psutil` says what of this machine it may see."""
    used = Counter[str]()
    for process in psutil.process_iter(("name", "cmdline", "cpu_times")):
        info = process.info
        title = (info["cmdline"] or [""])[0] or ""
        role = role_of(title if title.startswith("ray::") else info["name"] or "")
        if role and info["cpu_times"] is not None:
            used[role] += info["cpu_times"].user + info["cpu_times"].system
    return used
