"""How do the figures of a thousand deployments become text without holding up requests?

Pure. prometheus-client's encoder takes 7-10 us for a line, and a deployment has 70 of them: half a second of the event
loop at each scrape. Rows are kept as what they are made of, and written by one formatting operation each. Headers, and
families that are not ours, are encoded by the library. The text comes one family at a time: requests go on in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

_EOF = b"# EOF\n"
"""The end of OpenMetrics text; the older format has none."""


class Labels:
    """The labels of one row: as a dictionary for the library, as text for the writer."""

    __slots__ = ("by_name", "text")

    def __init__(self, **by_name: str) -> None:
        self.by_name = by_name
        self.text = ",".join([f'{name}="{_escaped(value)}"' for name, value in by_name.items()])

    def with_(self, **more: str) -> Labels:
        return Labels(**self.by_name, **more)


class Rows(list[Sample]):
    """The samples of one family, one for each row; made when somebody iterates, which `pieces` does not."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._rows: list[tuple[Labels, float]] = []

    def add(self, labels: Labels, value: float) -> None:
        self._rows.append((labels, value))

    def __iter__(self) -> Iterator[Sample]:
        for labels, value in self._rows:
            yield Sample(self._name, labels.by_name, float(value))

    def text(self) -> str:
        name = self._name
        return "".join([f"{name}{{{labels.text}}} {value}\n" for labels, value in self._rows])


class HistogramRows(list[Sample]):
    """The same for a histogram, whose row is many samples. `bounds`: upper bounds as text, the last is +Inf."""

    def __init__(self, name: str, bounds: Sequence[str]) -> None:
        super().__init__()
        self._name = name
        self._bounds = bounds
        self._rows: list[tuple[Labels, Sequence[int], float]] = []
        buckets = "".join([f'{name}_bucket{{\0,le="{bound}"}} %d\n' for bound in bounds])
        self._template = f"{buckets}{name}_count{{\0}} %d\n{name}_sum{{\0}} %r\n"
        """NUL is where the labels go: they may contain a percent sign."""

    def add(self, labels: Labels, counts: Sequence[int], total: float) -> None:
        """`counts`: of values up to each bound."""
        self._rows.append((labels, counts, total))

    def __iter__(self) -> Iterator[Sample]:
        for labels, counts, total in self._rows:
            for bound, count in zip(self._bounds, counts, strict=True):
                yield Sample(f"{self._name}_bucket", {**labels.by_name, "le": bound}, float(count))
            yield Sample(f"{self._name}_count", labels.by_name, float(counts[-1]))
            yield Sample(f"{self._name}_sum", labels.by_name, total)

    def text(self) -> str:
        template = self._template
        return "".join(
            [
                (template % (*counts, counts[-1], total)).replace("\0", labels.text)
                for labels, counts, total in self._rows
            ]
        )


class _Only(Collector):
    """Gives the library's encoder one family, or none."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def pieces(registry: Collector, accept: str) -> tuple[str, Iterator[bytes]]:
    """Content type and text, Prometheus' or OpenMetrics' as the header `accept` asks; a piece for each family."""
    encode, content_type = choose_encoder(accept)

    def each() -> Iterator[bytes]:
        for family in registry.collect():
            rows = family.samples
            if isinstance(rows, Rows | HistogramRows):
                header = Metric(family.name, family.documentation, family.type)
                yield encode(_Only(header)).removesuffix(_EOF) + rows.text().encode()
            else:
                yield encode(_Only(family)).removesuffix(_EOF)
        yield encode(_Only())

    return content_type, each()


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
