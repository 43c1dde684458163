# One image for every role: `paramedic run ROLE`, `paramedic migrate`.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay with the builder, so that a changed line does not compile every dependency again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package cli --bin paramedic \
    && cp target/release/paramedic /paramedic

FROM debian:bookworm-slim
# Certificates, to reach Slack, Jira and everything else over TLS.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /paramedic /usr/local/bin/paramedic
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
ENTRYPOINT ["paramedic"]
CMD ["--help"]
