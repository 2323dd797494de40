"""Everything that a user, a client or a file can get wrong, as one tree of exceptions.

Each message is one line that says what is wrong and what to do. The command line prints it unchanged, and the language
server logs it. Our own broken invariants are ``assert``s, never one of these.
"""

LONGEST_MESSAGE = 1000


class MidtokenError(Exception):
    """Base of every error that Midtoken raises on purpose. Its message is one printable line of bounded length,
    whatever text of a file or name is in it.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > LONGEST_MESSAGE:  # the beginning says what is wrong, the end what to do about it
            half = (LONGEST_MESSAGE - 1) // 2
            text = f"{text[:half]}…{text[-half:]}"
        return "".join([character if character.isprintable() else " " for character in text])


class ModelFolderError(MidtokenError):
    """The model folder is missing, truncated, or not one of ours."""


class ManifestError(ModelFolderError):
    """``midtoken.json`` is malformed, or names a file that is absent, altered, or outside the folder."""


class ContractError(ModelFolderError):
    """Tokenizer, embedding, head and control ids of a model folder do not agree with each other."""


class WeightsError(ModelFolderError):
    """The weights of a model are unusable: its logits are NaN or infinite."""


class DeviceError(MidtokenError):
    """The requested device cannot run the model, or ran out of memory."""


class DeviceMemoryError(DeviceError):
    """There is no memory left, on the device or beside it."""


class RequestError(MidtokenError):
    """A request holds a value out of range, an unknown name, or a combination that makes no sense."""


class BatchFull(MidtokenError):
    """As many requests as can be held are being worked on or wait already; ``retry_after_s`` is when to ask again."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"all seats are taken and the line is full; ask again in {retry_after_s:.2g} s")
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type["BatchFull"], tuple[float]]:
        """Between processes it goes as what it was made from."""
        return type(self), (self.retry_after_s,)


class DocumentError(MidtokenError):
    """A document cannot be read: missing, not UTF-8, or the position lies outside it."""


class ExportError(MidtokenError):
    """A checkpoint cannot be turned into a model folder, or the result failed a check."""


class TrainingError(MidtokenError):
    """A training run cannot start, continue, or be resumed."""


class Cancelled(MidtokenError):
    """The completion is no longer wanted. This is not a failure: callers drop the request silently."""


_MOST_REASON = 200


def reason_of(error: BaseException) -> str:
    """The reason in one line: the system's own message, or the first line of the error's message, or its type."""
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    return lines[0][:_MOST_REASON] if lines else type(error).__name__
