#!/usr/bin/env bash
# All set-up, then all checks and tests. Uses the active virtual environment, else makes .venv-tests.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(xvfb x11-utils fonts-dejavu-core libegl1 libgl1 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0 libxcb-cursor0
    libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xkb1)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ -z "${VIRTUAL_ENV:-}" ]; then
    python3 -m venv .venv-tests
    # shellcheck disable=SC1091
    . .venv-tests/bin/activate
fi
rm -rf build # of an earlier wheel: its modules would all come back
python -m pip install --quiet '.[gui,test]'

echo "== ruff";          ruff check . && ruff format --check --quiet .
echo "== import-linter"; lint-imports
echo "== mypy";          mypy
echo "== pytest"
export QT_QPA_PLATFORM="${QT_QPA_PLATFORM:-offscreen}"
QT_API=pyside6 bash tests/installed.sh --numprocesses 2 --dist loadfile "$@"
echo "== pytest, the panel with PyQt5"
[ $# -gt 0 ] || QT_API=pyqt5 PYTEST_QT_API=pyqt5 bash tests/installed.sh --numprocesses 2 --dist worksteal -p no:randomly -m 'not long and not one_binding' tests/panel
