"""The kubelet put together: parts made, informers wired to workers, everything run in one task group.

Order matters in three places: the node is registered before its pods are watched; Services are known before the first
container gets its environment; and what runs already is looked at before orphans are judged.
"""

import asyncio
import logging
import time
from contextlib import AsyncExitStack

from apimachinery import kinds, meta
from apimachinery.meta import JSON
from componentbase.health import Checks
from kubeclient.config import load_kubeconfig
from kubeclient.events import EventRecorder
from kubeclient.informer import Informer, InformerFactory
from kubeclient.rest import Client

from . import abilities, certificates, metrics
from .backoff import Backoff
from .engine import Engine, EngineError
from .eviction import Evictor
from .handlers import Handlers
from .images import Images
from .lease import NodeLease
from .network.cni import CNI, CNIError
from .network.manager import Network
from .node import NodeReporter
from .parts import Parts
from .pleg import Pleg
from .pod_workers import PodWorkers
from .probes import Probes
from .runtime import Runtime
from .server.app import Server
from .settings import Settings
from .sources import ObjectSources
from .status_manager import StatusManager
from .volumes.manager import Volumes
from .volumes.nodelocal import NodeLocalVolumes
from .volumes.tokens import Tokens

log = logging.getLogger(__name__)

CRASH_LOOP_FIRST_SECONDS, CRASH_LOOP_LONGEST_SECONDS = 10, 300
HOUSEKEEPING_SECONDS = 20.0


class Kubelet:
    """One node's agent."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def run(self) -> None:
        """Until cancelled. Containers keep running when it ends."""
        await certificates.ensure_client(self.settings)
        async with AsyncExitStack() as stack:
            config = load_kubeconfig(self.settings.kubeconfig)
            client = await stack.enter_async_context(Client(config, user_agent="kubelet"))
            engine = await stack.enter_async_context(Engine(self.settings.docker_socket))
            group = await stack.enter_async_context(asyncio.TaskGroup())
            await self._start(stack, group, client, engine)
            await asyncio.Event().wait()

    async def _start(self, stack: AsyncExitStack, group: asyncio.TaskGroup, client: Client, engine: Engine) -> None:
        settings = self.settings
        factory = InformerFactory(client)
        own_pods = factory.informer(kinds.POD, field_selector=f"spec.nodeName={settings.node_name}")
        services = factory.informer(kinds.SERVICE, transform=_service_essence)
        nodes = factory.informer(kinds.NODE, transform=_node_essence)
        cni = CNI(settings.cni_conf_dir, settings.cni_bin_dirs, results_dir=settings.root_dir / "cni")
        runtime = Runtime(engine, cni, pause_image=settings.pause_image, node=abilities.probe(settings))
        recorder = EventRecorder(client, "kubelet", host=settings.node_name)
        workers = PodWorkers(group)
        pleg = Pleg(engine, runtime, workers.wake, turned=lambda: reporter.poke())

        def record_of_node(type_: str, reason: str, message: str) -> None:
            recorder.event(_node_reference(settings.node_name), type_, reason, message)

        def network_ready() -> None:
            reporter.poke()
            workers.wake_all()

        network = Network(
            settings,
            node=lambda: nodes.get(settings.node_name),
            nodes=nodes.list,
            on_ready=network_ready,
        )
        reporter = NodeReporter(
            client,
            engine,
            settings,
            current=lambda: nodes.get(settings.node_name),
            problem=lambda: ", ".join(filter(None, (pleg.problem, network.problem))),
            record=lambda reason, text: record_of_node("Normal", reason, text),
            shortages=lambda: evictor.shortages(),
        )
        evictor = Evictor(settings, runtime, workers, record=record_of_node, turned=lambda: reporter.poke())
        parts = await self._parts(stack, group, client, runtime, workers, recorder, own_pods, services, nodes)
        parts.network_ready = lambda: network.ready
        workers.parts = parts

        node = await reporter.register() if settings.register_node else {"metadata": {"name": settings.node_name}}
        nodes.add_handler(
            on_add=lambda _: network.poke(), on_update=lambda *_: network.poke(), on_delete=lambda _: network.poke()
        )
        group.create_task(recorder.run(), name="events")
        group.create_task(factory.run(), name="informers")
        group.create_task(reporter.run(), name="node status")
        group.create_task(NodeLease(client, node).run(), name="lease")
        group.create_task(network.run(), name="pod network")
        group.create_task(NodeLocalVolumes(client, settings, recorder).run(), name="removal of volumes")
        if settings.rotate_certificates:
            group.create_task(certificates.rotate(client, settings), name="certificates")
        record_of_node("Normal", "Starting", "Starting kubelet.")
        checks = Checks()
        checks.add("runtime", lambda: _healthy(pleg))
        metrics.register(workers, runtime, parts.statuses)
        server = Server(settings, client, parts, workers, checks)
        group.create_task(server.run(), name="server")
        await factory.wait_synced()
        own_pods.add_handler(on_add=workers.put, on_update=lambda _, pod: workers.put(pod), on_delete=workers.drop)
        group.create_task(pleg.run(), name="pod lifecycle events")
        group.create_task(evictor.run(), name="eviction")
        group.create_task(self._keep_house(runtime, workers, cni), name="housekeeping")
        log.info("kubelet of node %s runs", settings.node_name)

    async def _parts(
        self,
        stack: AsyncExitStack,
        group: asyncio.TaskGroup,
        client: Client,
        runtime: Runtime,
        workers: PodWorkers,
        recorder: EventRecorder,
        own_pods: Informer,
        services: Informer,
        nodes: Informer,
    ) -> Parts:
        handlers = await stack.enter_async_context(Handlers(runtime))

        def record(pod: JSON, type_: str, reason: str, message: str, container: str) -> None:
            reference = {"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]}
            path = f"spec.containers{{{container}}}" if container else ""
            recorder.event(reference, type_, reason, message, field_path=path)

        def current(pod: JSON) -> JSON | None:
            found = own_pods.get(meta.key(pod))
            return found if found is not None and meta.uid(found) == meta.uid(pod) else None

        return Parts(
            settings=self.settings,
            client=client,
            runtime=runtime,
            images=Images(runtime.engine, clock=time.monotonic),
            volumes=Volumes(client, self.settings, Tokens(client, clock=time.time)),
            sources=ObjectSources(client, on_change=workers.wake),
            statuses=StatusManager(client, group, current=current),
            probes=Probes(group, handlers, wake=workers.wake, record=record),
            handlers=handlers,
            restarts=Backoff(initial=CRASH_LOOP_FIRST_SECONDS, longest=CRASH_LOOP_LONGEST_SECONDS, clock=time.time),
            services=services.list,
            node=lambda: nodes.get(self.settings.node_name) or {},
            admitted=workers.admitted,
            network_ready=lambda: False,
            record=record,
            clock=time.time,
        )

    async def _keep_house(self, runtime: Runtime, workers: PodWorkers, cni: CNI) -> None:
        """Now and then: containers of unknown pods, and addresses held for sandboxes that do not run."""
        while True:
            try:
                observed = await runtime.pods()
                workers.adopt_orphans(observed)
                sandboxes = {s.id for state in observed.values() for s in state.sandboxes}
                if stale := await cni.collect(sandboxes):
                    log.info("released the addresses of %d sandboxes that are gone", len(stale))
                await self._balance(runtime, workers)
            except (EngineError, CNIError, OSError) as error:
                log.warning("housekeeping: %s", error)
            await asyncio.sleep(HOUSEKEEPING_SECONDS)

    async def _balance(self, runtime: Runtime, workers: PodWorkers) -> None:
        assert workers.parts is not None, "parts are set before housekeeping starts"
        allocatable = (workers.parts.node().get("status") or {}).get("allocatable") or {}
        await runtime.cgroups.balance(workers.admitted(), allocatable)


def _healthy(pleg: Pleg) -> None:
    if not pleg.healthy:
        raise RuntimeError("docker does not answer")


def _service_essence(service: JSON) -> JSON:
    """What environment variables need of a Service."""
    metadata = {key: service["metadata"].get(key) for key in ("name", "namespace", "uid", "resourceVersion")}
    spec = service.get("spec") or {}
    return {"metadata": metadata, "spec": {"clusterIP": spec.get("clusterIP"), "ports": spec.get("ports")}}


def _node_essence(node: JSON) -> JSON:
    """A Node without its managed fields."""
    return {**node, "metadata": {k: v for k, v in node["metadata"].items() if k != "managedFields"}}


def _node_reference(name: str) -> JSON:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name}}
