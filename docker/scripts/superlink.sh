#!/bin/sh
# Start the SuperLink: TLS, only registered nodes, state that survives a restart.
# It is ended, to be started again, if it can start no more runs (`supervise`), and waits longer for
# its database than Flower does by itself (`superlink`). An app half installed is removed first.
# Only this machine may steer it (start runs, register nodes), and FEDMVP_CONTROL_FROM: addresses or
# networks, separated by commas.
# Settings come from the environment; the defaults are those of compose.yaml.
set -eu
: "${FEDMVP_CERTIFICATES:=/certificates}" "${FEDMVP_STATE:=/state}"
: "${FEDMVP_HOST:=0.0.0.0}" "${FEDMVP_PORT:=8000}"
export FLWR_HOME="${FLWR_HOME:-$FEDMVP_STATE/flwr}"
mkdir -p "$FLWR_HOME"
# A neutral folder: the SuperLink's working directory comes first on the apps' path of imports.
cd "$FLWR_HOME"
exec python -m fedmvp_flwr.supervise --needs flower-superexec --apps "$FLWR_HOME/apps" -- \
    python -m fedmvp_flwr.superlink \
    --host "$FEDMVP_HOST" --port "$FEDMVP_PORT" \
    --ssl-ca-certfile "$FEDMVP_CERTIFICATES/ca.crt" \
    --ssl-certfile "$FEDMVP_CERTIFICATES/server.pem" \
    --ssl-keyfile "$FEDMVP_CERTIFICATES/server.key" \
    --enable-supernode-auth \
    --database "$FEDMVP_STATE/state.db" \
    --disable-runtime-dependency-installation
