# Three stages: the client is built by Node, the wheel by Python, and the last image holds neither compiler nor npm.
# Base images are pinned to minor versions; pin them to digests in your registry for production.

FROM node:20.19-bookworm-slim AS client
WORKDIR /src/static
COPY static/package.json static/package-lock.json static/.npmrc ./
RUN npm ci --no-fund --no-audit
COPY static ./
RUN npm run build -- --outDir /client --emptyOutDir

FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev libssl-dev && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir 'build>=1.3,<2'
COPY pyproject.toml hatch_build.py README.md ./
COPY live live
COPY rooms rooms
COPY --from=client /client live/web/client
RUN python -m build --wheel --outdir /wheels

FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /var/lib/madoi --create-home madoi
COPY requirements.lock /requirements.lock
RUN pip install --no-cache-dir --no-compile --require-hashes --no-deps -r /requirements.lock
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-compile --no-deps /wheels/*.whl && pip check && rm -r /wheels /requirements.lock
USER 10001
WORKDIR /var/lib/madoi
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MADOI_HOST=0.0.0.0 \
    MADOI_PORT=8000 \
    MADOI_DATA=/var/lib/madoi/data \
    MADOI_LOG_JSON=true
VOLUME /var/lib/madoi
EXPOSE 8000/tcp 8801-8804/udp 8801-8804/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["madoi"]
CMD ["serve"]
