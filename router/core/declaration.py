"""What does a declaration look like, and what must hold between its values?

Pure. One Struct for each object of the YAML shape; the rules of single values are in rules.py. An endpoint splits
its traffic either as Azure ML's v2 does (`traffic`) or as its v1 did (`trafficPercentile`, `isDefault`). Scale
settings keep which of them were given, for some may not be given together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import asdict, fields, replace

from router.core.model import (
    PAYLOAD_LIMIT_BYTES,
    Addresses,
    AuthMode,
    Cors,
    Deployment,
    JwtSettings,
    PodsKind,
    Probe,
    Process,
    ReplicaTls,
    RequestSettings,
    Route,
    ScaleSettings,
    ScaleType,
    TokenSettings,
)
from router.core.rules import parse_address
from router.core.shape import complaint

DEFAULTS = Deployment(endpoint="", name="", workload=Addresses(addresses=()))
"""Where nothing is said, a deployment is like this one."""

_V1_VERSIONS = 6
"""Azure ML's v1 takes at most so many versions of an endpoint."""
_V1_MAX_INSTANCES = 10
"""Azure ML's v1 lets a version grow to so many where nothing is said; v2 to 1."""


class _Object(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Names in camelCase, none but the known."""


class Metadata(_Object, frozen=True, kw_only=True):
    name: str
    namespace: str | None = None
    """In a cluster; elsewhere it says nothing, and neither do labels and annotations."""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Auth(_Object, frozen=True, kw_only=True):
    mode: AuthMode = "key"
    also_accepts: tuple[AuthMode, ...] = ()
    token: TokenSettings | None = None
    jwt: JwtSettings | None = None
    keys_secret: str | None = None
    """In a cluster, the Secret of type scoregate.io/keys that holds primaryKey and secondaryKey; `<endpoint>-keys`
    when not given."""
    create_keys: bool = True
    """In a cluster, whether that Secret is made, with two new keys, where it is missing."""


class DeclaredWorkload(_Object, frozen=True, kw_only=True):
    """Pods of the endpoint's namespace: those of the workload with this kind and name, or those with these labels."""

    kind: PodsKind | None = None
    name: str | None = None
    selector: dict[str, str] | None = None


class DeclaredScale(_Object, frozen=True, kw_only=True):
    """The fields of ScaleSettings; None is not given."""

    type: ScaleType = "targetUtilization"
    min_instances: int | None = None
    max_instances: int | None = None
    target_utilization_percentage: int | None = None
    polling_interval: int | None = None
    scale_down_window: float | None = None
    scale_down_starts: float | None = None

    @property
    def given(self) -> dict[str, int | float]:
        """All but the type, by the names they have in Python."""
        return {name: value for name, value in asdict(self).items() if name != "type" and value is not None}


class DeclaredDeployment(_Object, frozen=True, kw_only=True):
    name: str
    process: Process | None = None
    addresses: tuple[str, ...] | None = None
    workload: DeclaredWorkload | None = None
    port: int = 5001
    """Of a Pod, and of an address that has none. A process is told its port."""
    instance_count: int | None = None
    scale_settings: DeclaredScale | None = None
    request_settings: RequestSettings = DEFAULTS.request
    scoring_route: Route = DEFAULTS.scoring_route
    liveness_route: Route = DEFAULTS.liveness_route
    readiness_route: Route = DEFAULTS.readiness_route
    readiness_probe: Probe = DEFAULTS.readiness_probe
    liveness_probe: Probe = DEFAULTS.liveness_probe
    idempotent: bool = DEFAULTS.idempotent
    tls: ReplicaTls | None = None
    traffic_percentile: int | None = None
    is_default: bool | None = None

    @property
    def host_ports(self) -> tuple[str, ...]:
        """The addresses, each as `host:port` or `[v6]:port`."""
        pairs = [parse_address(address, self.port) for address in self.addresses or ()]
        return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in pairs)


class Spec(_Object, frozen=True, kw_only=True):
    auth: Auth = Auth()
    traffic: dict[str, int] | None = None
    max_payload_bytes: int = PAYLOAD_LIMIT_BYTES
    forward_authorization: bool = False
    cors: Cors | None = None
    deployments: tuple[DeclaredDeployment, ...]

    @property
    def splits_the_v1_way(self) -> bool:
        return any(d.traffic_percentile is not None or d.is_default is not None for d in self.deployments)

    def scale_of(self, deployment: DeclaredDeployment) -> ScaleSettings | None:
        """With every default filled in; None for a fixed number of replicas."""
        declared = deployment.scale_settings
        if declared is None or declared.type == "default":
            return None
        defaults = ScaleSettings(max_instances=_V1_MAX_INSTANCES) if self.splits_the_v1_way else ScaleSettings()
        return replace(defaults, **declared.given)

    @property
    def weights(self) -> tuple[tuple[str, int], ...]:
        """Percent for every deployment, in their order. Without any wish, only a single deployment has traffic."""
        names = [deployment.name for deployment in self.deployments]
        if self.traffic is not None:
            return tuple((name, self.traffic.get(name, 0)) for name in names)
        if self.splits_the_v1_way:
            return self._v1_weights()
        return tuple((name, 100 if len(names) == 1 else 0) for name in names)

    def _v1_weights(self) -> tuple[tuple[str, int], ...]:
        """What is left of 100 goes to the default, on top of its own: the first, when none says that it is."""
        weights = {deployment.name: deployment.traffic_percentile or 0 for deployment in self.deployments}
        default = next((d.name for d in self.deployments if d.is_default), self.deployments[0].name)
        weights[default] += 100 - sum(weights.values())
        return tuple(weights.items())


class Declaration(_Object, frozen=True, kw_only=True):
    api_version: str
    kind: str
    metadata: Metadata
    spec: Spec


def problems_between_values(declaration: Declaration) -> Iterator[str]:
    """Each as `path.to[0].field: value, but it rule`. Every single value must have been found right before."""
    spec = declaration.spec
    yield from _name_problems(declaration.metadata.name, spec)
    yield from _auth_problems(spec.auth)
    for index, deployment in enumerate(spec.deployments):
        path = f"spec.deployments[{index}]"
        yield from _replicas_problems(path, deployment)
        yield from _workload_problems(f"{path}.workload", deployment.workload)
        yield from _fixed_count_problems(path, deployment)
        if (scale := spec.scale_of(deployment)) is not None:
            yield from _company_problems(path, deployment)
            yield from _scale_problems(f"{path}.scaleSettings", scale)
    if spec.traffic is not None:
        yield from _traffic_problems(spec, spec.traffic)
    elif spec.splits_the_v1_way:
        yield from _v1_problems(spec)


def _name_problems(endpoint: str, spec: Spec) -> Iterator[str]:
    """Unique in the endpoint, and 62 characters together with its name (azureml-fe's limit)."""
    first_index: dict[str, int] = {}
    for index, deployment in enumerate(spec.deployments):
        path = f"spec.deployments[{index}].name"
        first = first_index.setdefault(deployment.name, index)
        if first != index:
            rule = f"must be unique in the endpoint: spec.deployments[{first}] has it too"
            yield f"{path}: {complaint(deployment.name, rule)}"
        if len(endpoint) + len(deployment.name) > 62:
            rule = "must be at most 62 characters together with the endpoint's name"
            yield f"{path}: {complaint(deployment.name, rule)}"


def _auth_problems(auth: Auth) -> Iterator[str]:
    accepted = (auth.mode, *auth.also_accepts)
    for index, mode in enumerate(auth.also_accepts):
        rule = ""
        if auth.mode == "none":
            rule = "must be left out with mode none, which lets everybody in"
        elif mode in accepted[: index + 1]:
            rule = "must be another than mode and than those before it"
        if rule:
            yield f"spec.auth.alsoAccepts[{index}]: {complaint(mode, rule)}"
    if "jwt" in accepted and auth.jwt is None:
        yield "spec.auth.jwt: missing, but it is required where tokens of an issuer are accepted"
    for field, mode, settings in (("jwt", "jwt", auth.jwt), ("token", "token", auth.token)):
        if settings is not None and mode not in accepted:
            yield f"spec.auth.{field}: given, but it must be left out where neither mode nor alsoAccepts has {mode}"


def _replicas_problems(path: str, deployment: DeclaredDeployment) -> Iterator[str]:
    """Where they come from, and who says how many there are."""
    ways = {"process": deployment.process, "addresses": deployment.addresses, "workload": deployment.workload}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        said = " and ".join(given) or "none"
        yield f"{path}: {said} of process, addresses and workload given, but it must be exactly one"
    if deployment.instance_count is not None:
        if deployment.addresses is not None:
            rule = "must be left out where addresses are given: each is an instance"
            yield f"{path}.instanceCount: {complaint(deployment.instance_count, rule)}"
        if deployment.workload is not None:
            rule = "must be left out where a workload is given: its own spec.replicas is the number"
            yield f"{path}.instanceCount: {complaint(deployment.instance_count, rule)}"
    for address, times in Counter(deployment.host_ports).items():
        if times > 1:
            yield f"{path}.addresses: {address} given {times} times, but it must be unique in the deployment"


def _workload_problems(path: str, workload: DeclaredWorkload | None) -> Iterator[str]:
    if workload is None:
        return
    if workload.selector is not None:
        if workload.kind is not None or workload.name is not None:
            yield f"{path}: kind or name given beside selector, but it must be one way or the other"
    elif workload.kind is None or workload.name is None:
        missing = " and ".join(name for name in ("kind", "name") if getattr(workload, name) is None)
        yield f"{path}: {missing} missing, but it must have kind and name, or a selector"


def _fixed_count_problems(path: str, deployment: DeclaredDeployment) -> Iterator[str]:
    """Azure ML v2: scale settings of type `default` are a fixed number, and hold nothing else."""
    settings = deployment.scale_settings
    if settings is None or settings.type != "default":
        return
    for field in fields(DeclaredScale):
        if field.name in settings.given:
            rule = "must be left out with type default: the number of replicas is instanceCount"
            yield f"{path}.scaleSettings.{field.encode_name}: {complaint(settings.given[field.name], rule)}"


def _company_problems(path: str, deployment: DeclaredDeployment) -> Iterator[str]:
    """What may not stand beside scale settings by which the number of replicas follows the load."""
    if deployment.addresses is not None:
        yield f"{path}.scaleSettings: given beside addresses, but it must be left out: they can't be scaled"
    elif deployment.workload is not None and deployment.workload.selector is not None:
        yield f"{path}.scaleSettings: given beside a selector, but it must be left out: only a workload can be scaled"
    elif deployment.instance_count is not None:
        rule = "must be left out with scaleSettings: the load sets the number, from minInstances to maxInstances"
        yield f"{path}.instanceCount: {complaint(deployment.instance_count, rule)}"
    if deployment.request_settings.max_concurrent_requests_per_instance == 0:
        rule = "must be greater than 0 with scaleSettings: without a limit there is no utilization"
        yield f"{path}.requestSettings.maxConcurrentRequestsPerInstance: {complaint(0, rule)}"


def _scale_problems(path: str, scale: ScaleSettings) -> Iterator[str]:
    if scale.min_instances > scale.max_instances:
        rule = f"must be at most maxInstances, which is {scale.max_instances}"
        yield f"{path}.minInstances: {complaint(scale.min_instances, rule)}"
    if scale.scale_down_window < scale.polling_interval:
        rule = f"must be at least pollingInterval, which is {scale.polling_interval}"
        yield f"{path}.scaleDownWindow: {complaint(scale.scale_down_window, rule)}"


def _traffic_problems(spec: Spec, traffic: dict[str, int]) -> Iterator[str]:
    names = [deployment.name for deployment in spec.deployments]
    for name, percent in traffic.items():
        if name not in names:
            rule = f"must be for a deployment of this endpoint: {', '.join(names)}"
            yield f"spec.traffic.{name}: {complaint(percent, rule)}"
    total = sum(traffic.values())
    if total not in (0, 100):
        yield f"spec.traffic: sums to {total}, but it must be 0 or 100"
    if spec.splits_the_v1_way:
        yield "spec.traffic: given beside trafficPercentile or isDefault, but it must be one way or the other"


def _v1_problems(spec: Spec) -> Iterator[str]:
    """Azure ML v1 (AksEndpoint): percentiles up to 100, one default, six versions."""
    total = sum(deployment.traffic_percentile or 0 for deployment in spec.deployments)
    if total > 100:
        yield f"spec.deployments: trafficPercentile sums to {total}, but it must be at most 100"
    defaults = [deployment.name for deployment in spec.deployments if deployment.is_default]
    if len(defaults) > 1:
        yield f"spec.deployments: isDefault at {', '.join(defaults)}, but it must be at exactly one"
    if len(spec.deployments) > _V1_VERSIONS:
        rule = f"must be at most {_V1_VERSIONS} with trafficPercentile or isDefault"
        yield f"spec.deployments: {len(spec.deployments)} of them, but it {rule}"
