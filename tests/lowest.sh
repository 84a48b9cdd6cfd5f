#!/usr/bin/env bash
# The lowest versions that pyproject.toml allows, in a virtual environment of their own: what reads, writes, fits and draws.
# Ends with 75 where they cannot be fetched: an index of new versions alone does not have them.
set -euo pipefail
cd "$(dirname "$0")/.."
certificates="$(python3 -m pip config list | sed -n "s/^global.cert='\(.*\)'/\1/p")" # what pip trusts, uv is to trust as well
[ -z "$certificates" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$certificates}"
environment="$(mktemp -d)"
trap 'rm -rf "$environment"' EXIT
uv venv --quiet --python "$(command -v python3.11 || command -v python3)" "$environment"
# shellcheck disable=SC1091
. "$environment/bin/activate"
rm -rf build # of an earlier wheel: its modules would all come back
uv pip install --quiet --resolution lowest-direct '.[gui,test]' || exit 75
export QT_QPA_PLATFORM="${QT_QPA_PLATFORM:-offscreen}"
# The oldest of one library calls the newest of another by names that are to go: no fault of ours.
QT_API=pyside6 bash tests/installed.sh --numprocesses 2 --dist loadfile -W ignore::DeprecationWarning \
    tests/test_imports.py tests/test_plugin_manifest.py tests/options tests/formats/test_diffcal.py \
    tests/formats/test_events.py tests/formats/test_processed.py tests/formats/test_writing.py \
    tests/calibration/test_focus.py tests/calibration/pixels/test_template.py tests/calibration/peaks/test_peakfit.py \
    tests/session/test_starting.py tests/report/test_tables.py tests/panel/test_menu.py
