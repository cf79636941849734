#!/bin/sh
# Make sure a Docker daemon answers: the machine's own where there is one, else a plain dockerd in the background.
# Says what it does; `dockerd.sh stop` ends only a daemon that this script started.
set -eu

run_dir=${MINI_RUN_DIR:-/run/mini-kubernetes}
log=${MINI_LOG_DIR:-/var/log}/mini-kubernetes-dockerd.log
pid_file=$run_dir/dockerd.pid

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

start() {
    if answers; then
        echo "docker: the daemon answers ($(docker version --format '{{.Server.Version}}'))"
        return
    fi
    if [ -d /run/systemd/system ] && systemctl cat docker.service >/dev/null 2>&1; then
        echo "docker: starting docker.service"
        systemctl start docker.service
    else
        [ "$(id -u)" = 0 ] || { echo "docker: no daemon answers, and starting one needs root" >&2; exit 1; }
        mkdir -p "$run_dir"
        echo "docker: no daemon answers; starting dockerd (log: $log, pid: $pid_file)"
        # A pid file left by a machine that went down would keep dockerd from starting.
        if [ -f "$pid_file" ] && ! kill -0 "$(cat "$pid_file")" 2>/dev/null; then rm -f "$pid_file"; fi
        nohup setsid dockerd --pidfile "$pid_file" >>"$log" 2>&1 </dev/null &
    fi
    i=0
    until answers; do
        i=$((i + 1))
        if [ "$i" -ge 150 ]; then
            echo "docker: the daemon did not answer within 30 s; the end of $log:" >&2
            tail -n 20 "$log" >&2 || true
            exit 1
        fi
        sleep 0.2
    done
    echo "docker: up ($(docker version --format '{{.Server.Version}}'))"
}

stop() {
    [ -f "$pid_file" ] || { echo "docker: not started by this script, left alone"; return; }
    pid=$(cat "$pid_file")
    echo "docker: stopping dockerd (pid $pid)"
    kill "$pid" 2>/dev/null || true
    i=0
    while kill -0 "$pid" 2>/dev/null && [ "$i" -lt 150 ]; do i=$((i + 1)); sleep 0.2; done
    rm -f "$pid_file"
}

case ${1:-start} in
    start) start ;;
    stop) stop ;;
    *) echo "usage: $0 [start|stop]" >&2; exit 2 ;;
esac
