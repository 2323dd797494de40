"""The service on Ray Serve (https://docs.ray.io): one deployment for each model, and one that speaks HTTP.

Serve replaces a replica that dies, scales the number of replicas, and routes requests. Requests with the same session
go to one replica unless it has more than its share: `router`.
"""

import asyncio
import os

from lsp_server.team.silence import ADDRESS, EVERYWHERE

os.environ.update(EVERYWHERE)  # before Ray is imported: otherwise Ray would send usage statistics

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import ray
import ray.serve._private.replica
from fastapi import FastAPI
from ray import serve
from ray._private.node import Node
from ray.exceptions import RayError
from ray.serve.config import AutoscalingConfig, HTTPOptions, RequestRouterConfig
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig
from starlette.middleware import Middleware

from engine import CompletionRequest
from lsp_server.team import front
from lsp_server.team.config import ModelConfig, TeamConfig, read_config
from lsp_server.team.events import Event
from lsp_server.team.in_proxy import InProxy
from lsp_server.team.ingress import Service, create_app
from lsp_server.team.metrics import Metrics
from lsp_server.team.protocol import Refusal
from lsp_server.team.replica import RETRY_S, Replica, load_engine
from lsp_server.team.tokens import Tokens

APPLICATION = "midtoken"
INGRESS = "ingress"
OBJECT_STORE_BYTES = 80 << 20
"""Memory of Ray's object store. Only small values travel between the processes."""
LOOPBACK = "127.0.0.1"
DRAIN_S = 20.0
DESCRIBE_S = 5.0
LONGEST_S = 30.0
"""Time limit until a replica begins, for a request without a budget."""
LOGGING = LoggingConfig(enable_access_log=False)
_ATTEMPTS = 2
_NEXT_REPLICAS = 7
"""How many replicas after the first are asked in turn."""


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


class Ingress:
    """The ingress deployment. Serve puts the application in front of it; the proxies ask it what they serve."""

    def __init__(self, config: TeamConfig, *models: object) -> None:
        self._config = config

    async def configuration(self) -> TeamConfig:
        """The configuration of the service."""
        return self._config


_LOST = (RayError, RayServeException, grpc.RpcError)
"""What a call of a replica may end with that is none of the replica's own doing."""


class ServeBackend:
    """An `ingress.Backend` that calls handles of Serve."""

    def __init__(self, application: str) -> None:
        self._application = application
        self._handles: dict[str, DeploymentHandle[ModelReplica]] = {}

    async def complete(self, model: str, request: CompletionRequest, session: str) -> AsyncGenerator[Event, None]:
        """Complete with the replica of the session. If that replica dies before it wrote anything, another one takes
        over. If none has begun within the request's time budget, the service is full.
        """
        for attempt in range(_ATTEMPTS):
            has_text = False
            stream = self._handle(model).options(stream=True, session_id=session).complete.remote(request, session)
            try:
                async with asyncio.timeout(LONGEST_S if request.budget_ms is None else request.budget_ms / 1000):
                    begun = await anext(stream)
                if attempt == 0:
                    yield begun
                async for event in stream:
                    has_text = True
                    yield event
                return
            except (BackPressureError, TimeoutError):
                raise Refusal("full", "the service is full; come again later", RETRY_S) from None
            except _LOST as error:
                refusal = getattr(error, "cause", None)
                if isinstance(refusal, Refusal):
                    raise refusal from None
                if has_text or attempt + 1 == _ATTEMPTS:
                    raise Refusal("model", "the replica was lost; ask again", RETRY_S) from None
            finally:
                with suppress(*_LOST):  # that which ended the stream is raised here once more
                    stream.cancel()  # the client left early; for an answer that has ended this changes nothing

    async def describe(self, model: str) -> Mapping[str, Any] | None:
        """Describe any replica of the model."""
        try:
            async with asyncio.timeout(DESCRIBE_S):
                found: dict[str, Any] = await self._handle(model).describe.remote()
        except (*_LOST, Refusal, TimeoutError):
            return None
        return found

    def _handle(self, model: str) -> "DeploymentHandle[ModelReplica]":
        if model not in self._handles:
            try:
                self._handles[model] = serve.get_deployment_handle(_deployment_name(model), self._application)
            except KeyError:  # the proxy has not learned yet that it is gone
                raise Refusal("model", f"the model {model} has no replica now", RETRY_S) from None
        return self._handles[model]


class ServeSource:
    """An `in_proxy.Source` that asks the ingress of our application."""

    def __init__(self) -> None:
        self.backend = ServeBackend(APPLICATION)
        self._ingress: DeploymentHandle[Ingress] | None = None

    async def config(self) -> TeamConfig | None:
        """Raises TimeoutError, or an error of Ray, if the ingress does not answer."""
        try:
            if self._ingress is None:
                self._ingress = serve.get_deployment_handle(INGRESS, APPLICATION)
            async with asyncio.timeout(DESCRIBE_S):
                found: TeamConfig = await self._ingress.configuration.remote()
        except (KeyError, RayServeException):  # there is no such deployment, or no longer
            self._ingress = None
            return None
        return found


def prepare_proxy() -> list[Middleware]:
    """What Serve's proxies wrap around their handler: see `silence.ON_THIS_MACHINE`."""
    return [Middleware(InProxy, source=ServeSource()), *front.prepare()]


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
        backend = ServeBackend(serve.get_replica_context().app_name)
        return create_app(Service(config, backend, Tokens(config.tokens), Metrics.create()))

    ingress = serve.deployment(serve.ingress(app)(Ingress)).options(
        name=INGRESS,
        max_ongoing_requests=config.limits.connections,
        graceful_shutdown_timeout_s=DRAIN_S,
        ray_actor_options={"num_cpus": 0},
    )
    return ingress.bind(config, *models)


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
        request_router_config=router(config.concurrent),
        **scale,
    )
    return deployment.bind(config)


def router(seats: int) -> RequestRouterConfig:
    """How requests find one of the replicas that have each ``seats``."""
    try:
        from lsp_server.team.router import BoundedLoadRouter
    except ImportError:  # it is built on what is experimental in Ray: without it Serve takes the better of two replicas
        return RequestRouterConfig()
    return RequestRouterConfig(
        request_router_class=BoundedLoadRouter,
        request_router_kwargs={"num_fallback_replicas": _NEXT_REPLICAS, "seats": seats},
    )


def _deployment_name(model: str) -> str:
    return "model-" + "".join(character if character.isalnum() else f"_{ord(character):x}_" for character in model)
