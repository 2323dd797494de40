"""A completer that asks a team's service first and the local model second. The caller sees one completer."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from engine import CancellationToken, CompletionRequest, CompletionResult, ModelInfo, RequestError
from lsp_server.remote.address import Remote
from lsp_server.remote.connection import Call, RemoteConnection, RemoteError, Trouble
from lsp_server.remote.outgoing import outgoing, session_of
from lsp_server.scheduling.completer_like import CompleterLike
from lsp_server.team.answers import result_from
from lsp_server.team.protocol import TeamRequest, request_json
from lsp_server.transport.tcp import read_token

log = logging.getLogger(__name__)

FIRST_SHARE = 0.3
"""Share of a request's time in which the service must begin to answer. After that the local model takes the rest."""
LEAST_FIRST_S, MOST_FIRST_S = 0.05, 1.0
REMOTE = "remote"
"""The name of the device in `ModelInfo` when the service answers."""
PATIENCE_S = 60.0
"""Time limit for a request without a budget."""
LEAST_PAUSE_S: Mapping[Trouble, float] = MappingProxyType(
    {"unreachable": 1.0, "slow": 1.0, "unauthorised": 15.0, "full": 0.5, "refused": 5.0}
)
MOST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class _Health:
    """The state of the service: the ``problem`` since its last answer, and the time before which it is not asked."""

    problem: str | None = None
    pause_s: float = 0.0
    until_s: float = 0.0
    model: str | None = None


class RemoteCompleter:
    """Asks the service first. If the service cannot be reached, is slow or refuses, the local model answers.

    The service is then left alone for a pause that doubles each time. The next request after the pause asks it again.
    """

    def __init__(self, local: CompleterLike, remote: Remote, clock: Callable[[], float] = time.monotonic) -> None:
        self._local, self._remote, self._clock = local, remote, clock
        self._connection = RemoteConnection(remote.url)
        self._health = _Health()

    @property
    def info(self) -> ModelInfo:
        """The model that answers now: the service's once it has answered, else the local one."""
        info, health = self._local.info, self._health
        return info if health.model is None or health.problem else replace(info, name=health.model, device=REMOTE)

    @property
    def notices(self) -> tuple[str, ...]:
        """The notices of the local model."""
        return self._local.notices

    @property
    def problem(self) -> str | None:
        """Why the local model answers, in one line; None while the service does."""
        return self._health.problem

    def complete(
        self,
        request: CompletionRequest,
        cancel: CancellationToken | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> CompletionResult:
        """Complete as the engine does: with the service, or with the local model in the time that is left."""
        cancel = cancel or CancellationToken()
        started = self._clock()
        if started >= self._health.until_s:
            try:
                return self._ask(request, cancel, on_text)
            except RemoteError as error:
                self._note(error)
            if request.budget_ms is not None:
                left_ms = request.budget_ms - (self._clock() - started) * 1000
                request = replace(request, budget_ms=max(left_ms, 1.0))
        return self._local.complete(request, cancel, on_text)

    def read(self, request: CompletionRequest, cancel: CancellationToken, rest: float = 0.0) -> None:
        """Read ahead with the local model, but only while it is the one that answers."""
        if self._health.problem is not None:
            self._local.read(request, cancel, rest)

    def keep_places(self, limit_bytes: int) -> None:
        """Set the memory limit of the local model's places."""
        self._local.keep_places(limit_bytes)

    def close(self) -> None:
        """Close the connections. A later call connects again."""
        self._connection.close()

    def _ask(
        self, request: CompletionRequest, cancel: CancellationToken, on_text: Callable[[str], None] | None
    ) -> CompletionResult:
        cancel.raise_if_cancelled()
        now, budget_s = time.monotonic(), PATIENCE_S if request.budget_ms is None else request.budget_ms / 1000
        first_s = min(max(FIRST_SHARE * budget_s, LEAST_FIRST_S), MOST_FIRST_S)
        sent = outgoing(request, sends_path=self._remote.sends_path)
        body = request_json(TeamRequest(sent, stream=True))
        call = Call(body, self._token(), session_of(request), now + first_s, now + budget_s + first_s)
        written = ""
        for event in self._connection.events(call, cancel):
            if event.name == "text":
                written += _written(event.data)
                if on_text is not None:
                    on_text(written)
            elif event.name == "answer":
                return self._taken(event.data)
        raise RemoteError("unreachable", "the team's service ended without an answer")

    def _taken(self, answer: Any) -> CompletionResult:
        try:
            result = result_from(answer)
        except RequestError as error:
            raise RemoteError("refused", f"the team's service answers what cannot be read ({error})") from None
        model = answer["model"].get("path") if isinstance(answer.get("model"), dict) else None
        if self._health.problem is not None:
            log.info("the team's service answers again")
        self._health = _Health(model=str(model or "team")[:80])
        return result

    def _token(self) -> str:
        """The token. It is read for each request, because the file may change. A file that cannot be read counts as a
        wrong token.
        """
        if self._remote.token_file is None:
            return ""
        try:
            return read_token(self._remote.token_file)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RemoteError("unauthorised", f"the token of the team's service cannot be read ({reason})") from None

    def _note(self, error: RemoteError) -> None:
        before = self._health
        pause_s = max(LEAST_PAUSE_S[error.trouble], 2 * before.pause_s, error.retry_after_s or 0.0)
        pause_s = min(pause_s, MOST_PAUSE_S)
        problem = f"{error}; the local model answers"
        if before.problem != problem:
            log.warning("%s", problem)
        self._health = _Health(problem, pause_s, self._clock() + pause_s, before.model)


def _written(data: Any) -> str:
    written = data.get("written") if isinstance(data, dict) else None
    return written if isinstance(written, str) else ""
