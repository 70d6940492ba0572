"""What does a configuration of Azure ML's v1 say?

Pure. Three spellings of the same settings: deploymentconfig.json of the CLI, the keyword arguments of
`AksWebservice.deploy_configuration` and `AksEndpoint.deploy_configuration`, and a webservice that runs, as
`webservice.serialize()` gives it. Where a file is silent, v1's documented defaults hold, and are written down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from router.migrate.fields import Findings, Given, Leave, Pass, Table, Take, plain, sort
from router.migrate.parts import (
    AZURE,
    COLLECTING,
    INSIGHTS,
    LABELS,
    NO_SCALING,
    OTHER_TOKENS,
    PROBES,
    WORKLOAD,
    Part,
    Version,
    boolean,
    default,
    text,
    whole,
)

_KEYS = "a key belongs into the endpoint's Secret of type scoregate.io/keys, and into no other file"
_LABEL_ONLY = "in Azure ML, too, only a label"
_LONGEST_TWICE = 31
"""Names of an endpoint and a deployment have at most 62 characters together."""

_CARRIED = {
    "autoScaler.minReplicas autoscale_min_replicas": "scaleSettings.minInstances",
    "autoScaler.maxReplicas autoscale_max_replicas": "scaleSettings.maxInstances",
    "autoScaler.targetUtilization autoscale_target_utilization": "scaleSettings.targetUtilizationPercentage",
    "autoScaler.refreshPeriodInSeconds autoscale_refresh_seconds": "scaleSettings.pollingInterval",
    "scoringTimeoutMs scoring_timeout_ms": "requestSettings.requestTimeoutMs",
    "maxQueueWaitMs max_request_wait_time": "requestSettings.maxQueueWaitMs",
    "maxConcurrentRequestsPerContainer replica_max_concurrent_requests": (
        "requestSettings.maxConcurrentRequestsPerInstance"
    ),
    "trafficPercentile traffic_percentile": "trafficPercentile",
    "isDefault is_default": "isDefault",
    "autoScaler.autoscaleEnabled autoscale_enabled": "autoscale",
    "numReplicas num_replicas": "count",
    "authEnabled auth_enabled": "auth",
    "tokenAuthEnabled aadAuthEnabled token_auth_enabled": "token",
    "name": "name",
    "version_name versionName": "version",
    "namespace": "namespace",
}
_LEFT = {
    WORKLOAD: "containerResourceRequirements.cpu containerResourceRequirements.cpuLimit "
    "containerResourceRequirements.memoryInGB containerResourceRequirements.memoryInGBLimit "
    "containerResourceRequirements.gpu containerResourceRequirements.fpga gpuCores cpu_cores cpu_cores_limit memory_gb "
    "memory_gb_limit gpu_cores blobfuseEnabled blobfuse_enabled",
    PROBES: "livenessProbeRequirements.periodSeconds livenessProbeRequirements.initialDelaySeconds "
    "livenessProbeRequirements.timeoutSeconds livenessProbeRequirements.successThreshold "
    "livenessProbeRequirements.failureThreshold period_seconds initial_delay_seconds timeout_seconds "
    "success_threshold failure_threshold",
    INSIGHTS: "appInsightsEnabled enable_app_insights",
    COLLECTING: "dataCollection.storageEnabled dataCollection.eventHubEnabled collect_model_data",
    LABELS: "tags kvTags properties description",
    _KEYS: "keys.primaryKey keys.secondaryKey primaryKey secondaryKey primary_key secondary_key",
    _LABEL_ONLY: "versionType is_control_version_type",
    AZURE: "sslEnabled sslCertificate sslKey cname",
}
_PASSED = (
    "computeType compute_type computeName compute_target_name computeTargetName id state createdTime updatedTime error "
    "workspaceName workspaceId subscriptionId resourceGroup location scoringUri swaggerUri port imageId imageDetails "
    "image imageDigest environmentDetails environment modelDetails models modelConfigMap deploymentStatus "
    "deploymentType creationState provisioningState operationId overwrite etag versions"
)
TABLE: Table = {
    **{path: Take(name) for paths, name in _CARRIED.items() for path in paths.split()},
    **{path: Leave(why) for why, paths in _LEFT.items() for path in paths.split()},
    **{path: Pass() for path in _PASSED.split()},
}


def read_v1(document: Mapping[Any, Any], file: str, name: str | None, findings: Findings) -> Iterator[Part]:
    """What this document says; `name` is the endpoint's where the document has none, as deploymentconfig.json."""
    public = {field: value for field, value in document.items() if not str(field).startswith("_")}  # of vars(...)
    versions = public.get("versions")
    taken = sort(public, TABLE, file, findings)
    endpoint = text(taken.get("name"), findings) or name
    if endpoint is None:
        findings.problems.append(f"{file}: has no name of an endpoint: say it with --name NAME or --name {file}=NAME")
        return
    if not isinstance(versions, dict) or not versions:
        yield _part(taken, endpoint, text(taken.get("version"), findings), file, findings)
        return
    yield Part(
        file=file, endpoint=endpoint, namespace=taken.get("namespace"), auth=_auth(taken, findings), is_endpoint=True
    )
    for version, settings in versions.items():
        place = f"{file}: versions.{plain(version)}"
        if isinstance(settings, dict):
            yield _part(sort(settings, TABLE, place, findings), endpoint, str(version), place, findings)
        else:
            findings.problems.append(f"{place}: must be a mapping")


def _part(taken: dict[str, Given], endpoint: str, version: str | None, file: str, findings: Findings) -> Part:
    settings = {"requestSettings.requestTimeoutMs": default(60_000)}
    settings |= {path: whole(given) for path, given in taken.items() if path.startswith("requestSettings.")}
    settings |= {path: taken[path] for path in ("isDefault",) if path in taken}
    settings |= {path: whole(taken[path]) for path in ("trafficPercentile",) if path in taken}
    scaled = _is_scaled(taken, findings)
    scale = {path: whole(given) for path, given in taken.items() if path.startswith("scaleSettings.")}
    if scaled:
        defaults = {"scaleSettings.minInstances": default(1), "scaleSettings.maxInstances": default(10)}
        settings |= {**defaults, **scale}
    elif scale:
        names = ", ".join(given.path for given in scale.values())
        findings.warnings.append(f"{file}: {names}: not carried over: {NO_SCALING}")
    name = version or (endpoint if len(endpoint) <= _LONGEST_TWICE else "default")  # of its workload, as if adopted
    return Part(
        file=file,
        endpoint=endpoint,
        namespace=taken.get("namespace"),
        auth=_auth(taken, findings),
        version=Version(
            name=name,
            file=file,
            settings=settings,
            workload=(f"{endpoint}-{name}" if version else endpoint).lower(),
            is_guess=version is not None,  # of a service without versions, Azure ML's documentation says it
            scaled=scaled,
            count=taken.get("count"),
            splits_the_v1_way=True,
        ),
    )


def _is_scaled(taken: dict[str, Given], findings: Findings) -> bool:
    """On unless a number is given (contract: v1's `autoscale_enabled`)."""
    wish = boolean(taken.get("autoscale"), findings)
    count = taken.get("count")
    return wish if wish is not None else count is None or count.value == 0


def _auth(taken: dict[str, Given], findings: Findings) -> Given | None:
    """Never more open than it was."""
    token, key = taken.get("token"), taken.get("auth")
    if boolean(token, findings) and token is not None:
        findings.warnings.append(f"{token.file}: {token.path}: true: {OTHER_TOKENS}")
        return token._replace(value="token")
    wish = boolean(key, findings)
    return None if key is None or wish is None else key._replace(value="key" if wish else "none")
