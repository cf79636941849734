#!/bin/sh
# REMOTE_ADDR is what the server sees of its client: across nodes it must be the client pod's own address.
# $(hostname -i) reads /etc/hosts, which holds the pod's address.
printf 'Content-Type: text/plain\r\n\r\n'
printf 'pod=%s ip=%s node=%s client=%s\n' "$(hostname)" "${POD_IP:-$(hostname -i 2>/dev/null)}" "${NODE_NAME:--}" "$REMOTE_ADDR"
