# One image for routers and autoscalers:
#   docker build --tag REGISTRY/scoregate:0.1.0 .
#   docker run --rm REGISTRY/scoregate:0.1.0 --help
#
# A tag of the base moves with its fixes. For a build that never changes, name a digest:
#   docker build --build-arg PYTHON=python:3.11-slim-bookworm@sha256:... .
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY router router
COPY autoscaler autoscaler
RUN python -m pip wheel --wheel-dir /wheels .
# Without pip in it: the wheels are put there from outside, and nothing comes from an index any more.
RUN python -m venv --without-pip /opt/scoregate \
    && python -m pip --python /opt/scoregate/bin/python install --no-index --find-links /wheels scoregate

FROM ${PYTHON}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="scoregate" \
      org.opencontainers.image.description="An open inference router for Kubernetes, and its autoscaler" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
RUN python -m pip uninstall --yes --quiet pip setuptools wheel \
    && install --directory --owner=65532 --group=65532 /var/lib/scoregate
COPY --from=build /opt/scoregate /opt/scoregate
ENV PATH=/opt/scoregate/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SCOREGATE_STATE_DIR=/var/lib/scoregate
# By number: Kubernetes can only then see that it is not root.
USER 65532:65532
WORKDIR /var/lib/scoregate
EXPOSE 8080 8443 9001 9002
# Of a router. Kubernetes has probes of its own, and doesn't look at it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 9001, timeout=2); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["scoregate"]
# Alone it refuses to start: mount a certificate and set SCOREGATE_TLS_DIR, or, where something in front ends TLS,
# SCOREGATE_ALLOW_INSECURE_CONNECTIONS=true.
CMD ["router", "--platform=kubernetes", "--host=0.0.0.0", "--port=8080", "--admin-host=0.0.0.0", "--admin-port=9001", "--state-dir=/var/lib/scoregate"]
