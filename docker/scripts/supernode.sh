#!/bin/sh
# Start a SuperNode that owns the folder FEDMVP_DATA.
# It ends when the SuperLink refuses it (code 2004): let something start it again (compose: restart:
# unless-stopped; systemd: Restart=always). After a crash it waits until the SuperLink has noticed.
# Flower's process would stay, deaf, after an error of the SuperLink, or if that was killed while it
# answered (an SSL error then); and one reply behind for ever if a run was stopped while it fetched a
# message of it ("Ignoring message"): `supervise` ends it, and it comes back. It also removes an app
# that a full disk or a kill has left half installed.
set -eu
umask 077  # features come from the samples: they are nobody else's
# Nothing goes to the makers of Flower.
export FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
# Flower's processes of one machine speak to each other past any proxy.
proxyless="${no_proxy:-${NO_PROXY:-}}"
export NO_PROXY="${proxyless:+$proxyless,}localhost,127.0.0.1"
export no_proxy="$NO_PROXY"
: "${FEDMVP_NODE_NAME:?the name of the node}"
: "${FEDMVP_SUPERLINK:=superlink:8000}" "${FEDMVP_CERTIFICATES:=/certificates}"
: "${FEDMVP_NODE_KEY:=/run/secrets/node_key}" "${FEDMVP_DATA:=/data}" "${FEDMVP_CACHE:=/cache}"
: "${FEDMVP_NODE_HOST:=127.0.0.1}" "${FEDMVP_NODE_PORT:=9094}"
export FLWR_HOME="${FLWR_HOME:-$FEDMVP_CACHE/flwr}"
for path in "$FEDMVP_CERTIFICATES" "$FEDMVP_NODE_KEY" "$FEDMVP_DATA" "$FEDMVP_CACHE" "$FLWR_HOME"; do
    case $path in
        /*) ;;
        *)
            echo "'$path' is not absolute, as all paths of a node must be" >&2
            exit 2
            ;;
    esac
done
mkdir -p "$FLWR_HOME"
cd "$FLWR_HOME"
exec python -m fedmvp_flwr.deploy.supervise --needs flower-superexec --alive "$FLWR_HOME/alive" \
    --apps "$FLWR_HOME/apps" \
    --broken "LoadClientAppError|(shutil\.Error|No space left on device).*/apps/" \
    --fatal "Server error '5[0-9][0-9]|SSL/TLS handshake error|Ignoring message" -- \
    python -m fedmvp_flwr.deploy.supernode \
    --superlink "$FEDMVP_SUPERLINK" \
    --root-certificates "$FEDMVP_CERTIFICATES/ca.crt" \
    --auth-supernode-private-key "$FEDMVP_NODE_KEY" \
    --host "$FEDMVP_NODE_HOST" --port "$FEDMVP_NODE_PORT" \
    --node-config "data-path=\"$FEDMVP_DATA\" cache-dir=\"$FEDMVP_CACHE\" name=\"$FEDMVP_NODE_NAME\""
