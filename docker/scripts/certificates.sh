#!/bin/sh
# Make a private certificate authority, the SuperLink's certificate and a key per node.
#
#   certificates.sh DIR NODE... [-- NAME...]
#
# DIR    new or existing folder; what it holds already is kept (run it again to add a node, or
#        delete server.* first to renew the server's certificate)
# NODE   names of the nodes
# NAME   DNS names and IP addresses under which the nodes reach the SuperLink
#        (default: localhost 127.0.0.1 superlink)
#
# Only ca.crt and the node's own key go to a node; ca.key belongs on no server at all: it is needed to
# sign a server's certificate, not to add a node.
set -eu
umask 077
DAYS_CA=3650
DAYS_SERVER=365

[ $# -ge 2 ] || { sed -n '2,13p' "$0" | cut -c3- >&2; exit 2; }
dir=$1
shift
mkdir -p "$dir/nodes"

nodes=
while [ $# -gt 0 ] && [ "$1" != "--" ]; do
    nodes="$nodes $1"
    shift
done
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- localhost 127.0.0.1 superlink
names=
for name in "$@"; do
    case $name in
        *[!0-9.]*) kind=DNS ;;
        *) kind=IP ;;
    esac
    case $name in *:*) kind=IP ;; esac
    names="${names:+$names,}$kind:$name"
done

# Run a program silently, unless it fails.
quietly() {
    said=$("$@" 2>&1) || { printf '%s\n%s\n' "$said" "failed: $*" >&2; exit 1; }
}

if [ ! -f "$dir/ca.crt" ]; then
    [ ! -f "$dir/ca.key" ] || { echo "$dir has ca.key, but no ca.crt: put it back" >&2; exit 1; }
    quietly openssl req -x509 -newkey rsa:4096 -nodes -keyout "$dir/ca.key" -out "$dir/ca.crt" \
        -days $DAYS_CA -sha256 -subj "/O=fedmvp/CN=fedmvp private CA" \
        -addext "basicConstraints=critical,CA:TRUE" \
        -addext "keyUsage=critical,keyCertSign,cRLSign"
fi
if [ ! -f "$dir/server.pem" ]; then
    # Another authority made in its place would be unknown to all nodes.
    [ -f "$dir/ca.key" ] || { echo "$dir/ca.key is needed to sign server.pem: put it back" >&2; exit 1; }
    extensions=$(mktemp)
    trap 'rm -f "$extensions" "$dir/server.csr"' EXIT
    printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' "$names" \
        > "$extensions"
    quietly openssl req -newkey rsa:4096 -nodes -keyout "$dir/server.key" -out "$dir/server.csr" \
        -subj "/O=fedmvp/CN=superlink"
    quietly openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" \
        -CAcreateserial -out "$dir/server.pem" -days $DAYS_SERVER -sha256 \
        -extfile "$extensions"
fi
for node in $nodes; do
    [ -f "$dir/nodes/$node" ] || ssh-keygen -q -t ecdsa -b 384 -N "" -C "$node" -f "$dir/nodes/$node"
done
chmod 644 "$dir/ca.crt" "$dir/server.pem"
names=$(openssl x509 -in "$dir/server.pem" -noout -ext subjectAltName | tail -n 1 | tr -s ' ')
echo "In $dir: ca.crt, server.pem (for$names), server.key, keys of:$nodes"
