"""Which things does Scoregate speak of?

Pure. The nouns of docs/architecture.md: frozen, compared by value, shared by every platform, the router and the
autoscaler. Names of settings follow Azure ML's v2 YAML in camelCase; defaults are its documented ones.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

PAYLOAD_LIMIT_BYTES = 104_857_600
"""Azure ML's documented limit of a request body: 100 MB."""

AuthMode = Literal["key", "token", "jwt", "none"]
"""`token`: issued by this router; `jwt`: by somebody else, an OIDC issuer."""

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""How a token may be signed (RFC 7518, 8037): never `none`, and never with a secret that verifiers have too."""


class RequestSettings(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How one deployment takes requests."""

    request_timeout_ms: int = 5_000
    """From the moment the request has a slot to the last byte of its reply."""
    max_concurrent_requests_per_instance: int = 1
    """Requests that one replica holds at once; 0 is no limit."""
    max_queue_wait_ms: int = 500
    """How long a request may wait for a slot before 503."""
    max_queue_length: int = 1_000
    """How many requests may wait for a slot; one more is 503 at once."""
    max_cold_start_wait_ms: int = 60_000
    """How long a request may wait instead where there is no ready replica and `minInstances` is 0."""


ScaleType = Literal["targetUtilization", "default"]


class ScaleSettings(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How the number of replicas follows the load. Names and defaults are Azure ML's; the window is ours."""

    type: ScaleType = "targetUtilization"
    """`default` is a fixed number, as in Azure ML's v2: the same as no scale settings."""
    min_instances: int = 1
    """0 lets an idle deployment go to none; its next request waits for a replica."""
    max_instances: int = 1
    target_utilization_percentage: int = 70
    """(in flight + queued) / (replicas x concurrency) that the number of replicas aims for."""
    polling_interval: int = 1
    """Seconds between two looks at the load; a queue that forms is seen at once."""
    scale_down_window: float = 60.0
    """Seconds: the highest need of so long is kept, as far as it is worth it."""
    scale_down_starts: float = 4.0
    """What it is worth: each second in which a replica was needed pays for keeping it so many times its measured
    start time."""


class TokenSettings(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """For how long a token of this router is good. In seconds; Azure ML's figures."""

    refresh_after: int = 43_200
    """A client should ask for the next one when the present one is so old."""
    valid_past_refresh: int = 43_200
    """So much longer it is still taken."""


class JwtSettings(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Whose tokens are taken, and which of them."""

    issuer: str
    """URL of an OIDC issuer, exactly as its tokens have it in `iss`; its discovery document is below it."""
    audiences: tuple[str, ...]
    """A token must be for one of them."""
    required_scopes: tuple[str, ...] = ()
    """Each must be in the token's `scope`, or in `scp` as Entra ID writes it; else 403."""
    required_claims: dict[str, tuple[str, ...]] = {}
    """By the claim's name, values of which it must have one; else 403."""
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    clock_skew: int = 60
    """Seconds that the issuer's clock may differ from this one's."""
    jwks_uri: str | None = None
    """Where the issuer's keys are, when it has no discovery document."""
    ca_bundle: str | None = None
    """PEM certificates that the issuer's own is checked with, instead of the system's."""


class Cors(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What pages of other origins may do, in a browser (the Fetch standard's CORS)."""

    allow_origins: tuple[str, ...]
    """As in https://app.example.com; `*` is any."""
    allow_methods: tuple[str, ...] = ("GET", "POST")
    allow_headers: tuple[str, ...] = (
        "authorization",
        "content-type",
        "azureml-model-deployment",
        "x-ms-client-request-id",
        "x-request-id",
        "traceparent",
    )
    expose_headers: tuple[str, ...] = ("azureml-model-deployment", "x-ms-request-id", "x-request-id", "retry-after")
    max_age: int = 600
    """Seconds that a browser may keep what it was told."""


class ReplicaTls(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How a replica that speaks HTTPS proves who it is."""

    server_name: str | None = None
    """The name in its certificate; its address when not given."""
    ca_bundle: str | None = None
    """PEM certificates that its own is checked with, instead of the system's."""


class Probe(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How a replica is asked whether it is well. Times in seconds, as in Kubernetes and Azure ML's v2 YAML."""

    initial_delay: float = 0.0
    period: float = 1.0
    timeout: float = 2.0
    success_threshold: int = 1
    failure_threshold: int = 30
    """How many probes in a row may go unanswered. A refusal is an answer, and counts as all of them."""


class Route(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Where on a replica something is; no port means the replica's own."""

    path: str
    port: int | None = None


PodsKind = Literal["Deployment", "StatefulSet"]


class Process(Struct, tag="process", frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A replica is a process of this machine. `$(PORT)` in command and env is the port it must listen on."""

    command: tuple[str, ...]
    env: dict[str, str] = {}
    working_dir: str | None = None
    """Relative to the folder of the endpoints file; that folder itself when not given."""


class Addresses(Struct, tag="addresses", frozen=True):
    """Replicas run elsewhere, at `host:port` each."""

    addresses: tuple[str, ...]


class Pods(Struct, tag="pods", frozen=True, kw_only=True):
    """Replicas are Pods of a cluster: those of a workload, or all that carry these labels."""

    namespace: str
    kind: PodsKind | None = None
    """Of the workload that has them; None where labels alone choose them."""
    name: str | None = None
    selector: dict[str, str] = {}
    """The labels, where no workload is named."""
    port: int = 5001


Workload = Process | Addresses | Pods


class Deployment(Struct, frozen=True, kw_only=True):
    """One version behind an endpoint. Its `key` names it among all deployments."""

    endpoint: str
    name: str
    workload: Workload
    instance_count: int = 1
    request: RequestSettings = RequestSettings()
    scale: ScaleSettings | None = None
    """None for a fixed number of replicas."""
    scoring_route: Route = Route(path="/score")
    liveness_route: Route = Route(path="/")
    readiness_route: Route = Route(path="/")
    readiness_probe: Probe = Probe()
    liveness_probe: Probe = Probe(period=10.0)
    idempotent: bool = False
    """Every request may be sent again to another replica after a failure."""
    tls: ReplicaTls | None = None
    """None: replicas speak plain HTTP."""

    @property
    def key(self) -> str:
        return f"{self.endpoint}/{self.name}"

    @property
    def holds_requests(self) -> bool:
        """Whether a request may wait for the first replica to start: the deployment scales to zero."""
        return self.scale is not None and self.scale.min_instances == 0

    def allowed(self, wished: int) -> int:
        """The nearest number of replicas within the deployment's bounds; a fixed number where it does not scale."""
        if self.scale is None:
            return self.instance_count
        return max(self.scale.min_instances, min(self.scale.max_instances, wished))


class RateLimit(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What one consumer may ask of one router process."""

    requests_per_second: float
    burst: int | None = None
    """So many at once, after a rest; a second's worth when not given."""


class NamedHash(Struct, frozen=True, kw_only=True):
    """A named key: of one consumer, who can be cut off alone."""

    name: str
    digest: bytes
    """SHA-256."""
    expires_at_s: float | None = None
    """Seconds since the epoch."""
    rate_limit: RateLimit | None = None


class KeyHashes(Struct, frozen=True):
    """SHA-256 of the primary and the secondary key, and of those with names: all that the router ever holds of
    them."""

    primary: bytes
    secondary: bytes
    named: tuple[NamedHash, ...] = ()


class Endpoint(Struct, frozen=True, kw_only=True):
    """What clients call. `weights` is percent per deployment name, and sums to 0 or 100."""

    name: str
    auth_mode: AuthMode = "key"
    also_accepts: tuple[AuthMode, ...] = ()
    """Other modes whose credentials open it, too."""
    keys: KeyHashes | None = None
    """None while no key is known yet: no key opens it."""
    token: TokenSettings = TokenSettings()
    jwt: JwtSettings | None = None
    """There where tokens of an issuer are accepted."""
    cors: Cors | None = None
    """None: the model answers whatever browsers ask."""
    weights: tuple[tuple[str, int], ...] = ()
    deployments: tuple[Deployment, ...]
    max_payload_bytes: int = PAYLOAD_LIMIT_BYTES
    forward_authorization: bool = False
    keys_secret: str | None = None
    """In a cluster, the Secret that holds the keys; None for `<name>-keys`."""
    creates_keys: bool = True
    """In a cluster, whether that Secret is made, with two new keys, where it is missing."""

    def accepts(self, mode: AuthMode) -> bool:
        return mode == self.auth_mode or mode in self.also_accepts


class Replica(Struct, frozen=True, kw_only=True):
    """One running copy of a deployment. `uid` is its identity; its address may be another's a second later."""

    uid: str
    deployment: str
    """The deployment's key, `endpoint/name`."""
    host: str
    port: int
    ready: bool
    leaving: bool = False
    """Finishes what it has, takes nothing new."""


TroubleKind = Literal["start", "placement", "conflict"]


class Trouble(Struct, frozen=True, kw_only=True):
    """What keeps a deployment from the replicas it should have."""

    deployment: str
    """The deployment's key."""
    kind: TroubleKind
    """Its replicas can't start; there is no room for more of them; or something else scales it, too."""
    reason: str
    """In words, for a client and an operator."""


class Hold(Struct, frozen=True, kw_only=True, rename="camel"):
    """A number of replicas that somebody set by hand, for a while."""

    replicas: int
    until_s: Annotated[float, Meta(ge=0, lt=253_402_300_800)]
    """Seconds since the epoch, before the year 10000; from then on the load sets the number again."""


class Instance(Struct, frozen=True, kw_only=True):
    """One router process: a worker, of which a Pod or a machine may have several."""

    id: str
    admin: str
    """URL of its internal port."""
    peer: str = ""
    """URL of the port where other instances and the autoscaler ask, over mutual TLS; "" where it has none."""
    socket: str = ""
    """Path of the unix socket at which instances of the same machine or Pod meet it; "" where there is none."""
    serves: bool = True
    """Whether requests are sent to it. One that starts or drains is there, and has its load, all the same; one that is
    cut off may be said to be there for long."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """All endpoints, replicas and router instances at one moment."""

    endpoints: tuple[Endpoint, ...] = ()
    replicas: tuple[Replica, ...] = ()
    wished: dict[str, int] = {}
    """The number of replicas that the platform works towards, by deployment key, where it knows one."""
    troubles: tuple[Trouble, ...] = ()
    holds: dict[str, Hold] = {}
    """By deployment key; also those that are over."""
    instances: tuple[Instance, ...] = ()


class InstanceStanding(Struct, frozen=True, kw_only=True, rename="camel"):
    """How one instance looks to another one."""

    id: str
    name: str
    """For a person: of its Pod, or the number of its process."""
    is_self: bool
    up: bool
    """Whether the two are connected; of the one that is asked, always."""
    silent_for_s: float
    """Since something came from it; 0 of the one that is asked."""
    owns: int
    """Deployments whose permits it hands out, as far as the one that is asked knows."""
    view_agrees: bool
    """Whether both see the same instances."""
    in_flight: int | None = None
    """Requests, of all its deployments; None where it does not answer in time."""


class Load(Struct, frozen=True, kw_only=True, rename="camel"):
    """One deployment's load at one moment, as `/load` reports it."""

    endpoint: str
    deployment: str
    concurrency: int
    """Requests one replica holds at once; 0 is no limit."""
    in_flight: int
    queued: int
    busy: int
    """Replicas with at least one request in flight."""
    ready: int
    starting: int
    total: int
    refused_total: int
    """Requests refused for lack of room since the router started; only grows."""
    arrived_total: int
    """Requests that asked for a slot, ever; only grows, like the two below."""
    finished_total: int
    """Slots given back, ever."""
    held_seconds_total: float
    """How long those slots were held, summed up."""
    utilization: float
    """(in flight + queued) / (total x concurrency); 0 for an empty or unlimited deployment."""
    replicas: dict[str, int]
    """Requests in flight, by replica uid."""


class Routing(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one router process tells of its own work, for who decides how many of them there should be. Totals only
    grow while it lives."""

    routed_total: int
    """Requests that went to a replica."""
    route_seconds_total: float
    """The router's own time with them, without the queue, summed up."""
    route_buckets: dict[str, int]
    """How many of them took at most so many seconds, by the bound as the metrics write it, the smallest first."""
    cpu_seconds_total: float
    """Of the process."""
    cpus: float
    """That its Pod or machine may use."""
    most_workers: int
    """So many its Pod or machine may have."""
