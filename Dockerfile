# docker build -t capdiff . && docker run --rm --user "$(id -u)" -v "$PWD:/photos" capdiff caption /photos --recursive --format sidecar
FROM debian:bookworm AS build
COPY . /capdiff
RUN cd /capdiff && ./capdiff.sh --version && cmake --install build-lean --prefix /install --component Unspecified

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libdnnl2 libturbojpeg0 libpng16-16 libwebp7 \
      libwebpdemux2 zlib1g libssl3 libspdlog1.10 libfmt9 libutf8proc2 libxxhash0 libstemmer0d libgomp1 wordnet-base \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /install /usr/local
USER nobody
EXPOSE 8080
ENTRYPOINT ["capdiff"]
