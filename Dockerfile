# syntax=docker/dockerfile:1
# Two small images from one build: `manager` (the server, with what it needs to test Python work) and `worker` (one program).
#
#   docker build --target manager -t aura-manager .
#   docker build --target worker  -t aura-worker .

FROM rust:1.95-slim-bookworm AS build
# SQLite is built from source, for which a C compiler is needed.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --example server --example worker \
    && cp target/release/examples/server target/release/examples/worker /usr/local/bin/ \
    && strip /usr/local/bin/server /usr/local/bin/worker

FROM debian:bookworm-slim AS base
# curl is for the health checks.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --create-home aura
USER aura
WORKDIR /data
ENV RUST_LOG=warn,aura_core=info

FROM base AS worker
COPY --from=build /usr/local/bin/worker /usr/local/bin/worker
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/worker"]

FROM base AS manager
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap python3 python3-pytest \
    && rm -rf /var/lib/apt/lists/*
USER aura
COPY --from=build /usr/local/bin/server /usr/local/bin/server
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["curl", "-fsS", "http://127.0.0.1:8000/readyz"]
ENTRYPOINT ["/usr/local/bin/server"]
