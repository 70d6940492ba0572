"""Which Pods does each selector choose?

Pure. Selectors and labelled Pods come and go in any order, one at a time; who is chosen by whom is kept up to date
without asking each selector about each Pod. Every selector wants some label to have one of a few values, as a rule;
by one such label it is filed, and so is found by the Pods that carry it, and finds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from router.platforms.kubernetes.objects import LabelSelector, Requirement
from router.platforms.kubernetes.picture.index import Index

_Pair = tuple[str, str, str]
"""Namespace, label, value. Without label and value: everything of the namespace."""


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """As the API server sees it for a workload: one that asks for nothing chooses nothing."""
    if not selector.match_labels and not selector.match_expressions:
        return False
    if any(labels.get(label) != value for label, value in selector.match_labels.items()):
        return False
    return all(_holds(requirement, labels) for requirement in selector.match_expressions)


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False  # of a later Kubernetes: who is not understood chooses nothing


def _ways(namespace: str, selector: LabelSelector) -> Iterable[tuple[_Pair, ...]]:
    """Ways to file it: whatever it chooses carries one of the pairs of each."""
    for label, value in selector.match_labels.items():
        yield ((namespace, label, value),)
    for requirement in selector.match_expressions:
        if requirement.operator == "In":
            yield tuple((namespace, requirement.key, value) for value in set(requirement.values))
    yield ((namespace, "", ""),)


class _Chooser(NamedTuple):
    namespace: str
    selector: LabelSelector
    filed: tuple[_Pair, ...]


class _Labelled(NamedTuple):
    namespace: str
    labels: Mapping[str, str]

    @property
    def pairs(self) -> Iterable[_Pair]:
        yield (self.namespace, "", "")
        for label, value in self.labels.items():
            yield (self.namespace, label, value)


class Selection:
    """Choosers and Pods, each under a name of its own."""

    def __init__(self) -> None:
        self._choosers: dict[str, _Chooser] = {}
        self._pods: dict[str, _Labelled] = {}
        self._choosers_by_pair: Index[_Pair] = Index()
        self._pods_by_pair: Index[_Pair] = Index()
        self._chosen: Index[str] = Index()
        self._chosen_by: Index[str] = Index()

    def chosen(self, chooser: str) -> Set[str]:
        """The Pods that it chooses."""
        return self._chosen[chooser]

    def chosen_by(self, pod: str) -> Set[str]:
        """The choosers that choose it."""
        return self._chosen_by[pod]

    def choose(self, chooser: str, namespace: str, selector: LabelSelector | None) -> set[str]:
        """From now on it chooses by this selector, or not at all. Returns the Pods that it gained or lost by that."""
        before = self._choosers.get(chooser)
        if before is not None:
            if (before.namespace, before.selector) == (namespace, selector):
                return set()
            del self._choosers[chooser]
            for pair in before.filed:
                self._choosers_by_pair.discard(pair, chooser)
        found: set[str] = set()
        if selector is not None:
            ways = list(_ways(namespace, selector))
            filed = min(ways, key=lambda pairs: _crowd(self._choosers_by_pair, pairs))
            self._choosers[chooser] = _Chooser(namespace, selector, filed)
            for pair in filed:
                self._choosers_by_pair.add(pair, chooser)
            fewest = min(ways, key=lambda pairs: _crowd(self._pods_by_pair, pairs))
            near = (pod for pair in fewest for pod in self._pods_by_pair[pair])
            found = {pod for pod in near if matches(selector, self._pods[pod].labels)}
        changed = found ^ self.chosen(chooser)
        for pod in changed:
            self._relate(chooser, pod, chooses=pod in found)
        return changed

    def label(self, pod: str, namespace: str, labels: Mapping[str, str] | None) -> set[str]:
        """The Pod carries these labels, or is gone. Returns the choosers that gained or lost it by that."""
        before = self._pods.get(pod)
        now = None if labels is None else _Labelled(namespace, labels)
        if now == before:
            return set()
        if before is not None:
            for pair in before.pairs:
                self._pods_by_pair.discard(pair, pod)
            del self._pods[pod]
        found: set[str] = set()
        if now is not None:
            self._pods[pod] = now
            for pair in now.pairs:
                self._pods_by_pair.add(pair, pod)
                for chooser in self._choosers_by_pair[pair]:
                    if matches(self._choosers[chooser].selector, now.labels):
                        found.add(chooser)
        changed = found ^ self.chosen_by(pod)
        for chooser in changed:
            self._relate(chooser, pod, chooses=chooser in found)
        return changed

    def _relate(self, chooser: str, pod: str, *, chooses: bool) -> None:
        if chooses:
            self._chosen.add(chooser, pod)
            self._chosen_by.add(pod, chooser)
        else:
            self._chosen.discard(chooser, pod)
            self._chosen_by.discard(pod, chooser)


def _crowd(index: Index[_Pair], pairs: Iterable[_Pair]) -> int:
    return sum(len(index[pair]) for pair in pairs)
