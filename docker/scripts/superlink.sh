#!/bin/sh
# Start the SuperLink: TLS, only registered nodes, state that survives a restart.
# It is ended, to be started again, if it can start no more runs (`supervise`), and waits longer for
# its database than Flower does by itself (`superlink`). An app half installed is removed first.
# Only this machine may steer it (start runs, register nodes), and FEDMVP_CONTROL_FROM: addresses or
# networks, separated by commas.
# Settings come from the environment; the defaults are those of compose.yaml.
set -eu
umask 077
# Nothing goes to the makers of Flower.
export FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
# Flower's processes of one machine speak to each other past any proxy.
proxyless="${no_proxy:-${NO_PROXY:-}}"
export NO_PROXY="${proxyless:+$proxyless,}localhost,127.0.0.1"
export no_proxy="$NO_PROXY"
: "${FEDMVP_CERTIFICATES:=/certificates}" "${FEDMVP_STATE:=/state}"
: "${FEDMVP_HOST:=0.0.0.0}" "${FEDMVP_PORT:=8000}"
export FLWR_HOME="${FLWR_HOME:-$FEDMVP_STATE/flwr}"
for path in "$FEDMVP_CERTIFICATES" "$FEDMVP_STATE" "$FLWR_HOME"; do
    case $path in
        /*) ;;
        *)
            echo "'$path' is not absolute, as all paths of a SuperLink must be" >&2
            exit 2
            ;;
    esac
done
mkdir -p "$FLWR_HOME"
# A neutral folder: the SuperLink's working directory comes first on the apps' path of imports.
cd "$FLWR_HOME"
exec python -m fedmvp_flwr.deploy.supervise --needs flower-superexec --apps "$FLWR_HOME/apps" \
    --broken "LoadServerAppError|(shutil\.Error|No space left on device).*/apps/" -- \
    python -m fedmvp_flwr.deploy.superlink \
    --host "$FEDMVP_HOST" --port "$FEDMVP_PORT" \
    --ssl-ca-certfile "$FEDMVP_CERTIFICATES/ca.crt" \
    --ssl-certfile "$FEDMVP_CERTIFICATES/server.pem" \
    --ssl-keyfile "$FEDMVP_CERTIFICATES/server.key" \
    --enable-supernode-auth \
    --database "$FEDMVP_STATE/state.db" \
    --disable-runtime-dependency-installation
