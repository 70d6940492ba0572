"""By which published rules do other autoscalers decide?

Pure. Written from their documentation, to be compared with: none of them ever decides for Scoregate. Each gets its
best reasonable reading (each file says which), and keeps its known failures.
"""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.observation import Law
from autoscaler.rivals.azureml import AzureMLV1, AzureMLV2
from autoscaler.rivals.hpa import HPA
from autoscaler.rivals.keda import KEDA
from autoscaler.rivals.kpa import KPA
from autoscaler.rivals.ray_serve import RayServe
from router.core.model import ScaleSettings

RIVALS: dict[str, Callable[[ScaleSettings, int], Law]] = {
    "hpa": HPA,
    "kpa": KPA,
    "ray": RayServe,
    "keda": KEDA,
    "azureml-v1": AzureMLV1,
    "azureml-v2": AzureMLV2,
}
"""By name; each is made of a deployment's settings and its concurrency per replica."""
