"""A folder on a disk that cannot be written to, for one program: also for the administrator, whom modes do not stop."""

from pathlib import Path


def command(folder: Path) -> list[str]:
    """What goes before a program that shall find ``folder`` on a read-only disk, in a mount namespace of its own."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)]
