"""What may a test of any folder ask for?"""

from __future__ import annotations

from tests.kubernetes.cluster import cluster

__all__ = ["cluster"]
