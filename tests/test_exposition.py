"""exposition.py: quickly written text says what the library's encoder would say of the same families."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text
from prometheus_client.registry import Collector

from router.exposition import HistogramRows, Labels, Rows, pieces

PLAIN = "text/plain"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Zl", "Zp", "Cc")) | st.sampled_from('\\\n"%{},='))
COUNTS = st.integers(0, 2**53)
NUMBERS = COUNTS | st.floats(0, allow_nan=False)


class Families(Collector):
    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


def family(name: str, kind: str, samples: Rows | HistogramRows) -> Metric:
    made = Metric(name, "Of a test.", kind)
    made.samples = samples
    return made


@st.composite
def collectors(draw: st.DrawFn) -> Families:
    requests, queued = Rows("requests_total"), Rows("queued")
    waits = HistogramRows("wait_seconds", ("0.001", "0.5", "+Inf"))
    for number, name in enumerate(draw(st.lists(NAMES, unique=True, max_size=4))):
        labels = Labels(endpoint=name, deployment=f"d{number}")
        requests.add(labels.with_(code="200"), draw(COUNTS))
        queued.add(labels, draw(NUMBERS))
        waits.add(labels, sorted(draw(st.tuples(COUNTS, COUNTS, COUNTS))), draw(NUMBERS))
    return Families(
        family("requests", "counter", requests),
        family("queued", "gauge", queued),
        family("wait_seconds", "histogram", waits),
    )


def samples(families: Iterable[Metric]) -> Iterator[tuple[str, str, str, list[object]]]:
    for each in families:
        yield each.name, each.type, each.documentation, [(s.name, s.labels, s.value) for s in each.samples]


def text_of(collector: Collector, accept: str) -> str:
    return b"".join(pieces(collector, accept)[1]).decode()


@given(collectors(), st.sampled_from((PLAIN, OPENMETRICS)))
def test_the_text_says_what_the_library_s_own_would(collector: Families, accept: str) -> None:
    encode, content_type = choose_encoder(accept)
    assert pieces(collector, accept)[0] == content_type
    read = openmetrics if accept == OPENMETRICS else plain_text
    assert list(samples(read(text_of(collector, accept)))) == list(samples(read(encode(collector).decode())))


def test_a_histogram_s_row_is_its_buckets_count_and_sum() -> None:
    waits = HistogramRows("wait_seconds", ("0.5", "+Inf"))
    waits.add(Labels(endpoint="100%"), (2, 3), 7.5)
    assert text_of(Families(family("wait_seconds", "histogram", waits)), PLAIN).splitlines() == [
        "# HELP wait_seconds Of a test.",
        "# TYPE wait_seconds histogram",
        'wait_seconds_bucket{endpoint="100%",le="0.5"} 2',
        'wait_seconds_bucket{endpoint="100%",le="+Inf"} 3',
        'wait_seconds_count{endpoint="100%"} 3',
        'wait_seconds_sum{endpoint="100%"} 7.5',
    ]


@pytest.mark.parametrize(("accept", "ends"), [(PLAIN, 0), (OPENMETRICS, 1)])
def test_families_of_both_kinds_come_a_piece_each_and_the_end_comes_once(accept: str, ends: int) -> None:
    registry = CollectorRegistry()
    Gauge("answer", "Of everything.", registry=registry).set(42)
    queued = Rows("queued")
    queued.add(Labels(endpoint="iris"), 3)
    registry.register(Families(family("queued", "gauge", queued)))
    found = list(pieces(registry, accept)[1])
    assert [piece.count(b"# TYPE") for piece in found] == [1, 1, 0]
    assert b"".join(found).count(b"# EOF") == found[-1].count(b"# EOF\n") == ends
    assert b"\nanswer 42.0\n" in found[0]
    assert found[1].endswith(b'\nqueued{endpoint="iris"} 3\n')


def test_a_family_is_made_only_when_its_turn_comes() -> None:
    """Else the first piece would hold up requests for all of them."""
    made = []

    class Slow(Collector):
        def collect(self) -> Iterator[Metric]:
            for name in ("first", "second"):
                made.append(name)
                yield family(name, "gauge", Rows(name))

    _, each = pieces(Slow(), PLAIN)
    assert made == []
    next(each)
    assert made == ["first"]
