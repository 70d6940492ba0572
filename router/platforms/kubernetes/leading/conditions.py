"""What is well with an InferenceEndpoint, what is not, and what is to be done about it?

Pure. Five conditions, from what the cluster was found to be. A message is for whoever has to mend it: what is wrong,
one fault a line, then what to do.

1. Accepted, WorkloadsFound, KeysReady and Ready are "True" where all is well, and so is ScalingActive where the load
   decides the number of a deployment; what can't be known, because nothing is served, is "Unknown".
2. lastTransitionTime changes with `status` alone.
3. Not all that is not "True" is bad: some is wanted, some passes by itself, and some another condition tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from msgspec import Struct

from router.core.model import Deployment, Endpoint, Hold, Trouble, TroubleKind
from router.platforms.kubernetes.cluster import Account

MOST_CHARACTERS = 1_000
"""Of a message. Whoever shows an Event shows no more than 1,024 bytes."""

Truth = Literal["True", "False", "Unknown"]
ConditionType = Literal["Accepted", "WorkloadsFound", "KeysReady", "ScalingActive", "Ready"]


class Condition(Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that must hold for the endpoint to work."""

    type: ConditionType
    """Which thing it is."""
    status: Truth
    """Whether it holds."""
    reason: str
    """Why, in one word for programs."""
    message: str
    """Why, in words, and what to do about it."""
    last_transition_time: str
    """When `status` became what it is."""
    observed_generation: int
    """The generation of the declaration that this is about."""


class KeysFault(NamedTuple):
    """Why a Secret could not be made."""

    is_taken: bool
    """By a Secret of another type."""
    message: str


class Count(Struct, frozen=True):
    """What a snapshot says of one deployment."""

    ready: int = 0
    total: int = 0
    wished: int | None = None
    troubles: tuple[Trouble, ...] = ()


NO_COUNT = Count()


class _Finding(NamedTuple):
    type: ConditionType
    status: Truth
    reason: str
    message: str


_NOT_BAD = frozenset(("FixedNumber", "NoTraffic", "NotServed", "CreatingSecret", "Starting", "SetByHand"))
"""Of the reasons why something is not "True"."""

_TROUBLES: dict[TroubleKind, tuple[str, str]] = {
    "conflict": ("ScaledByAnother", "Remove the other autoscaler, or the deployment's scaleSettings."),
    "placement": ("NoRoom", "Add nodes, raise the quota, or let the replicas ask for less."),
    "start": ("CantStart", "Mend the Pods' image, command or configuration; their logs and Events may say more."),
}
"""By kind, the gravest first: reason, and what to do."""


def conditions_of(
    account: Account,
    before: Sequence[Condition],
    counts: Mapping[str, Count],
    now: datetime,
    keys_fault: KeysFault | None = None,
) -> tuple[Condition, ...]:
    """`before`: what the object says so far. `counts` is by deployment key. `keys_fault`: how the last try to make
    its missing Secret ended, if badly."""
    told = {each.type: each for each in before}
    moment = _moment(now)
    conditions = []
    slept = "Ready" in told and told["Ready"].reason in ("ScaledToZero", "Starting")
    for type_, status, reason, message in _findings(account, counts, keys_fault, slept, now.timestamp()):
        old = told.get(type_)
        conditions.append(
            Condition(
                type=type_,
                status=status,
                reason=reason,
                message=_cut(message),
                last_transition_time=moment if old is None or old.status != status else old.last_transition_time,
                observed_generation=account.generation,
            )
        )
    return tuple(conditions)


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_bad(condition: Condition) -> bool:
    return condition.status != "True" and condition.reason not in _NOT_BAD


def _findings(
    account: Account, counts: Mapping[str, Count], keys_fault: KeysFault | None, slept: bool, now_s: float
) -> list[_Finding]:
    """`slept`: it was scaled to zero, and no replica has been ready since."""
    endpoint = account.endpoint
    if endpoint is None:
        return [_accepted(account), *_nothing_served()]
    of = {each.name: counts.get(each.key, NO_COUNT) for each in endpoint.deployments}
    return [
        _accepted(account),
        _workloads_found(account),
        _keys_ready(account, endpoint, keys_fault),
        _scaling_active(endpoint, of, {name: hold for name, hold in account.holds.items() if hold.until_s > now_s}),
        _ready(endpoint, of, slept),
    ]


def _accepted(account: Account) -> _Finding:
    if account.name_taken_by is not None:
        message = (
            f"{account.name_taken_by} is older and has this name, which must be unique in all namespaces.\n"
            "Rename or delete one of the two."
        )
        return _Finding("Accepted", "False", "NameTaken", message)
    if account.problems:
        meanwhile = "Nothing is served" if account.endpoint is None else "The last good declaration stays in force"
        message = "\n".join((f"{meanwhile} until this is mended:", *account.problems))
        return _Finding("Accepted", "False", "InvalidSpec", message)
    return _Finding("Accepted", "True", "Accepted", "The declaration is in force.")


def _nothing_served() -> list[_Finding]:
    said = "Nothing is served: see Accepted."
    unknown: tuple[ConditionType, ...] = ("WorkloadsFound", "KeysReady", "ScalingActive")
    return [
        *(_Finding(each, "Unknown", "NotServed", said) for each in unknown),
        _Finding("Ready", "False", "NotServed", said),
    ]


def _workloads_found(account: Account) -> _Finding:
    if not account.missing:
        return _Finding("WorkloadsFound", "True", "WorkloadsFound", "Every deployment has its workload.")
    advice = "Create what is missing, or name another workload in spec.deployments."
    return _Finding("WorkloadsFound", "False", "WorkloadMissing", "\n".join((*account.missing, advice)))


def _keys_ready(account: Account, endpoint: Endpoint, fault: KeysFault | None) -> _Finding:
    where = f"Secret {account.secret} in namespace {account.namespace}"
    match account.keys:
        case "unused":
            message = "Requests need no key: neither spec.auth.mode nor alsoAccepts is key."
            return _Finding("KeysReady", "True", "KeysNotUsed", message)
        case "ready":
            return _Finding("KeysReady", "True", "KeysFound", f"{where} holds the keys.")
        case "bad":
            meanwhile = "Nobody gets in" if endpoint.keys is None else "The keys before it still open the endpoint"
            message = f"{account.keys_problem}\n{meanwhile} until it is mended."
            return _Finding("KeysReady", "False", "SecretInvalid", message)
    nobody = f"{where} is missing: nobody gets in."
    if not endpoint.creates_keys:
        advice = "Create it with two keys, or let it be made: spec.auth.createKeys."
        return _Finding("KeysReady", "False", "SecretMissing", f"{nobody}\n{advice}")
    if fault is None:
        return _Finding("KeysReady", "False", "CreatingSecret", f"{where} is being made, with two new keys.")
    if fault.is_taken:
        return _Finding("KeysReady", "False", "SecretInvalid", f"Nobody gets in. {fault.message}")
    return _Finding("KeysReady", "False", "SecretMissing", f"{nobody} It can't be made:\n{fault.message}")


def _scaling_active(endpoint: Endpoint, of: Mapping[str, Count], holds: Mapping[str, Hold]) -> _Finding:
    """`holds`: those that count now."""
    for kind, (reason, advice) in _TROUBLES.items():
        if any(each.kind == kind for count in of.values() for each in count.troubles):
            return _Finding("ScalingActive", "False", reason, "\n".join((*_troubles(of), advice)))
    scaled = [each.name for each in endpoint.deployments if each.scale is not None]
    by_load = [name for name in scaled if name not in holds]
    by_hand = [_by_hand(name, holds[name]) for name in scaled if name in holds]
    if by_load:
        decides = f"The load decides how many replicas {_and(by_load)} {_has(by_load)}."
        return _Finding("ScalingActive", "True", "Scaling", "\n".join((decides, *by_hand)))
    if by_hand:
        return _Finding("ScalingActive", "False", "SetByHand", "\n".join(by_hand))
    message = "No deployment has scaleSettings: each keeps the number of replicas of its workload."
    return _Finding("ScalingActive", "False", "FixedNumber", message)


def _by_hand(name: str, hold: Hold) -> str:
    replicas = f"{hold.replicas} replica{'' if hold.replicas == 1 else 's'}"
    until = _moment(datetime.fromtimestamp(hold.until_s, UTC))
    return f"{name} has {replicas} by hand until {until}; then the load decides again."


def _troubles(of: Mapping[str, Count]) -> list[str]:
    found = [(name, each) for name, count in of.items() for each in count.troubles]
    order = list(_TROUBLES)
    return [f"{name}: {each.reason}" for name, each in sorted(found, key=lambda one: order.index(one[1].kind))]


def _ready(endpoint: Endpoint, of: Mapping[str, Count], slept: bool) -> _Finding:
    taking = [name for name, weight in endpoint.weights if weight > 0]
    if not taking:
        message = (
            "No deployment takes requests, but for those that name it in the header azureml-model-deployment.\n"
            "Give them shares in spec.traffic that sum to 100."
        )
        return _Finding("Ready", "False", "NoTraffic", message)
    without = [name for name in taking if of[name].ready == 0]
    declared = {each.name: each for each in endpoint.deployments}
    if not without:
        return _Finding("Ready", "True", "Ready", f"{_and(taking)} {_has(taking)} ready replicas.")
    lacking = [name for name in without if not _is_at_rest(declared[name], of[name])]
    if not lacking:
        message = f"{_and(without)} {_has(without)} no replica while no request comes; the next request waits for one."
        return _Finding("Ready", "True", "ScaledToZero", message)
    if slept and all(_wakes(declared[name], of[name]) for name in lacking):
        message = "\n".join(f"{name}: requests wait for the first replica to start." for name in lacking)
        return _Finding("Ready", "False", "Starting", message)
    lines = [f"{name}: {_lack(of[name])}" for name in lacking]
    advice = "Look at the other conditions here, and at the Events and logs of the Pods."
    return _Finding("Ready", "False", "NoReadyReplica", "\n".join((*lines, advice)))


def _is_at_rest(deployment: Deployment, count: Count) -> bool:
    return deployment.holds_requests and count.wished == 0 and not count.troubles


def _wakes(deployment: Deployment, count: Count) -> bool:
    return deployment.holds_requests and bool(count.wished) and not count.troubles


def _lack(count: Count) -> str:
    return f"none of {count.total} replicas is ready" if count.total else "there is no replica"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _and(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
