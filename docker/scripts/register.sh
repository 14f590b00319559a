#!/bin/sh
# Tell the SuperLink which nodes may connect: register.sh DIR (with nodes/NAME.pub in it) [NODE...]
# A node that is registered already is left as it is; one that was removed is refused, since Flower
# takes a key once only. The ids that Flower gives the nodes are kept in $FLWR_HOME/nodes/NAME.
set -eu
: "${FEDMVP_SUPERLINK:=superlink:8000}"
: "${FLWR_HOME:?a folder for the settings of the command flwr}"
dir=$(cd "$1" && pwd)
shift
mkdir -p "$FLWR_HOME/nodes"
FLWR_HOME=$(cd "$FLWR_HOME" && pwd)
export FLWR_HOME
# Nothing goes to the makers of Flower.
export FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
# Flower's processes of one machine speak to each other past any proxy.
proxyless="${no_proxy:-${NO_PROXY:-}}"
export NO_PROXY="${proxyless:+$proxyless,}localhost,127.0.0.1"
export no_proxy="$NO_PROXY"
if [ -f "$FLWR_HOME/config.toml" ] && ! grep -q '^\[superlink.fedmvp\]' "$FLWR_HOME/config.toml"; then
    echo "$FLWR_HOME/config.toml is not ours: choose another folder for FLWR_HOME" >&2
    exit 1
fi
cat > "$FLWR_HOME/config.toml" <<CONFIG
[superlink]
default = "fedmvp"

[superlink.fedmvp]
address = "$FEDMVP_SUPERLINK"
root-certificates = "$dir/ca.crt"
CONFIG
cd "$FLWR_HOME"

removed() {
    flwr supernode list fedmvp --format json | python -c '
import json, sys
status = {node["node-id"]: node["status"] for node in json.load(sys.stdin)["nodes"]}
sys.exit(status.get(sys.argv[1]) != "unregistered")' "$1"
}

if [ $# -eq 0 ]; then
    for key in "$dir"/nodes/*.pub; do
        node=${key##*/}
        set -- "$@" "${node%.pub}"
    done
fi
for node in "$@"; do
    if said=$(flwr supernode register "$dir/nodes/$node.pub" fedmvp --name "$node" 2>&1); then
        id=$(echo "$said" | sed -n 's/.*SuperNode \([0-9][0-9]*\) registered.*/\1/p')
        echo "$id" > "$FLWR_HOME/nodes/$node"
        echo "registered: $node, id $id"
        continue
    fi
    case $said in
        *already*) ;;
        *)
            echo "$said" >&2
            exit 1
            ;;
    esac
    id=$(cat "$FLWR_HOME/nodes/$node" 2>/dev/null || true)
    if [ -n "$id" ] && removed "$id"; then
        echo "$node was removed, and its key cannot come back: make it a new one" >&2
        exit 1
    fi
    echo "registered already: $node${id:+, id $id}"
done
