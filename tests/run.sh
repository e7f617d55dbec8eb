#!/usr/bin/env bash
# Sets up all that the tests need, then lints, type-checks and tests; arguments go to pytest.
# As root it installs system packages; otherwise it says which are missing. Running it again is quick.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/lib/setup.sh

system_packages "${VENV_NEEDS[@]}" "${BUILD_NEEDS[@]}" "${PEER_NEEDS[@]}" \
  git:git node:nodejs npm:npm Orthanc:orthanc unshare:util-linux ip:iproute2 \
  "$LIBRARY/rsyslog/lmnsd_gtls.so:rsyslog-gnutls" "$LIBRARY/security/pam_pwdfile.so:libpam-pwdfile"
virtual_environment
once .venv/tests.stamp pyproject.toml -- install_package --group test
once tests/interop/node/node_modules/.stamp tests/interop/node/package.json -- \
  npm install --prefix tests/interop/node --no-package-lock --no-audit --no-fund --loglevel=error
say "set up in $SECONDS s"

# As modules: a script's first line would name the place the environment was made in.
.venv/bin/python -m ruff check
.venv/bin/python -m ruff format --check
.venv/bin/python -m mypy
# Tests mostly wait, so two at once for each processor; a file's tests share their servers.
exec .venv/bin/python -m pytest -n "$(( $(nproc) * 2 ))" --dist loadfile "$@"
