#!/usr/bin/env bash
# Sets up a virtual environment and runs `useridentity demo`; arguments go to it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/lib/setup.sh

needs=("${VENV_NEEDS[@]}" "${BUILD_NEEDS[@]}")
if can_install; then needs+=(storescu:dcmtk krb5kdc:krb5-kdc kadmin.local:krb5-admin-server kinit:krb5-user); fi
system_packages "${needs[@]}"
command -v storescu >/dev/null || say "DCMTK's storescu would take part too: sudo apt-get install dcmtk"
virtual_environment
once .venv/package.stamp pyproject.toml -- install_package
say "set up in $SECONDS s"

exec .venv/bin/useridentity demo "$@"
