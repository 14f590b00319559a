#!/bin/sh
# Tell the SuperLink which nodes may connect: register.sh DIR (with nodes/NAME.pub in it) [NODE...]
# A node that is registered already is left as it is.
set -eu
: "${FEDMVP_SUPERLINK:=superlink:8000}"
: "${FLWR_HOME:?a folder for the settings of the command flwr}"
dir=$1
shift
export FLWR_HOME
mkdir -p "$FLWR_HOME"
cat > "$FLWR_HOME/config.toml" <<CONFIG
[superlink]
default = "fedmvp"

[superlink.fedmvp]
address = "$FEDMVP_SUPERLINK"
root-certificates = "$dir/ca.crt"
CONFIG
cd "$FLWR_HOME"
if [ $# -eq 0 ]; then
    for key in "$dir"/nodes/*.pub; do
        node=${key##*/}
        set -- "$@" "${node%.pub}"
    done
fi
for node in "$@"; do
    said=$(flwr supernode register "$dir/nodes/$node.pub" fedmvp --name "$node" 2>&1) || {
        case $said in
            *already*) ;;
            *)
                echo "$said" >&2
                exit 1
                ;;
        esac
    }
    echo "registered: $node"
done
