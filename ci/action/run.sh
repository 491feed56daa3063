#!/usr/bin/env bash
# What a CI job does with Brownout: sweeps, Robot suites and pytest tests are run, recorded and compared with a baseline.
# The GitHub action, the GitLab template and the image call it; it runs as well on a desk: run.sh --help.
set -uo pipefail

usage() {
    cat <<'END'
Usage: run.sh [OPTIONS]

  Run sweeps, Robot suites and pytest tests, record them in the store of results, and report what broke since the
  baseline. Each option may be given as a variable instead. Those marked * take several values: give the option more
  than once, or write one value a line in the variable.

  --target FILE      BROWNOUT_TARGETS     target file to sweep *
  --suites PATH      BROWNOUT_SUITES      Robot suites to run *
  --tests PATH       BROWNOUT_TESTS       pytest tests to run *
  --build COMMAND    BROWNOUT_BUILD       shell command that builds the firmware, done first
  --engine NAME      BROWNOUT_ENGINE      engine of the sweeps: unicorn, qemu or renode (default: brownout sweep's)
  --points N         BROWNOUT_POINTS      operations to cut in a sweep: all or a number (default: brownout sweep's)
  --sweep-arg ARG    BROWNOUT_SWEEP_ARGS  more for brownout sweep, such as --depth=2 *
  --suites-arg ARG   BROWNOUT_SUITES_ARGS more for robot *
  --tests-arg ARG    BROWNOUT_TESTS_ARGS  more for pytest *
  --jobs N           BROWNOUT_JOBS        processes of a sweep; above 1 also of pabot (default: all cores; robot alone)
  --images PATH      BROWNOUT_IMAGES      image or folder of images: sizes and digests are recorded *
  --baseline REF     BROWNOUT_BASELINE    what to compare with (default: the branch that a pull or merge request goes
                                          to, where it was recorded; else the previous run)
  --fail-on WHAT     BROWNOUT_FAIL_ON     failures: all of them; regressions: what broke since the baseline
                                          (default: failures)
  --output DIR       BROWNOUT_OUTPUT      folder for everything (default: brownout-report)
  --store URL        BROWNOUT_RESULTS     store of results (default: .brownout/results.db)
  --keep N           BROWNOUT_KEEP        runs to keep of each series; a database is never pruned (default: 100)

  Exit code: 0 fine, 1 failures or findings, 2 error, 130 interrupted. All that could be made is there in any case:
  OUTPUT/report (index.html, report.md, junit.xml, findings.sarif, report.json), OUTPUT/sweeps, OUTPUT/suites,
  OUTPUT/tests.

  Examples:
    run.sh --target target.toml
    run.sh --target a.toml --target b.toml --points 100 --baseline main
    run.sh --target target.toml --suites robot --tests tests --images build
END
}

say() { echo "ci: $*"; }
fail() {
    echo "ci: $*" >&2
    exit 2
}

# -- parameters ----------------------------------------------------------------------------------------

given="" # an option replaces what the variable says; given again, it adds a line where several values are possible
option() { # option VARIABLE VALUE
    case $1 in
    BROWNOUT_TARGETS | BROWNOUT_SUITES | BROWNOUT_TESTS | BROWNOUT_IMAGES | *_ARGS)
        [[ " $given " != *" $1 "* ]] || set -- "$1" "${!1}"$'\n'"$2"
        given="$given $1"
        ;;
    esac
    printf -v "$1" '%s' "$2"
}
while [ $# -gt 0 ]; do
    name=${1%%=*}
    case $name in
    -h | --help)
        usage
        exit 0
        ;;
    --target) variable=BROWNOUT_TARGETS ;;
    --suites) variable=BROWNOUT_SUITES ;;
    --tests) variable=BROWNOUT_TESTS ;;
    --sweep-arg) variable=BROWNOUT_SWEEP_ARGS ;;
    --suites-arg) variable=BROWNOUT_SUITES_ARGS ;;
    --tests-arg) variable=BROWNOUT_TESTS_ARGS ;;
    --images) variable=BROWNOUT_IMAGES ;;
    --build) variable=BROWNOUT_BUILD ;;
    --engine) variable=BROWNOUT_ENGINE ;;
    --points) variable=BROWNOUT_POINTS ;;
    --jobs) variable=BROWNOUT_JOBS ;;
    --baseline) variable=BROWNOUT_BASELINE ;;
    --fail-on) variable=BROWNOUT_FAIL_ON ;;
    --output) variable=BROWNOUT_OUTPUT ;;
    --store) variable=BROWNOUT_RESULTS ;;
    --keep) variable=BROWNOUT_KEEP ;;
    *) fail "'$1': no such option; run.sh --help names them" ;;
    esac
    if [ "$name" != "$1" ]; then
        value=${1#*=}
        shift
    else
        [ $# -gt 1 ] || fail "$1: expected a value"
        value=$2
        shift 2
    fi
    option "$variable" "$value"
done

lines() { # the lines of a text that are not blank, without the blanks around them
    sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d' <<<"${1:-}"
}
mapfile -t targets < <(lines "${BROWNOUT_TARGETS:-}")
mapfile -t suites < <(lines "${BROWNOUT_SUITES:-}")
mapfile -t tests < <(lines "${BROWNOUT_TESTS:-}")
mapfile -t sweep_args < <(lines "${BROWNOUT_SWEEP_ARGS:-}")
mapfile -t suites_args < <(lines "${BROWNOUT_SUITES_ARGS:-}")
mapfile -t tests_args < <(lines "${BROWNOUT_TESTS_ARGS:-}")
mapfile -t images < <(lines "${BROWNOUT_IMAGES:-}")
engine=${BROWNOUT_ENGINE:-}
points=${BROWNOUT_POINTS:-}
jobs=${BROWNOUT_JOBS:-}
baseline=${BROWNOUT_BASELINE:-}
fail_on=${BROWNOUT_FAIL_ON:-failures}
output=${BROWNOUT_OUTPUT:-brownout-report}
keep=${BROWNOUT_KEEP:-100}
# By variable, not by option: a URL may hold a password, and other users of the machine see command lines.
export BROWNOUT_RESULTS=${BROWNOUT_RESULTS:-.brownout/results.db}

# -- checks, before anything takes long ----------------------------------------------------------------

[ $((${#targets[@]} + ${#suites[@]} + ${#tests[@]})) -gt 0 ] || fail "nothing to run: set targets, suites or tests"
for one in "${targets[@]}"; do [ -f "$one" ] || fail "target: '$one': no such file (one a line)"; done
for one in "${suites[@]}"; do [ -e "$one" ] || fail "suites: '$one': no such file or folder (one a line)"; done
for one in "${tests[@]}"; do [ -e "${one%%::*}" ] || fail "tests: '$one': no such file or folder (one a line)"; done
case $engine in "" | unicorn | qemu | renode) ;; *) fail "engine: '$engine': expected unicorn, qemu or renode" ;; esac
number='^[1-9][0-9]{0,8}$'
[[ -z $points || $points = all || $points =~ $number ]] || fail "points: '$points': expected all, or a number above 0"
[[ -z $jobs || $jobs =~ $number ]] || fail "jobs: '$jobs': expected a number above 0"
[[ $keep =~ $number ]] || fail "keep: '$keep': expected a number above 0"
case $fail_on in failures | regressions) ;; *) fail "fail-on: '$fail_on': expected failures or regressions" ;; esac

needs() { command -v "$1" >/dev/null 2>&1 || fail "$1: not found on PATH: $2"; }
needs brownout "pip install brownout"
[ ${#tests[@]} -eq 0 ] || needs pytest "pip install pytest"
runner=robot
if [ -n "$jobs" ] && [ "$jobs" -gt 1 ]; then runner=pabot; fi
[ ${#suites[@]} -eq 0 ] || needs $runner "pip install brownout"

# A folder of an earlier run is replaced, anything else is left alone.
mark=$output/.brownout-ci
if [ -e "$output" ]; then
    [ -d "$output" ] || fail "output: '$output': is no folder"
    if [ -e "$mark" ]; then
        rm -rf "${output:?}/report" "${output:?}/sweeps" "${output:?}/suites" "${output:?}/tests" ||
            fail "output: '$output': cannot be emptied"
    else
        [ -z "$(ls -A "$output")" ] || fail "output: '$output': holds other things: expected an empty folder, or none"
    fi
fi
{ mkdir -p "$output" && : >"$mark"; } 2>/dev/null || fail "output: '$output': cannot be written"

# What an earlier run has left must be readable now, not after an hour of sweeps.
store=${BROWNOUT_RESULTS#sqlite:///}
is_file=yes
case $store in *://*) is_file=no ;; esac
history=no
if [ $is_file = no ] || [ -e "$store" ]; then
    if earlier=$(brownout results list --limit 1 --json 2>&1); then
        [ "$earlier" = "[]" ] || history=yes
    elif [[ $earlier != *": has no results; "* ]]; then # a database without tables will get them
        fail "${earlier#brownout: error: }"
    fi
elif ! mkdir -p "$(dirname "$store")" 2>/dev/null; then
    fail "store: '$store': its folder cannot be made"
fi

# -- parts ---------------------------------------------------------------------------------------------

child=""
# shellcheck disable=SC2317,SC2329 # called by the trap
stop() {
    trap '' INT TERM
    [ -z "$child" ] || { kill -TERM "$child" 2>/dev/null && wait "$child"; }
    say "interrupted" >&2
    exit 130
}
trap stop INT TERM

failed=no
broken=no
run() { # run COMMAND...: in the background, so that a signal reaches it
    local status
    "$@" </dev/null &
    child=$!
    wait "$child"
    status=$?
    child=""
    [ $status -ne 130 ] || stop
    return $status
}
error() {
    broken=yes
    echo "ci: $*" >&2
}

if [ -n "${BROWNOUT_BUILD:-}" ]; then
    say "build"
    run bash -euo pipefail -c "$BROWNOUT_BUILD" || fail "build: '${BROWNOUT_BUILD%%$'\n'*}' failed ($?)"
fi
for one in "${images[@]}"; do [ -e "$one" ] || fail "images: '$one': no such file or folder (one a line)"; done

runs=()
shown() { # shown WORD...: as it is typed into a shell
    local line
    printf -v line '%q ' "$@"
    echo "${line% }"
}
record() { # record FILE [OPTION...]
    local said one
    if [ ! -s "$1" ]; then
        error "$1: was not written: there is nothing to record"
        return
    fi
    local options=("${@:2}")
    for one in "${images[@]}"; do options+=("--firmware=$one"); done
    if said=$(brownout results import --json "${options[@]}" -- "$1"); then
        mapfile -t -O ${#runs[@]} runs < <(sed -n 's/^ *"run": "\([^"]*\)".*/--run=\1/p' <<<"$said")
    else
        error "$1: could not be recorded"
    fi
}

folder_of() { # a folder below sweeps/ that only this target has
    local name=${1%.toml} folder number=1
    name=${name#./}
    folder=$output/sweeps/${name//[^A-Za-z0-9._-]/_}
    while [ -e "$folder${2:-}" ]; do
        number=$((number + 1))
        set -- "$1" "-$number"
    done
    echo "$folder${2:-}"
}

for target in "${targets[@]}"; do
    folder=$(folder_of "$target")
    mkdir -p "$folder"
    options=("--json=$folder/sweep.json" "--html=$folder/sweep.html" "--evidence=$folder/evidence")
    [ -z "$engine" ] || options+=("--engine=$engine")
    [ -z "$points" ] || options+=("--points=$points")
    [ -z "$jobs" ] || options+=("--jobs=$jobs")
    say "sweep $target"
    command=(brownout sweep "${options[@]}" "${sweep_args[@]}" -- "$target")
    run "${command[@]}"
    status=$?
    case $status in
    0) ;;
    1) failed=yes ;;
    *) error "$target: the sweep ended with an error ($status)" ;;
    esac
    options=("--target=$target" "--command=$(shown "${command[@]}")")
    [ ! -d "$folder/evidence" ] || options+=("--evidence=$folder/evidence")
    record "$folder/sweep.json" "${options[@]}"
done

if [ ${#suites[@]} -gt 0 ]; then
    folder=$output/suites
    mkdir -p "$folder"
    options=(--outputdir "$folder" --xunit junit.xml)
    # pabot leaves what it learns about durations in the current folder.
    learnt=$([ -e .pabotsuitenames ] && echo kept)
    [ $runner = robot ] || options=(--processes "$jobs" --no-pabotlib "${options[@]}")
    say "suites ${suites[*]}"
    command=("$runner" "${options[@]}" "${suites_args[@]}" "${suites[@]}")
    run "${command[@]}"
    status=$?
    [ $runner = robot ] || [ "$learnt" = kept ] || rm -f .pabotsuitenames
    case $status in
    0) ;;
    25[1-5]) error "suites: $runner ended with an error ($status)" ;;
    *) failed=yes ;;
    esac
    record "$folder/output.xml" "--command=$(shown "${command[@]}")"
fi

if [ ${#tests[@]} -gt 0 ]; then
    folder=$output/tests
    mkdir -p "$folder"
    say "tests ${tests[*]}"
    command=(pytest "--junitxml=$folder/pytest.xml" "--brownout-artifacts=$folder/evidence")
    command+=("${tests_args[@]}" "${tests[@]}")
    run "${command[@]}"
    status=$?
    case $status in
    0) ;;
    1) failed=yes ;;
    5) error "tests: pytest found no tests" ;;
    *) error "tests: pytest ended with an error ($status)" ;;
    esac
    record "$folder/pytest.xml" "--command=$(shown "${command[@]}")"
fi

# -- report --------------------------------------------------------------------------------------------

regressed=no
report() { # report BASELINE: 0 made, 2 not made
    brownout report "--baseline=$1" "--out=$output/report" "${runs[@]}"
    case $? in
    0) ;;
    1) regressed=yes ;;
    *) return 2 ;;
    esac
}

if [ ${#runs[@]} -eq 0 ]; then
    error "nothing was recorded: there is no report"
else
    base=${GITHUB_BASE_REF:-${CI_MERGE_REQUEST_TARGET_BRANCH_NAME:-}}
    say "report"
    if [ -z "$baseline" ] && [ -n "$base" ] && report "$base" 2>/dev/null; then
        : # made
    elif [ -n "$baseline" ] && [ "$history" = yes ]; then
        # Asked for by name, so another one is no substitute. What there is is shown all the same.
        report "$baseline" || {
            error "baseline: '$baseline': the report compares with the previous run instead"
            report previous || error "the report could not be made"
        }
    else
        [ -z "${baseline:-$base}" ] || say "nothing is recorded of '${baseline:-$base}': compared with the previous run"
        report previous || error "the report could not be made"
    fi
    if [ $is_file = yes ]; then brownout results prune --keep "$keep" >/dev/null || error "the store was not pruned"; fi
fi

[ "$fail_on" = failures ] || failed=no
if [ $regressed = yes ]; then failed=yes; fi
[ $broken = no ] || { say "error; what there is is in $output" && exit 2; }
[ $failed = no ] || { say "failed: $output/report/index.html" && exit 1; }
say "passed: $output/report/index.html"
