"""Serve's router of sessions with a bounded load (`bounded_load`). Importing it fails where Ray has no such router."""

from typing import Any

from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter

from lsp_server.team.bounded_load import Ongoing, in_order


class BoundedLoadRouter(ConsistentHashRouter):
    """A `ray.serve.request_router.RequestRouter`, for `ray.serve.config.RequestRouterConfig`.

    Its ``request_router_kwargs`` are those of Serve's router and ``seats``: the requests that a replica works on at
    once.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ongoing: Ongoing[Any] = Ongoing()
        self._seats = 1

    def initialize_state(self, **kwargs: Any) -> None:
        """Take the arguments. Serve calls this once."""
        super().initialize_state(**kwargs)
        self._seats = int(kwargs["seats"])

    async def choose_replicas(self, candidate_replicas: list[Any], pending_request: Any = None) -> list[list[Any]]:
        """The replicas to ask, one after the other until one accepts."""
        ranks: list[list[Any]] = await super().choose_replicas(candidate_replicas, pending_request)
        document = self._routing_key(pending_request)
        if document is None:
            return ranks
        ring = {rank[0].replica_id: rank[0] for rank in ranks}
        own = {name: self._ongoing.of(document, name) for name in ring}
        loads = {name: self._load(name) for name in (*self.curr_replicas, *ring)}
        return [[ring[name]] for name in in_order(tuple(ring), loads, own, self._seats)]

    def on_request_routed(self, pending_request: Any, replica_id: Any, result: Any) -> None:
        """A replica has accepted a request: Serve calls this."""
        request = pending_request.metadata.internal_request_id
        self._ongoing.begin(request, self._routing_key(pending_request), replica_id)
        loop = self._event_loop
        # Not `on_request_completed`: that may come first. This is called for one that is over already, too.
        result.add_done_callback(lambda _: loop.call_soon_threadsafe(self._ongoing.end, request))

    def _load(self, name: Any) -> int:
        """What the replica said last, with the requests of other machines' proxies, or what is known here."""
        return max(self._ongoing.at(name), self.replica_queue_len_cache.get(name) or 0)
