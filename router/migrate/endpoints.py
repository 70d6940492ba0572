"""Which InferenceEndpoints do all these parts make?

Pure. The parts of one endpoint are put together; what they leave open is guessed where a guess is likely, and said to
be one. The result is checked as the router checks it, and what is wrong is told by the name it has in its own file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.core.declare import DeclarationError, declared_resource
from router.core.rules import API_VERSION, KIND, NAMESPACE_RULE, is_namespace
from router.migrate.fields import Findings, Given, plain
from router.migrate.parts import Part, Version


@dataclass(frozen=True)
class Resource:
    """One InferenceEndpoint as plain objects, and what a reader should know of it."""

    document: dict[str, Any]
    comments: tuple[str, ...]


@dataclass(frozen=True)
class Choices:
    """What the command line says. `workloads` is kind and name by `deployment` or `endpoint/deployment`."""

    namespace: str | None
    workloads: Mapping[str, tuple[str, str]]


class _Assembly:
    """One endpoint while it is put together."""

    def __init__(self, name: str, parts: Sequence[Part], choices: Choices, findings: Findings) -> None:
        self.name = name
        self.used: set[str] = set()
        """Names in `choices.workloads` that were found."""
        self._parts = parts
        self._choices = choices
        self._findings = findings
        self._versions = [part.version for part in parts if part.version is not None]
        self._said: dict[str, Given] = {}
        """By path in the resource, where its value comes from."""
        self._comments: list[str] = []

    def resource(self) -> Resource | None:
        """None where a problem was found."""
        before = len(self._findings.problems)
        self._check_parts()
        namespace = self._namespace()
        spec: dict[str, Any] = {"auth": {"mode": self._auth()}}
        if (traffic := self._traffic()) is not None:
            spec["traffic"] = traffic
        spec["deployments"] = [
            self._deployment(index, version, namespace) for index, version in enumerate(self._versions)
        ]
        self._split_the_v1_way(spec["deployments"])
        metadata = {"name": self.name} | ({"namespace": namespace} if namespace else {})
        document = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
        if len(self._findings.problems) == before:
            self._check(document, namespace)
        if len(self._findings.problems) > before:
            return None
        files = ", ".join(dict.fromkeys(plain(part.file) for part in self._parts))
        return Resource(document, (f"From {files}.", *self._comments))

    def _check_parts(self) -> None:
        problems = self._findings.problems
        declaring = [part.file for part in self._parts if part.is_endpoint]
        if len(declaring) > 1:
            problems.append(f"{self._label}: declared by {' and by '.join(declaring)}, but it must be by one")
        if not self._versions:
            problems.append(f"{self._label}: no file declares a deployment of it: give the deployment's file, too")
        files: dict[str, str] = {}
        for version in self._versions:
            if version.name in files:
                label = f"{self._label}: deployment {plain(version.name)}"
                problems.append(
                    f"{label}: declared by {files[version.name]} and by {version.file}, but it must be by one"
                )
            files.setdefault(version.name, version.file)

    @property
    def _label(self) -> str:
        return plain(self.name)

    def _namespace(self) -> str | None:
        said = [part.namespace for part in self._parts if part.namespace is not None]
        if self._choices.namespace is not None:
            return self._choices.namespace
        for given in said:
            if not isinstance(given.value, str) or not is_namespace(given.value):
                self._findings.problems.append(given.complaint(NAMESPACE_RULE))
        self._must_agree("namespace", said)
        return said[0].value if said else None

    def _auth(self) -> str:
        said = [part.auth for part in self._parts if part.auth is not None]
        self._must_agree("authentication", said)
        if not said:
            return "key"  # the default of both versions
        if said[0].value == "none":
            where = f"{said[0].path} is false in {said[0].file}"
            self._comments.append(
                f"Without authentication, as before ({where}): whoever reaches the router may call it."
            )
        return str(said[0].value)

    def _must_agree(self, what: str, said: Sequence[Given]) -> None:
        for given in said[1:]:
            if given.value != said[0].value:
                problem = f"{what} differs between {said[0].file} and {given.file}, but it must be the same"
                self._findings.problems.append(f"{self._label}: {problem}")

    def _traffic(self) -> dict[str, Any] | None:
        given = next((part.traffic for part in self._parts if part.traffic is not None), None)
        names = [version.name for version in self._versions]
        if given is None:
            self._warn_of_unknown_traffic(names)
            return None
        for name in given.value:
            if name not in names:
                place = f"{given.file}: {given.path}.{name}"
                self._findings.problems.append(f"{place}: no file declares a deployment {name} of {self._label}")
            self._said[f"spec.traffic.{name}"] = given._replace(path=f"{given.path}.{name}")
        self._said["spec.traffic"] = given
        return dict(given.value)

    def _warn_of_unknown_traffic(self, names: Sequence[str]) -> None:
        if len(names) < 2 or any(version.splits_the_v1_way for version in self._versions):
            return
        self._findings.warnings.append(
            f"{self._label}: spec.traffic: not known, so none of {', '.join(map(plain, names))} gets any: write it "
            f"into the result; `az ml online-endpoint show -n {self._label} --query traffic` says what it was"
        )

    def _split_the_v1_way(self, deployments: Sequence[dict[str, Any]]) -> None:
        """v1: all goes to the first that was created, where nothing is said."""
        if len(deployments) < 2 or not all(version.splits_the_v1_way for version in self._versions):
            return
        if not any("trafficPercentile" in deployment or "isDefault" in deployment for deployment in deployments):
            deployments[0]["isDefault"] = True
            self._comments.append(f"{deployments[0]['name']} is the first given, so it has all traffic: as v1 does it.")

    def _deployment(self, index: int, version: Version, namespace: str | None) -> dict[str, Any]:
        path = f"spec.deployments[{index}]"
        workload = self._workload(version, namespace)
        deployment: dict[str, Any] = {"name": version.name, "workload": workload}
        for name, given in version.settings.items():
            self._said[f"{path}.{name}"] = given
            parent, _, field = name.rpartition(".")
            (deployment.setdefault(parent, {}) if parent else deployment)[field] = given.value
        if version.count is not None:
            self._warn_of_count(version.count, version, workload, namespace)
        return deployment

    def _workload(self, version: Version, namespace: str | None) -> dict[str, Any]:
        keys = [f"{self.name}/{version.name}", version.name, *([self.name] if len(self._versions) == 1 else [])]
        for key in keys:
            if key in self._choices.workloads:
                self.used.add(key)
                kind, name = self._choices.workloads[key]
                return {"kind": kind, "name": name}
        if version.labels and not version.scaled:
            self._comments.append(f"{plain(version.name)}: the Pods that carry the labels of Azure ML's extension.")
            return {"selector": dict(version.labels)}
        if version.is_guess:
            self._guess(version, namespace)
        return {"kind": "Deployment", "name": version.workload}

    def _guess(self, version: Version, namespace: str | None) -> None:
        key, name = plain(version.name), plain(version.workload)
        labels = [f"{label}={value}" for label, value in version.labels.items()] or ["isazuremlapp=true"]
        look = f"kubectl {_in(namespace)}get deployments -l {','.join(labels)}"
        self._comments.append(f"{key}: the name of its workload, {name}, is a guess.")
        self._findings.warnings.append(
            f"{version.file}: {key}: the name of its workload, Deployment {name}, is a guess: `{look}` shows it; say "
            f"it with --workload {key}=Deployment/NAME"
        )

    def _warn_of_count(
        self, count: Given, version: Version, workload: Mapping[str, Any], namespace: str | None
    ) -> None:
        if version.scaled:
            why = "the load sets the number of replicas"
        elif "name" in workload:
            command = f"kubectl {_in(namespace)}scale {workload['kind'].lower()}/{workload['name']}"
            why = f"the number of replicas is the workload's own: `{command} --replicas={plain(count.value)}` sets it"
        else:
            why = "the number of replicas is the workload's own: `kubectl scale` sets it"
        shown = plain(count.value) if isinstance(count.value, int | float) else "a number"
        self._findings.warnings.append(f"{count.file}: {count.path}: {shown}: not carried over: {why}")

    def _check(self, document: Mapping[str, Any], namespace: str | None) -> None:
        try:
            declared_resource(document, namespace or "default")
        except DeclarationError as error:
            self._findings.problems.extend(map(self._as_given, error.problems))

    def _as_given(self, problem: str) -> str:
        """By the file and the field that the user knows, where there is one."""
        path, _, rest = problem.partition(": ")
        given = self._said.get(path)
        if given is None or not given.file:
            return f"{self._label}: {problem}"
        return f"{given.file}: {given.path}: {rest}"


def _in(namespace: str | None) -> str:
    return f"-n {namespace} " if namespace else ""


def resources(parts: Sequence[Part], choices: Choices, findings: Findings) -> Iterator[Resource]:
    """One for each endpoint, in the order in which they are first named; only those without a problem."""
    used: set[str] = set()
    if choices.namespace is not None and not is_namespace(choices.namespace):
        findings.problems.append(f"--namespace: {plain(choices.namespace)}, but it {NAMESPACE_RULE}")
    for name in dict.fromkeys(part.endpoint for part in parts):
        assembly = _Assembly(name, [part for part in parts if part.endpoint == name], choices, findings)
        if (resource := assembly.resource()) is not None:
            yield resource
        used |= assembly.used
    names = ", ".join(f"{plain(part.endpoint)}/{plain(part.version.name)}" for part in parts if part.version)
    for name in choices.workloads:
        if name not in used:
            findings.problems.append(f"--workload: there is no deployment {plain(name)}; there is {names or 'none'}")
