"""The service on Ray Serve (https://docs.ray.io): one deployment for each model, and one that speaks HTTP.

Serve replaces a replica that dies, scales the number of replicas, and routes requests. Requests with the same session
go to one replica while it has room, then to the next two on the hash ring (bounded load).
"""

import os

from lsp_server.team.silence import ADDRESS, EVERYWHERE

os.environ.update(EVERYWHERE)  # before Ray is imported: otherwise Ray would send usage statistics

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
import ray.serve._private.replica
from fastapi import FastAPI
from ray import serve
from ray._private.node import Node
from ray.exceptions import RayError
from ray.serve.config import AutoscalingConfig, HTTPOptions, RequestRouterConfig
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.schema import LoggingConfig

from engine import CompletionRequest
from lsp_server.team.config import ModelConfig, TeamConfig, read_config
from lsp_server.team.events import Event
from lsp_server.team.ingress import Service, create_app
from lsp_server.team.metrics import Metrics
from lsp_server.team.protocol import Refusal
from lsp_server.team.replica import RETRY_S, Replica, load_engine
from lsp_server.team.tokens import Tokens

APPLICATION = "midtoken"
SESSION_ROUTER = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
OBJECT_STORE_BYTES = 80 << 20
"""Memory of Ray's object store. Only small values travel between the processes."""
LOOPBACK = "127.0.0.1"
DRAIN_S = 20.0
DESCRIBE_S = 5.0
LOGGING = LoggingConfig(enable_access_log=False)
_ATTEMPTS = 2


class ModelReplica:
    """What Serve runs for a model: one process for each replica."""

    def __init__(self, config: ModelConfig) -> None:
        _keep_to_loopback()
        self._replica = Replica(config, load_engine(config))

    async def complete(self, request: CompletionRequest, session: str) -> AsyncGenerator[Event, None]:
        """See `Replica.complete`."""
        async with aclosing(self._replica.complete(request, session)) as events:
            async for event in events:
                yield event

    async def describe(self) -> dict[str, Any]:
        """See `Replica.describe`."""
        return self._replica.describe()


class ServeBackend:
    """An `ingress.Backend` that calls handles of Serve."""

    def __init__(self, names: tuple[str, ...], application: str) -> None:
        self._handles = {name: serve.get_deployment_handle(_deployment_name(name), application) for name in names}

    async def complete(self, model: str, request: CompletionRequest, session: str) -> AsyncGenerator[Event, None]:
        """Complete with the replica of the session. If that replica dies before it wrote anything, another one takes
        over.
        """
        for attempt in range(_ATTEMPTS):
            has_text = False
            stream = self._handles[model].options(stream=True, session_id=session).complete.remote(request, session)
            try:
                async for event in stream:
                    has_text = has_text or event.name != "begun"
                    if event.name != "begun" or attempt == 0:
                        yield event
                return
            except BackPressureError:
                raise Refusal("full", "the service is full; come again later", RETRY_S) from None
            except (RayError, RayServeException) as error:
                refusal = getattr(error, "cause", None)
                if isinstance(refusal, Refusal):
                    raise refusal from None
                if has_text or attempt + 1 == _ATTEMPTS:
                    raise Refusal("model", "the replica was lost; ask again", RETRY_S) from None
            finally:
                with suppress(RayError, RayServeException):  # that which ended the stream is raised here once more
                    stream.cancel()  # the client left early; for an answer that has ended this changes nothing

    async def describe(self, model: str) -> Mapping[str, Any] | None:
        """Describe any replica of the model."""
        try:
            found: dict[str, Any] = await self._handles[model].describe.remote()
        except (RayError, RayServeException, TimeoutError):
            return None
        return found


def build(args: Mapping[str, Any]) -> serve.Application:
    """Build the application from its configuration. ``import_path: lsp_server.team.application:build`` names this
    function, and Serve takes one with a single parameter only.
    """
    return application(read_config(dict(args)))


def application(config: TeamConfig, replica: type = ModelReplica) -> serve.Application:
    """The deployments of a configuration, with replicas of a class that is made from a `ModelConfig`.

    Raises `RequestError` for tokens that cannot be read.
    """
    Tokens(config.tokens).check()
    models = [_model(model, replica) for model in config.models]

    def app() -> FastAPI:
        _keep_to_loopback()
        backend = ServeBackend(tuple(model.name for model in config.models), serve.get_replica_context().app_name)
        return create_app(Service(config, backend, Tokens(config.tokens), Metrics.create()))

    ingress = serve.deployment(serve.ingress(app)()).options(
        name="ingress",
        max_ongoing_requests=config.limits.connections,
        graceful_shutdown_timeout_s=DRAIN_S,
        ray_actor_options={"num_cpus": 0},
    )
    return ingress.bind(*models)


def start(config: TeamConfig, folder: Path | None, replica: type = ModelReplica) -> None:
    """Join the cluster that ``RAY_ADDRESS`` names, or start Ray on this machine, with its files in ``folder`` if one is
    given. Then run the service.

    Returns as soon as it serves. Raises RuntimeError if a model cannot be loaded.
    """
    if ADDRESS in os.environ:
        ray.init(log_to_driver=False)
    else:
        with _without_dashboard():
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                _temp_dir=None if folder is None else str(folder),
            )
    secure = (
        {} if config.certificate is None else {"ssl_certfile": str(config.certificate), "ssl_keyfile": str(config.key)}
    )
    serve.start(http_options=HTTPOptions(host=config.host, port=config.port, **secure), logging_config=LOGGING)
    deploy(config, replica)


def deploy(config: TeamConfig, replica: type = ModelReplica) -> None:
    """Run the service as a configuration says; if it runs already, its replicas are replaced one after the other.

    Raises RuntimeError if a model cannot be loaded.
    """
    serve.run(application(config, replica), name=APPLICATION, route_prefix="/", logging_config=LOGGING)


@contextmanager
def _without_dashboard() -> Iterator[None]:
    """Ray starts the dashboard's process even if it is told not to, and that asks the cloud's metadata service where it
    is. This is what Ray does if that process cannot be started: it goes on without.
    """
    starts = Node.start_api_server
    Node.start_api_server = lambda self, **_: None
    try:
        yield
    finally:
        Node.start_api_server = starts


def stop() -> None:
    """Finish the requests that run, and end the processes that were started here."""
    if ray.is_initialized():
        with suppress(RayError, RayServeException, RuntimeError, TimeoutError):
            serve.delete(APPLICATION)  # waits for them; `shutdown` alone would hang up on their clients
    serve.shutdown()
    ray.shutdown()


def _keep_to_loopback() -> None:
    """Serve's processes listen for each other on every address of the machine, each as soon as its deployment is made.
    Where Ray keeps to the loopback address, so do they. Called in such a process, before it listens.
    """
    if ray.util.get_node_ip_address() == LOOPBACK:
        listens = ray.serve._private.replica.add_port_to_grpc_server
        ray.serve._private.replica.add_port_to_grpc_server = lambda server, _: listens(server, f"{LOOPBACK}:0")


def _model(config: ModelConfig, replica: type) -> serve.Application:
    scale: dict[str, Any] = {"num_replicas": config.replicas}
    if config.autoscale is not None:
        scale = {
            "autoscaling_config": AutoscalingConfig(
                min_replicas=config.autoscale.least,
                max_replicas=config.autoscale.most,
                target_ongoing_requests=config.autoscale.ongoing,
            )
        }
    deployment = serve.deployment(replica).options(
        name=_deployment_name(config.name),
        max_ongoing_requests=config.concurrent + config.waiting,
        max_queued_requests=config.waiting + config.concurrent,
        graceful_shutdown_timeout_s=DRAIN_S,
        health_check_period_s=2.0,
        ray_actor_options={"num_cpus": config.cpus, "num_gpus": config.gpus},
        request_router_config=RequestRouterConfig(request_router_class=SESSION_ROUTER),
        **scale,
    )
    return deployment.bind(config)


def _deployment_name(model: str) -> str:
    return "model-" + "".join(character if character.isalnum() else f"_{ord(character):x}_" for character in model)
