"""What pyproject.toml cannot say: which packages are installed, and that `benchmarks` goes into one of them.

`benchmarks` is a common name, so an installed wheel has it inside `lsp_server`, where `midtoken bench` finds it.
"""

from setuptools import find_packages, setup

INSTALLED = find_packages(include=["engine*", "lsp_server*", "onnx_export*"])
BENCHMARKS = {f"lsp_server.bench_sources.{name}": name for name in find_packages(include=["benchmarks*"])}

setup(
    packages=[*INSTALLED, *BENCHMARKS],
    package_dir={package: name.replace(".", "/") for package, name in BENCHMARKS.items()},
)
