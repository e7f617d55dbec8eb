#!/usr/bin/env bash
# Sets up as tests/run.sh does, then runs every benchmark and writes docs/benchmarks.md; arguments go to the runner.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/lib/setup.sh

system_packages "${VENV_NEEDS[@]}" "${BUILD_NEEDS[@]}" "${PEER_NEEDS[@]}"
virtual_environment
once .venv/tests.stamp pyproject.toml -- install_package --group test
say "set up in $SECONDS s"

exec .venv/bin/python -m tests.benchmarks "$@"
