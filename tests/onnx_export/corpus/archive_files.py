"""Tiny archives of npm and source packages of Debian."""

import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MIT = "Permission is hereby granted, free of charge, to any person"
DSC = "Format: 3.0 (quilt)\nSource: some\nBinary: libsome\nVersion: 1:2.0-3\n"


def make_tar(path: Path, files: Mapping[str, str]) -> Path:
    """An archive of these texts, compressed as its name says."""
    compress = lzma.compress if path.suffix == ".xz" else gzip.compress
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            content = text.encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    path.write_bytes(compress(buffer.getvalue()))
    return path


def make_npm(path: Path, files: Mapping[str, str], **package: Any) -> Path:
    """An archive of `npm pack` with a package.json of these fields."""
    description = json.dumps({"name": "@scope/some", "version": "1.2.3"} | package)
    inner = {f"package/{name}": text for name, text in files.items()}
    return make_tar(path, {"package/package.json": description, **inner})


def make_debian(folder: Path, files: Mapping[str, str], stated: str) -> Path:
    """A folder with a source package: description, sources, and Debian's own files with their copyright."""
    folder.mkdir(parents=True)
    (folder / "some_2.0-3.dsc").write_text(DSC, encoding="utf-8")
    make_tar(folder / "some_2.0.orig.tar.gz", {f"some-2.0/{name}": text for name, text in files.items()})
    make_tar(folder / "some_2.0-3.debian.tar.xz", {"debian/copyright": stated, "debian/rules.sh": "set -e\n"})
    return folder
