#!/usr/bin/env bash
# pytest with the arguments, from a folder without the package's source: what is tested is what is installed.
set -euo pipefail
top="$(cd "$(dirname "$0")/.." && pwd)"
away="$(mktemp -d)"
trap 'rm -rf "$away"' EXIT
ln -s "$top"/{tests,pyproject.toml,plugin.json,README.md,LICENSE} "$away"
cd "$away"
imported="$(python -c 'import snapcal_workbench; print(snapcal_workbench.__file__)')"
if [[ "$imported" == "$top"/snapcal_workbench/* ]]; then
    echo "expected an installed snapcal_workbench, found $imported: unset PYTHONPATH, and do not install with --editable" >&2
    exit 1
fi
python -m pytest "$@"
