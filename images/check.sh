#!/usr/bin/env bash
# `make images-check`: every promise of images/README.md, on the built images. One line per check; 1 when one fails.
# Containers run as a careful cluster runs them: an unknown uid, read-only root, no capabilities, no new privileges,
# 60 MiB, no network. Needs docker or podman, git and python3.
set -euo pipefail
cd "$(dirname "$0")/.."
. images/engine.sh
[ "$ENGINE_KIND" != buildah ] || fail "buildah builds and cannot run" "install podman"

INIT=${PREFIX}plx-init:$TAG SIDECAR=${PREFIX}plx-sidecar:$TAG
ANY_UID=$((100000 + RANDOM))
RUN=8aac02e3a62a4f0aaa257c59da5eab80 # as in images/checks, which are scripts that Polyaxon 2.18 wrote
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# check WHAT COMMAND… : the command's output is shown when it fails.
check() {
    local what=$1 output code
    shift
    # Not in an `if`: there, nothing inside of a check would end it.
    set +e
    output=$(set -e; "$@" 2>&1)
    code=$?
    set -e
    if [ "$code" = 0 ]; then
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what"
        sed 's/^/        | /' <<<"$output"
    fi
}

# run IMAGE [engine options…] -- COMMAND ARGS…   (as $uid, or 65532)
run() {
    local image=$1 options=(--rm --read-only --cap-drop ALL --security-opt no-new-privileges --network none
        --memory 60m --memory-swap 60m --user "${uid:-65532:65532}")
    shift
    [ "$ENGINE_KIND" != podman ] || options+=(--read-only-tmpfs=false)
    while [ "$1" != -- ]; do options+=("$1") && shift; done
    shift
    "$ENGINE" run "${options[@]}" --entrypoint "$1" "$image" "${@:2}"
}

# ends CODE WORDS COMMAND… : it ends with this code and says this (an extended regular expression).
ends() {
    local code=0 output
    output=$("${@:3}" 2>&1) || code=$?
    echo "exit code $code: $output"
    [ "$code" = "$1" ] && grep -qE "$2" <<<"$output"
}

same() { diff -u <(printf '%s\n' "$1") <(printf '%s\n' "$2"); }
folder() { mkdir -p "$work/$1" && chmod 0777 "$work/$1" && echo "$work/$1"; }
# What an image holds, on this machine's disk.
unpack() {
    local container
    container=$("$ENGINE" create --entrypoint /x "$1")
    mkdir "$2"
    "$ENGINE" export "$container" | tar -x -C "$2" --exclude='dev/*' --exclude='proc/*' --exclude='sys/*'
    "$ENGINE" rm "$container" >/dev/null
}

# --- what is inside ---------------------------------------------------------------------------------------------------

size_at_most() {
    local bytes
    bytes=$(find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
    awk -v b="$bytes" -v m="$2" 'BEGIN { printf "%.1f MB of %d\n", b / 1e6, m; exit !(b <= m * 1e6) }'
}
# The engine itself makes empty files to mount over, so an empty file is nobody's secret.
holds_exactly() { same "$2" "$(cd "$1" && find . -type f -size +0 | sort)"; }
tmp_is_shared() { same 1777 "$(stat -c %a "$1/tmp")"; }
# Of the machine that compiled: folders of sources, of cargo, of the person.
names_no_build_path() {
    local path
    for path in /src/crates /cache/cargo /cache/target /vendor/ .cargo/ /usr/local/cargo index.crates /home/ "$HOME/" "$PWD/"; do
        ! grep -aoF -m1 "$path" "$1" || return 1
    done
}
# Keys by their form; a marker such as BEGIN PRIVATE KEY alone is what a parser looks for.
holds_no_secret() {
    ! grep -raoPzl 'BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}' "$1"
}
config_is() {
    "$ENGINE" inspect --type image "$1" | python3 -c '
import json, sys
image, program = json.load(sys.stdin)[0], sys.argv[1]
config = image["Config"]
assert [entry.split("=")[0] for entry in config["Env"]] == ["PATH"], config["Env"]
assert not config.get("User"), config["User"]
assert config["Entrypoint"] == ["/usr/bin/" + program], config["Entrypoint"]
labels = config["Labels"]
for name in ["title", "description", "version", "revision", "licenses"]:
    assert labels["org.opencontainers.image." + name], (name, labels)
assert "org.opencontainers.image.source" in labels, labels
print(labels)' "$2"
}

inside() { # IMAGE PROGRAM LIMIT FILES
    local root=$work/$2.root
    unpack "$1" "$root"
    echo "        $2: $(size_at_most "$root" 1000 | cut -d' ' -f1) MB, of it the binary $(stat -c %s "$root/usr/bin/$2" | awk '{ printf "%.1f", $1 / 1e6 }')"
    check "$2: at most $3 MB" size_at_most "$root" "$3"
    check "$2: these files and no others" holds_exactly "$root" "$4"
    check "$2: no build path in the binary" names_no_build_path "$root/usr/bin/$2"
    check "$2: no secret" holds_no_secret "$root"
    check "$2: /tmp is for all" tmp_is_shared "$root"
    check "$2: labels, no environment but PATH, no fixed user" config_is "$1" "$2"
    for uid in 0:0 65532:65532 "$ANY_UID:$ANY_UID"; do
        check "$2: runs as $uid" run "$1" -- "$2" --version
        check "$2: is polyaxon as $uid" run "$1" -- polyaxon --version
    done
    uid=
}

common='./etc/group
./etc/nsswitch.conf
./etc/passwd
./etc/ssl/certs/ca-certificates.crt'
inside "$INIT" plx-init 25 "./bin/busybox
$common
./usr/bin/plx-entry
./usr/bin/plx-init
./usr/bin/tmux
./usr/share/licenses/busybox
./usr/share/licenses/libevent
./usr/share/licenses/musl
./usr/share/licenses/ncurses
./usr/share/licenses/tmux"
inside "$SIDECAR" plx-sidecar 20 "$common
./usr/bin/plx-sidecar"

# --- init -------------------------------------------------------------------------------------------------------------

CTX=/plx-context/artifacts
all_on_path() {
    local names
    names="polyaxon plx-init sh bash tmux $(grep -v '^#' images/init/applets | tr -s '[\n' '  ')"
    run "$INIT" -- sh -c "for name in $names; do command -v \$name >/dev/null || { echo \$name; exit 1; }; done"
}
check "init: every name is on PATH" all_on_path
check "init: a script that is not Polyaxon's is busybox's" ends 3 '^2 hello$' \
    run "$INIT" -- /bin/sh -c 'printf "hello\nyou\n" | { read -r a; echo $((1 + 1)) $a; }; exit 3'
check "init: bash is the same" ends 0 '^yes$' run "$INIT" -- bash -c 'if [ -d / ] && test -x /bin/cp; then echo yes; fi'
hosts_first() {
    ends 69 'refused' run "$INIT" -v "$(folder hosts):$CTX" --add-host plx.test:127.0.0.1 -e PLX_RETRY_SECONDS=1 \
        -e POLYAXON_NO_API=true -- plx-init git --repo-path=$CTX/x --url=http://plx.test:1/a
}
check "init: /etc/hosts comes before DNS" hosts_first

a_file() {
    local art
    art=$(folder file)
    run "$INIT" -v "$art:$CTX" -- polyaxon initializer file \
        '--file-context={"content":"echo test\n","filename":"script.sh","chmod":"+x"}' --filepath=$CTX "--copy-path=$CTX/$RUN/outputs"
    same 'echo test' "$(cat "$art/script.sh")"
    test -x "$art/script.sh" && test -e "$art/$RUN/outputs/script.sh"
}
check "init: file" a_file

a_dockerfile() {
    local art
    art=$(folder dockerfile)
    run "$INIT" -v "$art:$CTX" -- polyaxon docker generate \
        '--build-context={"image":"test","env":{"KEY1":"en_US.UTF-8","KEY2":2},"run":["pip install package1"]}' "--destination=$CTX" "--copy-path=$CTX/$RUN/outputs"
    grep -qx 'FROM test' "$art/Dockerfile"
}
check "init: dockerfile" a_dockerfile

volume_script() {
    local art data
    art=$(folder volume) data=$(folder data)
    mkdir -p "$data/sub" "$data/d1" "$data/d2/d3"
    echo a >"$data/a.txt" && echo b >"$data/sub/b.txt" && echo c >"$data/d1/.hidden" && echo d >"$data/d2/d3/d"
    run "$INIT" -v "$art:$CTX" -v "$data:/data/2:ro" -e 'POLYAXON_CONNECTIONS_CATALOG={"connections":[{"name":"data-pvc","kind":"volume_claim","schema":{"volumeClaim":"data-2-pvc","mountPath":"/data/2","readOnly":true}}]}' \
        -- /bin/sh -c "$(cat images/checks/volume-store)"
    diff -r "$data" "$art/data-pvc"
    # A source that is missing fails it, where a plain shell would go on.
    rm "$data/a.txt"
    ends 66 'a\.txt' run "$INIT" -v "$art:$CTX" -v "$data:/data/2:ro" -- /bin/sh -c "$(cat images/checks/volume-store)"
}
check "init: the script of a volume store, and without one of its sources" volume_script

resume_script() {
    local art store
    art=$(folder resume) store=$(folder store)
    # Nothing to resume from is a fresh run; then the outputs come back, with the record that the sidecar starts from.
    for round in fresh resumed; do
        run "$INIT" -v "$art:$CTX" -v "$store:/outputs/1" -e 'POLYAXON_CONNECTIONS_CATALOG={"connections":[{"name":"outputs-host","kind":"host_path","schema":{"hostPath":"/path/to/outputs","mountPath":"/outputs/1"}}]}' \
            -- /bin/sh -c "$(cat images/checks/resume)"
        test -d "$art/$RUN/outputs"
        [ "$round" = resumed ] || { mkdir -p "$store/$RUN/outputs" && echo 1 >"$store/$RUN/outputs/model"; }
    done
    diff -r "$store/$RUN" "$art/$RUN"
    grep -q "$RUN/outputs/model" "$art/.fs"
}
check "init: the default artifacts script, fresh and resumed" resume_script

a_repository() {
    local art repo
    art=$(folder repository) repo=$work/repo.git
    git init -q "$work/tree"
    echo readme >"$work/tree/README"
    git -C "$work/tree" add README
    git -C "$work/tree" -c user.name=t -c user.email=t@t commit -q -m first
    git clone -q --bare "$work/tree" "$repo"
    run "$INIT" -v "$art:$CTX" -v "$repo:/repo.git:ro" -- polyaxon initializer git --repo-path=$CTX/repo --url=file:///repo.git
    same readme "$(cat "$art/repo/README")"
    same "$(git -C "$work/tree" rev-parse HEAD)" "$(git -c safe.directory='*' -C "$art/repo" rev-parse HEAD)"
}
check "init: git, without a git" a_repository

tmux_script() {
    local bin
    bin=$(folder bin)
    run "$INIT" -v "$bin:/opt/polyaxon/bin" -- sh -c "$(cat images/checks/tools-tmux)"
    # In an image that has none of its own libraries, as main's may be.
    run "$SIDECAR" -v "$bin:/tools:ro" -- /tools/tmux -V
    run "$INIT" -v "$bin:/tools:ro" -v "$(folder sockets):/sockets" -- sh -c \
        '/tools/tmux -S /sockets/s new-session -d -s work "sleep 20" && /tools/tmux -S /sockets/s ls && /tools/tmux -S /sockets/s kill-server'
}
check "init: tmux for main" tmux_script
entry_for_main() {
    local art code=0
    art=$(folder entry)
    run "$INIT" -v "$art:$CTX" -- plx-init entry --to $CTX/.plx-main
    names_no_build_path "$art/.plx-main/plx-entry"
    test "$(stat -c %s "$art/.plx-main/plx-entry")" -lt 2000000
    # As another user than who placed it, with a main that leaves an orphan.
    uid=$ANY_UID:$ANY_UID run "$INIT" -v "$art:$CTX" -- $CTX/.plx-main/plx-entry --folder $CTX/.plx-main --tee -- \
        sh -c 'sleep 600 & echo hello; exit 7' >"$work/entry.out" || code=$?
    same hello "$(cat "$work/entry.out")"
    same hello "$(tail -n1 "$art"/.plx-main/00001-00000001.log)"
    grep -q '^{"exit_code":7,' "$art/.plx-main/main-exit.json"
    test "$code" = 7
}
check "init: plx-entry runs main" entry_for_main
check "init: tools that only Polyaxon has are an error that says so" ends 78 'plugins\.ssh' \
    run "$INIT" -- sh -c "$(cat images/checks/tools-ssh)"

# --- sidecar ----------------------------------------------------------------------------------------------------------

sidecar_pod() { # ART STORE
    pod=(-v "$1:$CTX" -v "$2:/outputs/1" -e POLYAXON_NO_API=true -e POLYAXON_K8S_POD_ID=pod -e "POLYAXON_RUN_INSTANCE=o.p.runs.$RUN"
        -e POLYAXON_ARTIFACTS_STORE_NAME=outputs-host
        -e 'POLYAXON_CONNECTIONS_CATALOG={"connections":[{"name":"outputs-host","kind":"host_path","schema":{"hostPath":"/path/to/outputs","mountPath":"/outputs/1"}}]}')
    mkdir -p "$1/$RUN/outputs"
    chmod -R a+rwX "$1"
    echo 1 >"$1/$RUN/outputs/model"
}

main_ended() {
    local art store pod
    art=$(folder side) store=$(folder side-store)
    sidecar_pod "$art" "$store"
    echo '{"exit_code":0}' >"$art/main-exit.json"
    run "$SIDECAR" "${pod[@]}" -- polyaxon sidecar --container-id=polyaxon-main --sleep-interval=1 --sync-interval=-1 --main-marker=$CTX/main-exit.json
    same 1 "$(cat "$store/$RUN/outputs/model")"
}
check "sidecar: main ended, its outputs are stored" main_ended

pod_deleted() {
    local art store pod name=plx-check-$$ begun code
    art=$(folder term) store=$(folder term-store)
    sidecar_pod "$art" "$store"
    run "$SIDECAR" "${pod[@]}" -d --name "$name" -- polyaxon sidecar --container-id=polyaxon-main --sleep-interval=1 --sync-interval=-1 >/dev/null
    sleep 2
    begun=$SECONDS
    "$ENGINE" stop -t 30 "$name" >/dev/null &
    code=$("$ENGINE" wait "$name")
    wait $!
    echo "exit code $code after $((SECONDS - begun)) s"
    same 1 "$(cat "$store/$RUN/outputs/model")"
    test "$code" = 0
}
check "sidecar: SIGTERM, and the outputs are stored" pod_deleted

# --- how much it takes ------------------------------------------------------------------------------------------------

python3 images/measure.py "$work/plx-init.root/usr/bin" "$work/plx-sidecar.root/usr/bin"

[ "$failed" = 0 ] || fail "$failed checks failed" "see the lines that begin with FAILED" 1
echo "all checks passed"
