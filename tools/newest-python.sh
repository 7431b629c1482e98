#!/usr/bin/env bash
# Run the tests of reading and writing files on the newest Python of this machine, with the newest
# libraries and without torch. Says so and goes on where no Python is newer than that of $VENV.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv-newest
python=$venv/bin/python

say() { printf '%s\n' "$*" >&2; }

# The newest Python, as a path: on PATH, or one that pyenv keeps.
newest_python() {
    local name version
    for name in python3.13 python3.12; do
        if "$name" -c '' 2>/dev/null; then
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
        command -v pyenv >/dev/null || continue
        version=$(pyenv versions --bare | grep "^${name#python}\." | tail -n 1) || continue
        PYENV_VERSION=$version "$name" -c 'import sys; print(sys.executable)' && return
    done
}

minor_of() { "$1" -c 'import sys; print(sys.version_info.minor)'; }

newest=$(newest_python)
if [ -z "$newest" ] || [ "$(minor_of "$newest")" -le "$(minor_of "${VENV:-.venv}/bin/python")" ]; then
    say "No Python here is newer than that of the tests; nothing more to try."
    exit 0
fi

# What the package needs, but for torch; and what these tests need.
state=$(cksum pyproject.toml; "$newest" --version)
if [ "$(cat "$venv/.set-up" 2>/dev/null)" != "$state" ]; then
    say "Making $venv with $("$newest" --version), without torch"
    "$newest" -m venv --clear "$venv"
    "$python" - <<'END' >"$venv/needed.txt"
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
tests = ("dask", "hypothesis", "napari", "pycocotools", "pytest>", "pytest-timeout")
wanted = [one for one in project["dependencies"] if not one.startswith("torch")]
wanted += [one for one in project["optional-dependencies"]["test"] if one.startswith(tests)]
print("\n".join(wanted).replace("[pyqt6]", ""))  # and without a window
END
    "$python" -m pip install -qq --disable-pip-version-check --upgrade -r "$venv/needed.txt"
    "$python" -m pip install -qq --disable-pip-version-check --no-deps --editable .
    printf '%s' "$state" >"$venv/.set-up"
fi

# Options of pytest-qt, which comes with a window, are not known here.
exec "$python" -m pytest -q -o addopts= --import-mode=importlib --strict-markers \
    -W ignore::pytest.PytestConfigWarning -m "not slow" --hypothesis-profile=ci \
    tests/io tests/core "$@"
