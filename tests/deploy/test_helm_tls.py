"""Does the chart have the routers serve HTTPS as its values say, and refuse what can't be served?"""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from router.cli import main
from tests.deploy.shipped import CHART, Object, Refused, container, helm, one, options_of, rendered
from tests.kubernetes.cluster import Cluster

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
VAULT = "scoregate.io/vault"


def with_https(*values: str) -> list[Object]:
    given = ("--set=inferenceRouterServiceType=loadBalancer", *(f"--set={value}" for value in values))
    return rendered(*given, minimal=False)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("sslSecret=mine",), "sslCname is required unless allowInsecureConnections=true"),
        (("sslCname=a.example",), "HTTPS needs a certificate"),
        (("sslCname=a.example", f"sslCertPemFile={CERTIFICATE}"), "HTTPS needs a certificate"),
        (("sslCname=a.example", "sslSecret=mine", f"sslCertPemFile={CERTIFICATE}"), "one way or the other"),
        (("sslCname=a.example", "sslCertPemFile=cert.pem"), "sslCertPemFile"),
    ],
)
def test_https_wants_a_name_and_a_certificate(values: tuple[str, ...], words: str) -> None:
    with pytest.raises(Refused) as refused:
        with_https(*values)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("values", "secret"),
    [
        (("sslCname=a.example", "sslSecret=mine"), "mine"),
        (("sslCname=a.example", f"sslCertPemFile={CERTIFICATE}", f"sslKeyPemFile={KEY}"), "scoregate-tls"),
    ],
)
def test_https_has_its_port_and_its_certificate_mounted(values: tuple[str, ...], secret: str) -> None:
    found = with_https(*values)
    ports = one(found, "Service", "scoregate")["spec"]["ports"]
    assert [(port["port"], port["targetPort"]) for port in ports] == [(80, "http"), (443, "https")]
    router = container(found, "router")
    assert "https" in [port["name"] for port in router["ports"]]
    assert {"name": "tls", "mountPath": "/etc/scoregate/tls", "readOnly": True} in router["volumeMounts"]
    volumes = one(found, "Deployment", "scoregate-router")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "tls", "secret": {"secretName": secret}} in volumes
    made = [each["metadata"]["name"] for each in found if each["kind"] == "Secret" and each["type"] != VAULT]
    assert made == (["scoregate-tls"] if secret == "scoregate-tls" else [])
    policy = one(found, "NetworkPolicy", "scoregate-router")["spec"]["ingress"][0]
    assert [port["port"] for port in policy["ports"]] == ["http", "https"]


def test_a_router_finds_its_certificate_where_it_is_mounted() -> None:
    found = with_https("sslCname=a.example", "sslSecret=mine")
    options, router = options_of(found), container(found, "router")
    (tls,) = [mount["mountPath"] for mount in router["volumeMounts"] if mount["name"] == "tls"]
    assert options["--tls-dir"] == tls
    ports = {port["name"]: str(port["containerPort"]) for port in router["ports"]}
    assert (ports["http"], ports["https"]) == (options["--port"], options["--tls-port"])
    assert options["--plain-http"] == "refuse"
    assert "--allow-insecure-connections" not in options
    assert "--client-ca" not in options
    assert CliRunner().invoke(main, [*router["args"], "--help"]).exit_code == 0


def test_clients_show_certificates_and_are_redirected_where_that_is_said() -> None:
    found = rendered("-f", CHART / "ci/https-values.yaml", minimal=False)
    options, router = options_of(found), container(found, "router")
    (ca,) = [mount["mountPath"] for mount in router["volumeMounts"] if mount["name"] == "client-ca"]
    assert options["--client-ca"] == f"{ca}/ca.crt"
    assert options["--plain-http"] == "redirect"
    volumes = one(found, "Deployment", "scoregate-router")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "client-ca", "secret": {"secretName": "client-ca"}} in volumes


def test_plain_http_is_said_to_be_meant() -> None:
    options = options_of(rendered())
    assert "--allow-insecure-connections" in options
    assert not {"--tls-dir", "--tls-port", "--plain-http", "--client-ca"} & options.keys()


@pytest.mark.parametrize("values", ["load-balancer-values.yaml", "https-values.yaml"])
def test_its_notes_say_where_clients_call_it(cluster: Cluster, values: str) -> None:
    scheme = "https" if values.startswith("https") else "http"
    for kind, words in (
        ("loadBalancer", f"jsonpath='{scheme}://"),
        ("nodePort", f'[?(@.name=="{scheme}")]'),
        ("clusterIP", f"{scheme}://scoregate.scoregate.svc"),
    ):
        at = ("--namespace=scoregate", f"--kubeconfig={cluster.kubeconfig}")
        given = ("-f", CHART / "ci" / values, f"--set=inferenceRouterServiceType={kind}", *at)
        notes = helm("install", "scoregate", CHART, "--dry-run=client", *given).partition("NOTES:")[2]
        assert words in notes
        assert ("It is plain HTTP" in notes) == (scheme == "http")
        assert ("The certificate is for models.example.com" in notes) == (scheme == "https")
