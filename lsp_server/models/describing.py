"""What a found model says of itself: from the header of a GGUF file, or from the small files of a folder."""

from collections.abc import Callable
from importlib.util import find_spec

from engine import ModelFolderError, describe_folder, reason_of
from lsp_server.models.converting import Converter
from lsp_server.models.entries import Facts, Found

Describe = Callable[[Found], Facts]
NEEDS_TORCH = "converting a checkpoint of this type needs torch, which is not installed: pip install 'midtoken[export]'"


def describer(converter: Converter, has_torch: Callable[[], bool] | None = None) -> Describe:
    """A function that reads what a found model is. It never raises for what is wrong with one."""
    torch = has_torch or (lambda: find_spec("torch") is not None)

    def describe(found: Found) -> Facts:
        if found.problem:
            return Facts(licence=found.licence, reason=found.problem)
        try:
            return _gguf(found, converter) if found.kind == "gguf" else _folder(found, converter, torch)
        except OSError as error:  # it vanished while it was looked at
            return Facts(licence=found.licence, reason=f"{found.path} cannot be read ({reason_of(error)})")

    return describe


def _gguf(found: Found, converter: Converter) -> Facts:
    facts = converter.describe_gguf(found.path)
    return Facts(
        architecture=facts.architecture,
        parameters=facts.parameters,
        quantization=facts.quantization,
        context=facts.context,
        fim=facts.fim if facts.architecture else None,
        licence=facts.licence or found.licence,
        bytes=facts.bytes,
        needed_bytes=facts.converted_bytes,
        reason=facts.reason,
        warning=facts.warning,
    )


def _folder(found: Found, converter: Converter, has_torch: Callable[[], bool]) -> Facts:
    try:
        facts = describe_folder(found.path, found.root)
    except ModelFolderError as error:
        return Facts(licence=found.licence, reason=str(error))
    size = sum(path.stat().st_size for name in facts.files if (path := found.path / name).is_file())
    reason, parameters = "", facts.parameters
    if not facts.graph:
        parameters, problem = converter.describe_checkpoint(found.path)
        reason = problem or ("" if has_torch() or not converter.needs_torch(found.path) else NEEDS_TORCH)
    return Facts(
        architecture=facts.architecture,
        parameters=parameters,
        quantization=facts.precision,
        context=facts.context_length,
        fim=facts.fim,
        licence=facts.licence or found.licence,
        bytes=size,
        needed_bytes=size,
        reason=reason,
    )
