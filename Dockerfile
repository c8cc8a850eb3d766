# The service and its workers without a graphics card. docs/deployment.md says how it is used and what was tried.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS packages
# pycosat, of reasoning-gym, comes as source.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/pkpo
ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1
# The locks and what an editable install reads, before the sources: a change to those installs nothing anew.
COPY pyproject.toml README.md LICENSE ./
COPY pkpo/__init__.py pkpo/
COPY requirements/install.sh requirements/uv.lock requirements/service.lock requirements/workers.lock requirements/
RUN requirements/install.sh service && requirements/install.sh workers

FROM ${PYTHON}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap libseccomp2 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 pkpo \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/pkpo --shell /usr/sbin/nologin pkpo \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/pkpo /var/lib/pkpo/data /var/lib/pkpo/checkpoints \
        /var/lib/pkpo/models /var/lib/pkpo/keys /var/lib/pkpo/password
WORKDIR /opt/pkpo
COPY --from=packages /opt/pkpo/.venv .venv/
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY pkpo pkpo/
COPY app app/
COPY workers workers/
COPY dashboards dashboards/
COPY migrations migrations/
COPY docker docker/
# Whatever the checkout's umask was; and bytecode, which nothing can write beside sources that are read-only.
RUN chmod -R a+rX . && .venv/bin/python -m compileall -q pkpo app workers dashboards migrations
ENV PATH=/opt/pkpo/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/pkpo/models \
    HF_HOME=/var/lib/pkpo/models \
    PKPO_DATA_DIR=/var/lib/pkpo/data \
    PKPO_CHECKPOINT_DIR=/var/lib/pkpo/checkpoints \
    PKPO_MODEL_ROOTS=/var/lib/pkpo/models:/var/lib/pkpo/checkpoints
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["docker/entrypoint.sh"]
CMD ["pkpo", "serve"]
