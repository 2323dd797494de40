"""The completion engine: token healing over ONNX code models. Knows nothing of editors and never imports torch.

>>> from engine import Completer, CompletionRequest
>>> completer = Completer.load()  # the bundled model
>>> result = completer.complete(CompletionRequest(prefix="for i in ran"))
"""

from engine.batching.batching_completer import BatchingCompleter, BatchStatistics
from engine.completer import DEFAULT_CONTEXT_TOKENS, Completer
from engine.config import (
    BASELINE_MODES,
    DEVICES,
    HEALING_MODES,
    SPECULATIONS,
    STRATEGIES,
    DeviceChoice,
    HealingMode,
    HealingParams,
    LineMode,
    SamplingParams,
    Speculation,
    StopParams,
    Strategy,
)
from engine.decoding.strategies import can_stream
from engine.errors import (
    BatchFull,
    Cancelled,
    ContractError,
    DeviceError,
    DeviceMemoryError,
    DocumentError,
    ExportError,
    ManifestError,
    MidtokenError,
    ModelFolderError,
    RequestError,
    TrainingError,
    WeightsError,
    reason_of,
)
from engine.loading import BUNDLED_MODEL
from engine.model_folder.card import licence_of_card
from engine.model_folder.description import FolderDescription, describe_folder
from engine.probe.parent import probe_model
from engine.prompt.windows import end_window
from engine.text.words import is_word_character
from engine.types import (
    CancellationToken,
    Completion,
    CompletionRequest,
    CompletionResult,
    DraftCounts,
    HealingReport,
    HealingTrace,
    ModelInfo,
    Sharing,
    Snippet,
    StopReason,
    Timing,
    TracedCover,
)

__all__ = [
    "BASELINE_MODES",
    "BUNDLED_MODEL",
    "DEFAULT_CONTEXT_TOKENS",
    "DEVICES",
    "HEALING_MODES",
    "SPECULATIONS",
    "STRATEGIES",
    "BatchFull",
    "BatchStatistics",
    "BatchingCompleter",
    "CancellationToken",
    "Cancelled",
    "Completer",
    "Completion",
    "CompletionRequest",
    "CompletionResult",
    "ContractError",
    "DeviceChoice",
    "DeviceError",
    "DeviceMemoryError",
    "DocumentError",
    "DraftCounts",
    "ExportError",
    "FolderDescription",
    "HealingMode",
    "HealingParams",
    "HealingReport",
    "HealingTrace",
    "LineMode",
    "ManifestError",
    "MidtokenError",
    "ModelFolderError",
    "ModelInfo",
    "RequestError",
    "SamplingParams",
    "Sharing",
    "Snippet",
    "Speculation",
    "StopParams",
    "StopReason",
    "Strategy",
    "Timing",
    "TracedCover",
    "TrainingError",
    "WeightsError",
    "can_stream",
    "describe_folder",
    "end_window",
    "is_word_character",
    "licence_of_card",
    "probe_model",
    "reason_of",
]
