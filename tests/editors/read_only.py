"""A folder on a read-only disk, for one program. It works for root too, whom file modes do not stop."""

from pathlib import Path


def command(folder: Path) -> list[str]:
    """The words to put before a command so that it finds ``folder`` on a read-only disk, in its own mount namespace."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)]
