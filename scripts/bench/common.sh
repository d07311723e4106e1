# Shared by the benchmarks: which Python, which binaries, how many cores. Sourced, not run.
# shellcheck shell=bash

# Makes the folder of the repository the working directory.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

fail() { # MESSAGE HINT
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

# Prints the comment at the top of a script: its help.
help_of() { # FILE
  awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$1"
}

# Sets `python` to an interpreter that has these modules; PYTHON names it.
need_python() { # MODULE...
  python=${PYTHON:-}
  if [ -z "$python" ]; then
    python=python3
    if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
  fi
  local code='import importlib.util, sys; print(*[m for m in sys.argv[1:] if not importlib.util.find_spec(m)])'
  local missing
  missing=$("$python" -c "$code" "$@") || fail "\`$python\` does not run" "set PYTHON to a Python of 3.11 or later"
  if [ -n "$missing" ]; then
    fail "\`$python\` lacks: $missing" \
      "python3 -m venv .venv && .venv/bin/pip install -r scripts/bench/requirements.txt    (or set PYTHON)"
  fi
}

# Sets `bin` to the folder with these programs: CONVERGE_BIN as it is, or a fresh release build.
need_programs() { # PROGRAM...     an example of cargo's is written examples/NAME
  if [ -n "${CONVERGE_BIN:-}" ]; then
    bin=$CONVERGE_BIN
  else
    local program arguments=(--bins)
    for program in "$@"; do
      if [[ $program == examples/* ]]; then arguments+=(--example "${program#examples/}"); fi
    done
    echo "building (release; CONVERGE_BIN=FOLDER skips this)" >&2
    cargo build --quiet --release --locked --workspace "${arguments[@]}"
    bin=$(cargo metadata --no-deps --format-version 1 --locked |
      python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release
  fi
  for program in "$@"; do
    [ -x "$bin/$program" ] || fail "no program \`$bin/$program\`" "unset CONVERGE_BIN, or let it name a folder that holds it"
  done
}

# Ends with a hint where a file is missing.
need_files() { # FILE...
  local file
  for file in "$@"; do
    [ -e "$file" ] || fail "no \`$file\`" "scripts/fetch brings model and data"
  done
}
