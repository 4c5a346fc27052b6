# The images of modelops: operator (no torch), trainer (the steps of Workflows; torch) and server (no torch).
# `make images` builds them; docs/images.md says how large they are and where that is proven.
#   BASE         a Debian with Python 3.11, here the Docker Official image
#   TORCH_INDEX  a package index to take the trainer's torch from, without the lock's hashes, such as one with CPU builds
#   VERSION, REVISION   for the labels
# Secrets `pip` (a pip.conf) and `ca` (certificates that pip.conf names as /run/secrets/ca) are used if they are given.
ARG BASE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONHASHSEED=0
WORKDIR /build
COPY requirements/build.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    python3 -m venv /opt/pip && /opt/pip/bin/pip install --quiet --require-hashes -r build.lock
COPY scripts/image_packages.sh ./

# Our own code, in a directory of its own: a layer of 5 MB over a large one that changes seldom.
FROM builder AS code
COPY pyproject.toml README.md LICENSE ./
COPY crds ./crds
COPY src ./src
RUN python3 -m venv --without-pip /opt/modelops \
    && /opt/pip/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/pip/bin/pip --python /opt/modelops/bin/python install --quiet --no-compile --no-index --no-deps \
        --target /opt/code /wheels/*.whl \
    && /opt/modelops/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/code

FROM builder AS operator-packages
COPY requirements/operator.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca ./image_packages.sh operator.lock

FROM builder AS server-packages
COPY requirements/server.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca ./image_packages.sh server.lock

FROM builder AS trainer-packages
ARG TORCH_INDEX=
COPY requirements/trainer.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    TORCH_INDEX="$TORCH_INDEX" ./image_packages.sh trainer.lock

# What all three have: a user with a name (ssh asks for it), and no program that runs as another.
FROM ${BASE} AS base
RUN echo 'modelops:x:65532:65532:modelops:/tmp:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'modelops:x:65532:' >> /etc/group \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
# Nothing but /tmp, and what is mounted, is written to.
ENV PATH=/opt/code/bin:/opt/modelops/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /

# git over https and ssh. Its interactive parts are Perl, 50 MB that nothing here runs.
FROM base AS base-git
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends git openssh-client > /dev/null \
    && dpkg --purge --force-depends $(dpkg-query -W -f '${Package}\n' git-man liberror-perl 'libperl5*' perl 'perl-modules-*') > /dev/null 2>&1 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /var/cache/ldconfig/aux-cache \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +

FROM base-git AS operator
COPY --from=operator-packages /opt/modelops /opt/modelops
COPY --from=code /opt/code /opt/code
USER 65532:65532
ENTRYPOINT ["python", "-m", "modelops.app"]
ARG VERSION=0 REVISION=unknown
LABEL org.opencontainers.image.title="modelops-operator" \
      org.opencontainers.image.description="The operator of modelops" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"

# A static shell, lent to the images that a team's own trainers bring. apt installs nothing more once Perl is gone.
FROM base AS shell
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends busybox-static > /dev/null

FROM base-git AS trainer
COPY --from=shell /usr/bin/busybox /usr/bin/busybox
COPY --from=trainer-packages /opt/modelops /opt/modelops
COPY --from=code /opt/code /opt/code
USER 65532:65532
ENTRYPOINT ["modelops-step"]
ARG VERSION=0 REVISION=unknown
LABEL org.opencontainers.image.title="modelops-trainer" \
      org.opencontainers.image.description="The steps of modelops' Workflows" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"

FROM base AS server
COPY --from=server-packages /opt/modelops /opt/modelops
COPY --from=code /opt/code /opt/code
# Requests are small: more threads wait for each other longer than they work. GitPython, which MLflow imports, asks for
# git unless it is told not to.
ENV OPENBLAS_NUM_THREADS=1 GIT_PYTHON_REFRESH=quiet
USER 65532:65532
ENTRYPOINT ["modelops", "serve"]
ARG VERSION=0 REVISION=unknown
LABEL org.opencontainers.image.title="modelops-server" \
      org.opencontainers.image.description="The model server of modelops" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"
