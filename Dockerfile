# The team's service (docs/team.md). On the CPU:     docker build -t midtoken-team .
# For an NVIDIA GPU, with its container toolkit:     docker build -t midtoken-team --build-arg EXTRAS=team,cuda .
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY pyproject.toml setup.py README.md LICENSE NOTICE ./
COPY engine engine
COPY lsp_server lsp_server
COPY onnx_export onnx_export
COPY benchmarks benchmarks
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim
ARG EXTRAS=team
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/midtoken-*.whl)[${EXTRAS}]" \
 && useradd --create-home --uid 10001 midtoken
# By number, so that a cluster can see that it is not root without reading the image.
USER 10001
WORKDIR /home/midtoken
# Models that are added, by 'midtoken models add', live here.
VOLUME /home/midtoken/.local/share/midtoken
ENV PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 RAY_USAGE_STATS_ENABLED=0
EXPOSE 8440
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8440/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["midtoken", "team"]
CMD ["--config", "/etc/midtoken/midtoken-team.yaml"]
