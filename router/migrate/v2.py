"""What do an online endpoint and an online deployment of Azure ML's v2 say?

Pure. The YAML of CLI and SDK v2, or what `az ml online-endpoint show` and `az ml online-deployment show` print.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router.migrate.fields import Findings, Given, Leave, Pass, Table, Take, plain, sort
from router.migrate.parts import (
    AZURE,
    COLLECTING,
    INSIGHTS,
    LABELS,
    NO_ISSUER,
    NO_SCALING,
    OTHER_TOKENS,
    PROBES,
    WORKLOAD,
    Part,
    Version,
    default,
    text,
    whole,
)

_COMPUTE = "the cluster is the one that you apply this to, the namespace that of --namespace"
_MIRROR = "not supported yet by this version"
_MANAGED = "it runs in Azure, not in a cluster: run the same image as a Deployment first, and say which with --workload"

_CARRIED = {
    "request_timeout_ms": "requestTimeoutMs",
    "max_concurrent_requests_per_instance": "maxConcurrentRequestsPerInstance",
    "max_queue_wait_ms": "maxQueueWaitMs",
}
_SCALING = {
    "min_instances": "minInstances",
    "max_instances": "maxInstances",
    "target_utilization_percentage": "targetUtilizationPercentage",
    "polling_interval": "pollingInterval",
}
_PROBE = ("initial_delay", "period", "timeout", "success_threshold", "failure_threshold")
_PASSED = ("$schema", "type", "kind", "id", "location", "provisioning_state", "resourceGroup", "creation_context")
_OF_THE_WORKLOAD = (
    *("model", "model_mount_path", "code_configuration", "code_path", "scoring_script", "environment"),
    *("environment_variables", "instance_type", "resources"),
)
_COMMON: Table = {
    "name": Take("name"),
    **{path: Leave(LABELS) for path in ("tags", "properties", "description")},
    **{path: Pass() for path in _PASSED},
}
ENDPOINT: Table = {
    **_COMMON,
    "auth_mode": Take("auth"),
    "traffic": Take("traffic"),
    "compute": Leave(_COMPUTE),
    "mirror_traffic": Leave(_MIRROR),
    **{path: Leave(AZURE) for path in ("identity", "public_network_access")},
    **{path: Pass() for path in ("scoring_uri", "openapi_uri", "principal_id")},
}
DEPLOYMENT: Table = {
    **_COMMON,
    "endpoint_name": Take("endpoint"),
    **{f"request_settings.{path}": Take(f"requestSettings.{name}") for path, name in _CARRIED.items()},
    **{f"scale_settings.{path}": Take(f"scaleSettings.{name}") for path, name in _SCALING.items()},
    "scale_settings.type": Take("scale type"),
    "scale_settings.scale_type": Take("scale type"),
    "instance_count": Take("count"),
    **{f"{probe}.{path}": Leave(PROBES) for probe in ("liveness_probe", "readiness_probe") for path in _PROBE},
    **{path: Leave(WORKLOAD) for path in _OF_THE_WORKLOAD},
    "app_insights_enabled": Leave(INSIGHTS),
    "data_collector": Leave(COLLECTING),
    **{path: Leave(AZURE) for path in ("egress_public_network_access", "private_network_connection")},
}
_ROUTES: Table = {
    "scoring_route.path": Take("scoringRoute.path"),
    "scoring_route.port": Take("port"),
    **{f"{route}_route.{path}": Leave(PROBES) for route in ("liveness", "readiness") for path in ("path", "port")},
}


def read_endpoint(document: Mapping[Any, Any], file: str, findings: Findings) -> Part | None:
    _warn_if_managed(document, file, findings)
    taken = sort(document, ENDPOINT, file, findings)
    name = text(taken.get("name"), findings)
    if name is None:
        findings.problems.append(f"{file}: name: missing, but it is required")
        return None
    return Part(
        file=file, endpoint=name, auth=_auth(taken, findings), traffic=_traffic(taken, findings), is_endpoint=True
    )


def read_deployment(document: Mapping[Any, Any], file: str, of: str | None, findings: Findings) -> Part | None:
    """`of` is its endpoint where the document names none: the command line named it, then."""
    managed = _warn_if_managed(document, file, findings)
    taken = sort(document, DEPLOYMENT, file, findings)
    taken |= _routes(document, file, findings)
    name, endpoint = text(taken.get("name"), findings), text(taken.get("endpoint"), findings) or of
    missing = [field for field, value in {"name": name, "endpoint_name": endpoint}.items() if value is None]
    findings.problems.extend(f"{file}: {field}: missing, but it is required" for field in missing)
    if name is None or endpoint is None:
        return None
    labels = {"ml.azure.com/endpoint-name": endpoint, "ml.azure.com/deployment-name": name}
    scaled = _is_scaled(taken, document, findings)
    version = Version(
        name=name,
        file=file,
        settings=_settings(taken, scaled, findings),
        workload=f"{name}-{endpoint}".lower(),
        is_guess=True,
        labels={} if managed else labels,
        scaled=scaled,
        count=taken.get("count"),
    )
    return Part(file=file, endpoint=endpoint, version=version)


def _settings(taken: dict[str, Given], scaled: bool, findings: Findings) -> dict[str, Given]:
    plain_ones = ("scoringRoute.path", "port")
    settings = {p: whole(given) for p, given in taken.items() if p.startswith("requestSettings.") or p in plain_ones}
    scale = {path: whole(given) for path, given in taken.items() if path.startswith("scaleSettings.")}
    if scaled:
        defaults = {"scaleSettings.minInstances": default(1), "scaleSettings.maxInstances": default(1)}
        return {**settings, **defaults, **scale}
    for given in scale.values():
        findings.warnings.append(f"{given.file}: {given.path}: not carried over: {NO_SCALING}")
    return settings


def _is_scaled(taken: dict[str, Given], document: Mapping[Any, Any], findings: Findings) -> bool:
    """Azure ML: scale settings follow the load unless their type is `default`; without any, the number is fixed."""
    given = taken.get("scale type")
    if given is None:
        return bool(document.get("scale_settings"))
    match _folded(given.value):
        case "targetutilization":
            return True
        case "default":
            return False
    findings.problems.append(given.complaint("must be target_utilization or default"))
    return False


def _routes(document: Mapping[Any, Any], file: str, findings: Findings) -> dict[str, Given]:
    """A container of one's own says in its environment where it scores."""
    match document:
        case {"environment": {"inference_config": dict(config)}}:
            place = f"{file}: environment.inference_config"
            return sort(config, _ROUTES, place, findings)
    return {}


def _auth(taken: dict[str, Given], findings: Findings) -> Given | None:
    """Never more open than it was."""
    given = taken.get("auth")
    if given is None:
        return None
    match _folded(given.value):
        case "key":
            pass
        case "amltoken":
            findings.warnings.append(f"{given.file}: {given.path}: aml_token: {OTHER_TOKENS}")
            return given._replace(value="token")
        case "aadtoken":
            findings.warnings.append(f"{given.file}: {given.path}: aad_token: {NO_ISSUER}")
        case _:
            findings.problems.append(given.complaint("must be key, aml_token or aad_token"))
    return given._replace(value="key")


def _traffic(taken: dict[str, Given], findings: Findings) -> Given | None:
    given = taken.get("traffic")
    if given is None or not given.value:  # what a new endpoint says: nothing is known of the split
        return None
    if not isinstance(given.value, dict):
        findings.problems.append(given.complaint("must be a mapping of deployments to percent"))
        return None
    percents = {plain(name): whole(Given(percent, "", "")).value for name, percent in given.value.items()}
    return given._replace(value=percents)


def _warn_if_managed(document: Mapping[Any, Any], file: str, findings: Findings) -> bool:
    said = (_folded(document.get("type")), _folded(document.get("kind")))
    managed = "managed" in said or "managedonline" in _folded(document.get("$schema"))
    if managed:
        what = "deployment" if "endpoint_name" in document else "endpoint"
        findings.warnings.append(f"{file}: a managed {what}: {_MANAGED}")
    return managed


def _folded(value: object) -> str:
    """TargetUtilization, target_utilization: the CLI takes both."""
    return value.replace("_", "").lower() if isinstance(value, str) else ""
