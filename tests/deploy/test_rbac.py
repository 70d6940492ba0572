"""May the router and the autoscaler do what they do, and nothing else?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.shipped import DEFINITION, Object, one, rendered
from tests.kubernetes.cluster import Cluster

READS = ("list", "watch")
READ_BY_ROUTERS = {
    "scoregate.io": ["inferenceendpoints"],
    "": ["pods", "secrets"],
    "apps": ["deployments", "statefulsets"],
}
Right = tuple[str, str, str, str]
"""Verb, group, resource with its subresource, name or "" for any."""

READ: set[Right] = {
    (verb, group, resource, "") for group, all_ in READ_BY_ROUTERS.items() for resource in all_ for verb in READS
}
ADMINISTERS: set[Right] = {
    *((verb, "scoregate.io", "inferenceendpoints", "") for verb in ("get", "patch")),
    ("patch", "", "secrets", ""),
    ("patch", "", "pods/status", ""),
}
ROUTER: set[Right] = READ
ADMINISTRATION = "--set=administration.enabled=true"
MAKES_KEYS: set[Right] = {("create", "", "secrets", ""), ("get", "", "secrets", "")}
AUTOSCALER: set[Right] = READ | {
    *((verb, "autoscaling", "horizontalpodautoscalers", "") for verb in READS),
    ("patch", "scoregate.io", "inferenceendpoints/status", ""),
    *((verb, "apps", f"{kind}/scale", "") for verb in ("get", "patch") for kind in ("deployments", "statefulsets")),
    ("patch", "", "pods/status", ""),
    ("create", "", "events", ""),
    *MAKES_KEYS,
}
VAULT: set[Right] = {(verb, "", "secrets", "scoregate-vault") for verb in ("get", "list", "watch", "patch")}
OWN_SIZE: set[Right] = {
    *(
        (verb, "apps", kind, "scoregate-router")
        for verb in ("get", "patch")
        for kind in ("deployments", "deployments/scale")
    ),
    ("list", "autoscaling", "horizontalpodautoscalers", ""),
}
ROUTER_AT_HOME: set[Right] = VAULT | {(verb, "", "pods", "") for verb in READS}
AT_HOME: set[Right] = ROUTER_AT_HOME | {
    ("create", "coordination.k8s.io", "leases", ""),
    ("get", "coordination.k8s.io", "leases", "scoregate-autoscaler"),
    ("update", "coordination.k8s.io", "leases", "scoregate-autoscaler"),
    *OWN_SIZE,
}
HOMES = {
    ("Role", "scoregate-router-home", "scoregate"): ROUTER_AT_HOME,
    ("Role", "scoregate-autoscaler-home", "scoregate"): AT_HOME,
}
NEVER: set[Right] = {
    ("delete", "", "pods", ""),
    ("create", "", "pods", ""),
    ("patch", "", "pods", ""),
    ("create", "", "pods/exec", ""),
    ("update", "", "secrets", ""),
    ("delete", "", "secrets", ""),
    ("patch", "apps", "deployments", ""),
    ("update", "scoregate.io", "inferenceendpoints", ""),
    ("delete", "coordination.k8s.io", "leases", ""),
    ("update", "coordination.k8s.io", "leases", "another"),
    ("get", "", "configmaps", ""),
    ("create", "rbac.authorization.k8s.io", "roles", ""),
}


def rights(role: Object) -> set[Right]:
    return {
        (verb, group, resource, name)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }


def roles(*values: str) -> dict[tuple[str, str, str], set[Right]]:
    """By kind, name and namespace."""
    return {
        (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace", "")): rights(each)
        for each in rendered(*values)
        if each["kind"] in ("Role", "ClusterRole")
    }


def test_each_has_the_rights_that_it_uses_and_no_other() -> None:
    assert roles() == {
        ("ClusterRole", "scoregate-router", ""): ROUTER,
        ("ClusterRole", "scoregate-autoscaler", ""): AUTOSCALER,
        **HOMES,
    }


def test_where_namespaces_are_named_nobody_has_rights_beyond_them() -> None:
    assert roles("--set=watchNamespaces={a,b}") == {
        ("Role", "scoregate-router", "a"): ROUTER,
        ("Role", "scoregate-router", "b"): ROUTER,
        ("Role", "scoregate-autoscaler", "a"): AUTOSCALER,
        ("Role", "scoregate-autoscaler", "b"): AUTOSCALER,
        **HOMES,
    }


def test_nobody_may_make_secrets_where_keys_are_not_made() -> None:
    assert roles("--set=autoscaler.createKeys=false") == {
        ("ClusterRole", "scoregate-router", ""): ROUTER,
        ("ClusterRole", "scoregate-autoscaler", ""): AUTOSCALER - MAKES_KEYS,
        **HOMES,
    }


def test_routers_change_what_is_yours_only_where_that_is_wanted() -> None:
    assert roles(ADMINISTRATION) == {
        ("ClusterRole", "scoregate-router", ""): ROUTER | ADMINISTERS,
        ("ClusterRole", "scoregate-autoscaler", ""): AUTOSCALER,
        **HOMES,
    }


@pytest.mark.parametrize("off", ["selfScaling.enabled=false", "clusterPurpose=DevTest"])
def test_nobody_may_change_the_routers_where_their_size_stays(off: str) -> None:
    assert roles(f"--set={off}")["Role", "scoregate-autoscaler-home", "scoregate"] == AT_HOME - OWN_SIZE


def test_the_routers_whose_size_changes_are_those_of_the_release() -> None:
    found = roles("--set=fullnameOverride=mine")["Role", "mine-autoscaler-home", "scoregate"]
    assert {name for _, group, _, name in found if group == "apps"} == {"mine-router"}


def test_the_vault_of_a_release_has_its_name() -> None:
    found = rendered("--set=fullnameOverride=mine")
    (secret,) = (each for each in found if each["kind"] == "Secret")
    assert (secret["metadata"]["name"], secret["metadata"]["namespace"]) == ("mine-vault", "scoregate")
    home = {right for each in found if each["kind"] == "Role" for right in rights(each)}
    assert {name for _, _, resource, name in home if resource == "secrets"} == {"mine-vault"}
    for component in ("router", "autoscaler"):
        (pod,) = one(found, "Deployment", f"mine-{component}")["spec"]["template"]["spec"]["containers"]
        assert {"name": "SCOREGATE_VAULT", "value": "mine-vault"} in pod["env"]


def test_nothing_is_asked_for_with_a_star() -> None:
    assert not [right for each in roles(ADMINISTRATION).values() for right in each if "*" in right]


@pytest.mark.parametrize("values", [(), ("--set=watchNamespaces={scoregate,b}",)])
def test_each_binding_binds_a_role_to_the_account_of_the_pods(values: tuple[str, ...]) -> None:
    found = rendered(*values)
    accounts = {each["metadata"]["name"] for each in found if each["kind"] == "ServiceAccount"}
    used = {each["spec"]["template"]["spec"]["serviceAccountName"] for each in found if each["kind"] == "Deployment"}
    assert accounts == used == {"scoregate-router", "scoregate-autoscaler"}
    bound = set()
    for each in (each for each in found if each["kind"].endswith("Binding")):
        kind, name, namespace = each["roleRef"]["kind"], each["roleRef"]["name"], each["metadata"].get("namespace", "")
        (subject,) = each["subjects"]
        assert subject["namespace"] == "scoregate"
        assert name.startswith(subject["name"])
        bound.add((kind, name, namespace))
    assert bound == roles(*values).keys()


@pytest.fixture
def installed(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """The chart's accounts and roles: the namespace they live in, and the one that they watch."""
    cluster.kubectl("apply", "-f", str(DEFINITION))
    with cluster.namespace("f") as home, cluster.namespace("f") as watched:
        given = rendered(f"--namespace={home}", f"--set=watchNamespaces={{{watched}}}", ADMINISTRATION)
        wanted = [each for each in given if each["kind"] in ("ServiceAccount", "Role", "RoleBinding")]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted})
        cluster.kubectl("apply", "-f", "-", text=text)
        yield home, watched


def may(cluster: Cluster, account: str, home: str, namespace: str, right: Right) -> bool:
    """What the API server's own authorizer says."""
    verb, group, resource, name = right
    kind, _, subresource = resource.partition("/")
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": kind, "subresource": subresource}
    review: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:{home}:{account}", "resourceAttributes": {**asked, "name": name}},
    }
    answer = cluster.kubectl("create", "-f", "-", "-o", "json", text=json.dumps(review))
    return bool(json.loads(answer)["status"]["allowed"])


def test_a_real_authorizer_allows_what_is_needed_where_it_is_needed(
    cluster: Cluster, installed: tuple[str, str]
) -> None:
    home, watched = installed
    for account, allowed in (("scoregate-router", ROUTER | ADMINISTERS), ("scoregate-autoscaler", AUTOSCALER)):
        refused = [right for right in sorted(allowed) if not may(cluster, account, home, watched, right)]
        assert refused == [], account
        granted = [right for right in sorted(NEVER) if may(cluster, account, home, watched, right)]
        assert granted == [], account
    for account, allowed in (("scoregate-router", ROUTER_AT_HOME), ("scoregate-autoscaler", AT_HOME)):
        assert [right for right in sorted(allowed) if not may(cluster, account, home, home, right)] == []
        for name in ("another", ""):
            assert not may(cluster, account, home, home, ("patch", "apps", "deployments", name))
        for verb in ("get", "list", "patch"):
            assert not may(cluster, account, home, home, (verb, "", "secrets", ""))
            assert not may(cluster, account, home, home, (verb, "", "secrets", "another"))
    assert not may(cluster, "scoregate-router", home, "default", ("list", "", "secrets", ""))
    assert not may(cluster, "scoregate-router", home, watched, ("get", "", "secrets", "")), "a list says it"
    for right in sorted(ADMINISTERS - AUTOSCALER):
        assert not may(cluster, "scoregate-autoscaler", home, watched, right)
    assert not may(
        cluster, "scoregate-router", home, watched, ("patch", "scoregate.io", "inferenceendpoints/status", "")
    )
