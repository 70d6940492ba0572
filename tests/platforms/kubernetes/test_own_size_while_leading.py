"""own_size.py behind the platform: only who leads resizes the routers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from router.platforms import ClusterSettings, PlatformError
from router.platforms.kubernetes import LEASE, KubernetesPlatform
from router.platforms.sizing import RouterSize
from tests.kubernetes import documents
from tests.kubernetes.fake import FakeApiServer


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as server:
        monkeypatch.setenv("KUBECONFIG", server.kubeconfig)
        yield server


async def test_who_leads_resizes_the_routers_at_home_and_whoever_gave_up_the_lead_does_not(
    server: FakeApiServer,
) -> None:
    server.create_namespace("home")
    server.put("deployments", documents.workload("Deployment", "mine", "home", 3), "home")
    server.put("leases", documents.lease(LEASE, holder="", leaseDurationSeconds=1), "home")

    def pods() -> int:
        found = server.get("deployments", "mine", "home")
        assert found is not None
        return int(found["spec"]["replicas"])

    settings = ClusterSettings(home="home", router_deployment="mine")
    async with KubernetesPlatform(settings, scaling=True) as platform:
        async with aclosing(platform.leadership()) as leadership:  # type: ignore[type-var]
            assert await anext(leadership) is True
            assert (await platform.sizing.stand()).size == RouterSize(pods=3)
            await platform.sizing.resize(RouterSize(pods=4))
        assert pods() == 4
        with pytest.raises(PlatformError, match="no longer leads"):
            await platform.sizing.resize(RouterSize(pods=5))
        assert pods() == 4
