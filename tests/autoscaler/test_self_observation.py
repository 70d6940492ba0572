"""self_observation.py: what is recorded of a moment reads back as it was, and what nobody could mean does not."""

from __future__ import annotations

import msgspec
import pytest

from autoscaler.self_observation import SelfScaling, SizeSeen, sized
from router.platforms.sizing import RouterSize
from tests.autoscaler.self_scaled import seen


def test_a_moment_reads_back_as_it_was_written() -> None:
    moment = seen(3.5, no_room="none", begins=True)
    assert msgspec.json.decode(msgspec.json.encode(moment), type=SizeSeen) == moment


def test_the_thresholds_are_azure_mls() -> None:
    assert (SelfScaling().mean_ms, SelfScaling().p99_ms) == (3.0, 15.0)


@pytest.mark.parametrize("given", ['{"meanMs": 0}', '{"minPods": 0}', '{"maxWorkers": 0}', '{"p99Ms": -1}'])
def test_settings_that_can_not_be_are_refused(given: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(given, type=SelfScaling)


@pytest.mark.parametrize(
    ("workers", "pods", "has_pods", "words"),
    [
        (1, 3, True, "3 x 1 worker"),
        (2, 3, True, "3 x 2 workers"),
        (2, 1, False, "2 workers"),
        (1, 1, False, "1 worker"),
    ],
)
def test_a_size_in_words(workers: int, pods: int, has_pods: bool, words: str) -> None:
    assert sized(RouterSize(workers=workers, pods=pods), has_pods) == words
