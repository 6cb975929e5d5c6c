# shellcheck shell=bash
# Sourced in a cluster's folder: processes that are started, known by their id and begin, and ended.
#   pids/NAME   "PID BEGIN": a number that another process has by now has another begin
mkdir -p pids log

began() { [ -r "/proc/$1/stat" ] && sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20; }
alive() {
    local pid begin
    [ -e "pids/$1" ] || return 1
    read -r pid begin <"pids/$1"
    [ "$(began "$pid")" = "$begin" ]
}

# begin NAME COMMAND… : in the background, in a session of its own; what it says is in log/NAME.
begin() {
    local name=$1
    shift
    setsid "$@" >"log/$name" 2>&1 </dev/null 9>&- &
    echo "$! $(began $!)" >"pids/$name"
}

# until_true SECONDS COMMAND…
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}
ended() { ! alive "$1"; }

# end NAME : asks it to end, and ends it when it does not.
end() {
    local pid
    alive "$1" || { rm -f "pids/$1" && return; }
    read -r pid _ <"pids/$1"
    kill "$pid" 2>/dev/null || true
    until_true 15 ended "$1" || { echo "cluster: $1 does not end by itself" >&2 && kill -9 "$pid" 2>/dev/null; } || true
    until_true 5 ended "$1"
    rm -f "pids/$1"
}
