"""The programs that the tests drive: where each comes from, and which version it needs.

``python -m tests.editors.programs`` downloads what is missing and prints the versions. The tests download it too.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.editors import code_server, debian
from tests.editors.installing import InstallError, run


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs, and the variables that its environment needs."""

    path: Path
    version: tuple[int, ...]
    environment: Mapping[str, str]

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))}: {self.path}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where a program is found: an environment variable, a name on the path, or packages of a suite of Debian."""

    variable: str
    on_path: str | None
    packages: tuple[str, ...]
    suite: str
    binary: str
    printed: str
    """A regular expression for the output of ``--version``; its groups are the numbers of the version."""
    oldest: tuple[int, ...]
    prepare: Callable[[Path], Mapping[str, str]]
    """Finishes the folder into which the packages are unpacked, if needed, and returns the program's environment."""
    option: str = "--version"

    def find(self) -> Program:
        """The program that the variable names, else one on the path that is new enough, else the one in the cache.

        Raises:
            InstallError: there is none, and none could be installed; or the one named is too old.
        """
        if named := os.environ.get(self.variable):
            return self._look_at(Path(named), {})
        if self.on_path and (found := shutil.which(self.on_path)):
            try:
                return self._look_at(Path(found), {})
            except InstallError:
                pass  # too old: the usual case on a stable Debian
        try:
            folder = debian.unpacked(self.packages, self.suite, self.binary)
        except InstallError as error:
            raise InstallError(f"{error}; or name a program in {self.variable}") from None
        return self._look_at(folder / self.binary, self.prepare(folder))

    def _look_at(self, program: Path, environment: Mapping[str, str]) -> Program:
        printed = run([str(program), self.option], {**os.environ, **environment})
        match = re.match(self.printed, printed)
        if not match:
            raise InstallError(f"{program} {self.option} prints something unknown: {printed[:80]!r}")
        version = tuple(map(int, match.groups()))
        if version < self.oldest:
            raise InstallError(f"{program} is {match[0]}; {'.'.join(map(str, self.oldest))} or later is needed")
        return Program(program, version, environment)


def _neovim(folder: Path) -> Mapping[str, str]:
    return {"VIMRUNTIME": str(folder / "usr/share/nvim/runtime")}


def _emacs(folder: Path) -> Mapping[str, str]:
    shared = next(folder.glob("usr/share/emacs/*/lisp")).parent
    programs = next(folder.glob("usr/libexec/emacs/*/*/"))
    dumped = folder / "usr/bin/emacs-nox.pdmp"  # its Lisp: it looks there before its own fixed place
    if not dumped.exists():
        dumped.symlink_to(next(programs.glob("emacs-*.pdmp")))
    return {
        "EMACSLOADPATH": str(shared / "lisp"),
        "EMACSDATA": str(shared / "etc"),
        "EMACSDOC": str(shared / "etc"),
        "EMACSPATH": str(programs),
    }


def _helix(folder: Path) -> Mapping[str, str]:
    return {"HELIX_RUNTIME": str(folder / "usr/lib/hx/runtime")}


def _browser(folder: Path) -> Mapping[str, str]:
    fonts = folder / "fonts.conf"
    fonts.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">'
        f"<fontconfig><dir>{folder}/usr/share/fonts</dir><cachedir>{folder}/var/cache/fontconfig</cachedir></fontconfig>",
        encoding="utf-8",
    )
    return {"FONTCONFIG_FILE": str(fonts)}


NEOVIM = Recipe(
    "MIDTOKEN_NVIM", "nvim", ("neovim",), "forky", "usr/bin/nvim", r"NVIM v(\d+)\.(\d+)\.(\d+)", (0, 12), _neovim
)
# From before ghost text: for a test of what still works there.
OLDER_NEOVIM = Recipe(
    "MIDTOKEN_OLDER_NVIM", None, ("neovim",), "trixie", "usr/bin/nvim", r"NVIM v(\d+)\.(\d+)\.(\d+)", (0, 10), _neovim
)
# eglot is part of Emacs since version 29.
EMACS = Recipe(
    "MIDTOKEN_EMACS", "emacs", ("emacs-nox",), "trixie", "usr/bin/emacs-nox", r"GNU Emacs (\d+)\.(\d+)", (29,), _emacs
)
HELIX = Recipe("MIDTOKEN_HELIX", "hx", ("hx",), "forky", "usr/lib/hx/hx", r"helix (\d+)\.(\d+)", (25,), _helix)
TMUX = Recipe(
    "MIDTOKEN_TMUX", "tmux", ("tmux",), "trixie", "usr/bin/tmux", r"tmux (\d+)\.(\d+)", (3,), lambda _: {}, "-V"
)
BROWSER = Recipe(
    "MIDTOKEN_CHROMIUM",
    None,
    ("chromium-headless-shell", "fonts-dejavu-core"),
    "trixie",
    "usr/lib/chromium/chromium-headless-shell",
    r"(?:Chromium|Google Chrome) (\d+)\.(\d+)\.(\d+)",
    (140,),
    _browser,
)


def main() -> None:
    """Download everything and print the versions."""
    for name, recipe in (
        ("Neovim", NEOVIM),
        ("Neovim without ghost text", OLDER_NEOVIM),
        ("Emacs", EMACS),
        ("Helix", HELIX),
        ("tmux", TMUX),
        ("Chromium", BROWSER),
    ):
        print(f"{name} {recipe.find()}", flush=True)  # noqa: T201 - a command line
    print(f"VS Code {code_server.find().version}: code-server {code_server.VERSION}")  # noqa: T201 - a command line


if __name__ == "__main__":
    try:
        main()
    except InstallError as error:
        sys.exit(f"editors: {error}")
