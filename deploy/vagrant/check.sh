#!/bin/bash
# Bring the Vagrantfile's machines up, use them as a user would, and remove them again.
#   check.sh [PROVIDER]      default: docker, the quick one; libvirt and virtualbox take what the variables say
set -euo pipefail
cd "$(dirname "$0")/../.."
provider=${1:-docker}
export VAGRANT_CWD=$PWD/deploy VAGRANT_DOTFILE_PATH=$PWD/.build/vagrant VAGRANT_CHECKPOINT_DISABLE=1 VAGRANT_DEFAULT_PROVIDER=$provider
export MINI_VAGRANT_NETWORK=${MINI_VAGRANT_NETWORK:-192.168.56}
say() { echo "vagrant-check: $*"; }
kubectl() { "$(deploy/kubectl.sh)" --kubeconfig .build/vagrant.conf "$@"; }

if ! command -v vagrant >/dev/null || ! command -v rsync >/dev/null; then
    say "installing vagrant and rsync"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends vagrant rsync >/dev/null
fi
if [ "$provider" = docker ]; then
    context=.build/context/vagrant
    rm -rf $context && mkdir -p $context
    key=$(find /usr/share/rubygems-integration /opt/vagrant -name vagrant.pub 2>/dev/null | head -n 1 || true)
    cp deploy/vagrant/Dockerfile deploy/node/rootfs/usr/local/sbin/node-entrypoint "$key" $context
    image=mini-kubernetes/vagrant:$(cat $context/* | sha256sum | cut -c -12)
    docker image inspect "$image" >/dev/null 2>&1 || docker build -q -t "$image" $context >/dev/null
    echo "$image" >.build/vagrant-image
    say "image $image"
fi
# On this host, too, a packet for a pod or a Service goes nowhere (see docs/cluster.md).
routes() {
    .venv/bin/python -c 'import asyncio, sys; from minikubeadm.cluster import networks
asyncio.run(getattr(networks, sys.argv[1])(sys.argv[2:], ""))' "$1" 10.244.0.0/16 10.96.0.0/16
}
routes guard
cleanup() {
    vagrant destroy -f >/dev/null 2>&1 || say "vagrant destroy failed: look at 'vagrant global-status'"
    routes unguard
    rm -f .build/vagrant.conf
}
trap cleanup EXIT
begun=$(date +%s)
vagrant up --no-parallel
say "vagrant up took $(($(date +%s) - begun)) s"
kubectl wait --for=condition=Ready node --all --timeout=300s
kubectl get nodes -o wide
.venv/bin/minikubectl --kubeconfig .build/vagrant.conf apply -f manifests/demo
kubectl -n demo rollout status deployment/hello --timeout=600s
for node in $(kubectl get nodes -o 'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}'); do
    answer=$(curl -sS --retry 10 --retry-connrefused --max-time 10 "http://$node:30080/")
    say "http://$node:30080/ -> $answer"
    case $answer in pod=hello-*) ;; *) say "not what the demo answers" >&2; exit 1 ;; esac
done
say "passed, $(($(date +%s) - begun)) s"
