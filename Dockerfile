# The main job, iot_pipeline, as an image.
#
#   docker build --tag strandline .
#   docker run --rm --publish 127.0.0.1:5000:5000 strandline     the demonstration: no Kafka needed
#
# With a real Kafka and a page to look into it: docker compose up (docker-compose.yml).

# --- build: the same Debian as below, so that the program finds the C library it was linked with
FROM rust:1.95-slim-bookworm AS build

# librdkafka is C and a little C++ and is built with make; zstd, zlib and mimalloc are C. Their
# sources come with their crates, and the image has gcc. OpenSSL (feature tls) is configured by perl.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake g++ make perl \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /strandline
COPY . .
# The caches keep crates and what was compiled between builds; the program has to leave them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/strandline/target \
    cargo build --locked --release --package strandline-examples --features tls,s3 \
        --example iot_pipeline \
    && cp target/release/examples/iot_pipeline /usr/local/bin/iot_pipeline

# --- run
FROM debian:bookworm-slim

# The authorities that sign certificates of managed Kafka and S3.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin strandline \
    && install --directory --owner strandline --group strandline /data
COPY --from=build /usr/local/bin/iot_pipeline /usr/local/bin/iot_pipeline

USER 10001:10001
WORKDIR /data
EXPOSE 5000
# Asks whether the job lives; there is no curl here, and bash can do it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/5000 && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]

# Inside a container the page has to listen on all addresses, and then it answers whoever can reach
# it, under any name. Publish its port on 127.0.0.1 alone, or put something in front of it.
ENTRYPOINT ["iot_pipeline"]
CMD ["--listen", "0.0.0.0:5000", "--out", "/data/aggregates"]
