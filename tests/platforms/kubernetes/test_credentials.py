"""Are credentials found where they should be, and is it said what to do where they can't be used?"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
import yaml
from kubernetes_asyncio.config import incluster_config

from router.platforms import PlatformError
from router.platforms.kubernetes import credentials
from router.platforms.kubernetes.credentials import load_credentials

SECRET = "s3cret-t0ken"
CA = "-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig, no Pod."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path / "serviceaccount")


def kubeconfig(
    path: Path, *, host: str = "http://127.0.0.1:1", namespace: str | None = None, user: object = None
) -> Path:
    context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": context}],
        "clusters": [{"name": "c", "cluster": {"server": host}}],
        "users": [{"name": "u", "user": {"token": SECRET} if user is None else user}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


def account_folder(folder: Path, token: str = SECRET) -> Path:
    folder.mkdir()
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_text(CA)
    (folder / "namespace").write_text("models\n")
    return folder


async def bearer() -> tuple[str, str, str | None]:
    """Host, namespace, and what the next request is authorised with."""
    loaded = await load_credentials()
    token = await loaded.configuration.get_api_key_with_prefix("BearerToken")
    return loaded.configuration.host, loaded.namespace, token


async def test_kubeconfig_goes_before_the_pod_and_the_pod_before_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kubeconfig(tmp_path / "home/.kube/config", host="http://home:1")
    assert await bearer() == ("http://home:1", "default", f"Bearer {SECRET}")
    account_folder(tmp_path / "serviceaccount", "of-the-pod")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert await bearer() == ("https://10.0.0.1:443", "models", "Bearer of-the-pod")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "named", host="http://named:1", namespace="prod")))
    assert await bearer() == ("http://named:1", "prod", f"Bearer {SECRET}")


async def test_an_empty_kubeconfig_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "")
    with pytest.raises(PlatformError, match=r"KUBECONFIG is not set, .* no Pod, .* ~/\.kube/config"):
        await load_credentials()


async def test_one_of_several_files_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = kubeconfig(tmp_path / "there")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{there}")
    assert (await bearer())[2] == f"Bearer {SECRET}"
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing::{tmp_path}/gone:")
    with pytest.raises(PlatformError, match=r"there is no kubeconfig .*missing:.*gone"):
        await load_credentials()


async def test_a_projected_token_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = account_folder(tmp_path / "serviceaccount", "first")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "TOKEN_REFRESH_PERIOD", -incluster_config.TOKEN_REFRESH_PERIOD)  # else 1 min
    configuration = (await load_credentials()).configuration
    (folder / "token").write_text("second")
    assert await configuration.get_api_key_with_prefix("BearerToken") == "Bearer second"


@pytest.mark.parametrize("missing", ["token", "ca.crt", "namespace"])
async def test_a_pod_without_an_account_is_told_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    (account_folder(tmp_path / "serviceaccount") / missing).unlink()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(PlatformError, match="automountServiceAccountToken"):
        await load_credentials()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"users: [{{token: {SECRET}", "line 1 is not YAML"),
        ("", "not what a kubeconfig should be"),
        ("- a list", "not what a kubeconfig should be"),
        ("current-context: there\ncontexts: []\nclusters: []\nusers: []", "context"),
        (
            "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
            f"clusters: [{{name: c, cluster: {{server: x}}}}]\nusers: [{{name: u, token: {SECRET}}}]",
            "Expected key user",
        ),
        (
            "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
            f"clusters: [{{name: c, cluster: {{server: 'https://x'}}}}]\nusers: [{{name: u, user: {{token: {SECRET}, "
            "client-certificate: gone.pem}}]",
            "gone.pem",
        ),
    ],
)
async def test_a_kubeconfig_that_is_not_one_is_told_without_what_it_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(PlatformError, match="kubectl --kubeconfig") as caught:
        await load_credentials()
    assert told in str(caught.value)
    assert str(file) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_program_may_give_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    version = "client.authentication.k8s.io/v1"
    said = f'{{"apiVersion": "{version}", "kind": "ExecCredential", "status": {{"token": "{SECRET}"}}}}'
    program = {"exec": {"apiVersion": version, "command": sys.executable, "args": ["-c", f"print('''{said}''')"]}}
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "kubeconfig", user=program)))
    assert (await bearer())[2] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("command", "script", "told"),
    [
        ("no-such-program", "", "No such file"),
        (sys.executable, "import sys; sys.exit('log in first')", "log in first"),
        (sys.executable, f"print('{SECRET}')", "failed to decode"),
    ],
)
async def test_a_program_that_gives_none_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, script: str, told: str
) -> None:
    program = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": ["-c", script]}}
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "kubeconfig", user=program)))
    with pytest.raises(PlatformError) as caught:
        await load_credentials()
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_a_program_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def waits_for_it(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(credentials, "LOAD_S", 0.05)
    monkeypatch.setattr(credentials, "load_kube_config", waits_for_it)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "kubeconfig")))
    with pytest.raises(PlatformError, match=r"the program that it names for credentials did not end within 0\.05 s"):
        await load_credentials()
