# What the peers' scripts share: the four commands that scripts/bench calls, and the ways to install.
# Sourced by benches/peers/*/peer, never run.
#
#   peer describe DIR                      one JSON line: what this is, what it takes to have it
#   peer install DIR                       everything it needs, into DIR; again: nothing to do
#   peer run DIR BOOTSTRAP TOPIC OUT       the job, to its end; its rows into the new folder OUT
#   peer check DIR OUT                     one JSON line: rows, records, and both of each window
#
# A script sets, before it calls peer "$@":
#   name, version, language    as they stand in the table
#   job                        the files that a user writes, in the script's folder
#   needs                      what has to be installed, one thing an element
# and defines
#   install_into DIR           called in the script's folder; what it leaves in DIR/build is there
#                              again when it has to begin anew
#   run_job DIR BOOTSTRAP TOPIC OUT   called in OUT/scratch; writes rows of JSON below OUT/rows
# and may set
#   rows_are=updates           the last row of each device and window counts
#   window_column=NAME         what an engine calls window_start, if it takes no other name
#   quiet_s=N                  each run waits N seconds at the end to see that nothing more comes (see
#                              until_quiet); the table leaves them out
#   python_minor_min=N         Python 3.N or later
#
# What an engine prints goes to OUT/log. Its temporary files go to OUT/scratch.
# shellcheck shell=bash disable=SC2154
set -euo pipefail

peers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
readonly java_major_min=17
readonly first_row_s=600 # how long until_quiet waits for the first row
readonly python_minor_min_here=9 # for what is counted and described, whatever the engine needs
python_minor_min=11

fail() {
    printf 'benches/peers/%s/peer: %s\n' "${here##*/}" "$*" >&2
    exit 1
}

# --- what is needed -----------------------------------------------------------------------------

# Sets python to a Python 3 that is new enough.
find_python() {
    local candidate
    # The last ones are where pyenv keeps those that are not active.
    for candidate in python3 python3.{14,13,12,11} ~/.pyenv/versions/3.*/bin/python3; do
        if "$candidate" -c "import sys; sys.exit(sys.version_info < (3, $python_minor_min))" 2>/dev/null; then
            python=$candidate
            return
        fi
    done
    fail "no Python 3.$python_minor_min or later found (Debian: apt-get install python3 python3-venv)"
}

# Fails unless there is a JDK that is new enough: java to run, javac to compile a job.
find_java() {
    local command
    for command in java javac; do
        command -v "$command" >/dev/null ||
            fail "no $command found: install a JDK $java_major_min or later (Debian: apt-get install openjdk-17-jdk-headless)"
    done
    local major
    major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9][0-9]*\).*/\1/p' | head -n 1)
    [[ ${major:-0} -ge $java_major_min ]] ||
        fail "java is ${major:-of an unknown version}, $java_major_min or later is needed"
}

# --- ways to install ----------------------------------------------------------------------------

# install_python DIR: requirements.txt of the script's folder, into DIR/venv.
install_python() {
    find_python
    "$python" -m venv "$1/venv"
    "$1/venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir -r requirements.txt ||
        fail "pip could not install what requirements.txt names (see the lines above)"
}

# install_jars DIR: the dependencies in pom.xml of the script's folder, into DIR/jars.
install_jars() {
    find_java
    command -v mvn >/dev/null || fail "no mvn found (Debian: apt-get install maven)"
    mvn -q -B -f pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime "-DoutputDirectory=$1/jars" >"$1/mvn.log" 2>&1 || {
        grep -m 5 ERROR "$1/mvn.log" >&2 || tail -n 5 "$1/mvn.log" >&2
        fail "Maven could not get what pom.xml names (see the lines above)"
    }
    rm "$1/mvn.log"
}

# compile_java DIR: the job's classes, into DIR/classes.
compile_java() {
    javac --release "$java_major_min" -Xlint:all,-processing,-classfile,-path -cp "$1/jars/*" -d "$1/classes" "${job[@]}"
}

# --- ways to run --------------------------------------------------------------------------------

# both COMMAND...: runs COMMAND... 0 and COMMAND... 1 beside each other; fails when either does.
both() {
    local first second status=0
    "$@" 0 &
    first=$!
    "$@" 1 &
    second=$!
    # shellcheck disable=SC2064  # these two processes, not what the names hold later
    trap "kill $first $second 2>/dev/null" EXIT
    wait -n || status=$?
    [[ $status -eq 0 ]] || return "$status"
    wait -n || status=$?
    trap - EXIT
    return "$status"
}

# until_quiet SECONDS FOLDER COMMAND...: for an engine that reads without end. Runs COMMAND until the
# files of rows in FOLDER have not grown for so many seconds, and ends it by SIGTERM. A COMMAND that ends
# before that, or that writes nothing at all, has failed.
until_quiet() {
    local seconds=$1 folder=$2 engine empty size now quiet=0 give_up=$((SECONDS + first_row_s))
    shift 2
    empty=$(row_bytes_in "$folder")
    size=$empty
    "$@" &
    engine=$!
    # shellcheck disable=SC2064  # this process, not what the name holds later
    trap "kill $engine 2>/dev/null" EXIT
    while ((size == empty || quiet < seconds * 2)); do
        sleep 0.5
        kill -0 "$engine" 2>/dev/null || fail 'the job has ended before its input'
        now=$(row_bytes_in "$folder")
        ((now > empty || SECONDS < give_up)) || fail "the job has written nothing for $first_row_s s"
        if ((now == size)); then quiet=$((quiet + 1)); else quiet=0 size=$now; fi
    done
    trap - EXIT
    kill "$engine"
    wait "$engine" || true # ended by the signal
}

bytes_in() { du -sb "$1" | cut -f 1; }

# Without the files that are an engine's own business (see count_rows.py).
row_bytes_in() {
    (cd "$1" && find . -type f -not -path '*/[_.]*' -printf '%s\n') | awk '{ bytes += $1 } END { print bytes + 0 }'
}

# --- the commands -------------------------------------------------------------------------------

# What DIR/installed holds when DIR has what this version of the script's folder installs.
stamp() {
    printf '%s\n' "$version"
    (cd "$here" && find . \( -name requirements.txt -o -name pom.xml -o -name '*.java' \) -exec cksum {} + | sort)
}

is_installed() { [[ $(cat "$1/installed" 2>/dev/null) == "$(stamp)" ]]; }

describe() {
    local python_minor_min=$python_minor_min_here
    find_python
    local bytes=0 lines
    if is_installed "$1"; then bytes=$(bytes_in "$1"); fi
    lines=$(cd "$here" && cat "${job[@]}" | grep -cvE '^[[:space:]]*(#|//|--|$)')
    "$python" -c '
import json, sys
name, version, language, lines, size, quiet, *needs = sys.argv[1:]
print(json.dumps({"name": name, "version": version, "language_of_job": language, "lines": int(lines),
                  "things_to_install": needs, "installed_bytes": int(size),
                  "quiet_seconds_at_end": int(quiet)}))
' "$name" "$version" "$language" "$lines" "$bytes" "${quiet_s:-0}" "${needs[@]}"
}

install() {
    if is_installed "$1"; then return; fi
    if [[ -e $1 ]]; then
        [[ -e $1/installing || -e $1/installed ]] || [[ -z $(ls -A "$1") ]] ||
            fail "$1 is not empty and not of this script: name another folder"
        touch "$1/installing"
        find "$1" -mindepth 1 -maxdepth 1 ! -name installing ! -name build -exec rm -rf {} +
    fi
    mkdir -p "$1"
    touch "$1/installing" # until all is there, so that the next try knows whose folder this is
    mkdir "$1/tmp"
    (cd "$here" && TMPDIR=$1/tmp install_into "$1") >&2
    rm -rf "$1/tmp"
    stamp >"$1/installed"
    rm "$1/installing"
}

run() {
    is_installed "$1" || fail "$1 has not what this needs: run 'peer install $1' first"
    [[ ! -e $4 || -z $(ls -A "$4") ]] || fail "$4 is not empty: rows of two runs would be mixed"
    mkdir -p "$4/rows" "$4/scratch"
    local status=0
    # set -e has no effect within a command that || follows, so the status is asked for by hand.
    set +e
    (
        set -e
        cd "$4/scratch"
        # Engines that ask nobody where their temporary files go ask these.
        export TMPDIR=$4/scratch HOME=$4/scratch PYTHONDONTWRITEBYTECODE=1
        run_job "$@"
    ) >"$4/log" 2>&1
    status=$?
    set -e
    if [[ $status -ne 0 ]]; then
        tail -n 15 "$4/log" >&2
        fail "the job failed with exit code $status; the end of its log is above ($4/log)"
    fi
}

peer() {
    local command=${1:-} arguments=2
    case $command in
    describe | install) ;;
    check) arguments=3 ;;
    run) arguments=5 ;;
    help | -h | --help) sed -n '4,/^$/{s/^# \{0,1\}//;p;}' "$peers/interface.sh" | head -n 4 && exit ;;
    *) arguments=-1 ;;
    esac
    if [[ $# -ne $arguments ]]; then
        sed -n '4,7s/^# \{0,1\}//p' "$peers/interface.sh" >&2
        exit 2
    fi
    local dir out
    dir=$(realpath -m "$2")
    case $command in
    describe) describe "$dir" ;;
    install) install "$dir" ;;
    run)
        out=$(realpath -m "$5")
        run "$dir" "$3" "$4" "$out"
        ;;
    check)
        local python_minor_min=$python_minor_min_here
        find_python
        "$python" "$peers/count_rows.py" "--rows-are=${rows_are:-final}" \
            "--window-column=${window_column:-window_start}" "$(realpath -m "$3")/rows"
        ;;
    esac
}
