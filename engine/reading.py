"""How much of a document is read for a request: all of it, as much as there is time for, or all of it ahead of time."""

from dataclasses import dataclass

from engine.prompt.builder import PromptBuilder
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Resting
from engine.runtime.token_cache import TokenCache
from engine.types import CancellationToken, CompletionRequest

LEAST_READ = 64
"""Tokens of context that are always read, however little time there is."""
MOST_EARLIER = 4
"""A part may start so many jumps earlier than one that is read for the first time; then it is twice as long."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Builds prompts that fit the time a request gives for reading (`CompletionRequest.reading_ms`)."""

    prompts: PromptBuilder
    cache: TokenCache

    def prompt(self, request: CompletionRequest) -> tuple[Prompt, bool]:
        """The prompt, and whether it is partial: it then holds the nearest context that there is time to read.

        Raises as `PromptBuilder.build` does.
        """
        document = self.prompts.document(request)
        whole = self.prompts.whole(document)
        if request.reading_ms is None:
            return whole, False
        unread = self._unread(whole)
        if unread * 1000 <= request.reading_ms * self.cache.tokens_per_s or unread <= LEAST_READ:
            return whole, False
        most = max(LEAST_READ, int(request.reading_ms * self.cache.tokens_per_s / 1000))
        # Its start jumps while somebody types. It may lag behind, as long as that saves reading it anew.
        parts = [self.prompts.part(document, most, earlier) for earlier in range(MOST_EARLIER + 1)]
        left = [self._unread(part) for part in parts]
        # The cache may hold less of each part than of the whole prompt. Then the whole is no slower.
        return (parts[left.index(min(left))], True) if min(left) < unread else (whole, False)

    def _unread(self, prompt: Prompt) -> int:
        return len(prompt.ids) - self.cache.known(prompt.ids)

    def read_ahead(self, request: CompletionRequest, cancel: CancellationToken, rest: float) -> None:
        """Run the forward passes over all tokens before the tail. See `Completer.read`, also for what it raises."""
        prompt = self.prompts.build(request)
        settled = prompt.ids[: len(prompt.ids) - len(prompt.tail)]
        if len(settled):
            self.cache.copy_from(prompt.source, prompt.ids)
            cancel.on_cancel(self.cache.interruptible())
            self.cache.prefill(settled, (len(settled) - 1,), Resting(cancel, rest))
