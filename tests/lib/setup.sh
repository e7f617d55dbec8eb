# Set-up shared by tests/run.sh, tests/bench.sh and examples/demo.sh: sourced, with the root as working directory.
# shellcheck shell=bash disable=SC2034
#
# A need is written PROOF:PACKAGES, a program or absolute path that shows it is met, and the Debian packages to meet it.

PATH=$PATH:/usr/sbin:/sbin # where Debian keeps daemons, out of an ordinary user's sight

say() { printf -- '-- %s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# The newest Python that pyproject.toml admits; run, since a version manager's shim may stand for none.
find_python() {
  local name
  for name in python3.13 python3.12 python3.11 python3; do
    "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || continue
    "$name" -c 'import sys; print(sys.executable)'
    return
  done
  fail "no Python 3.11, 3.12 or 3.13 on PATH. Debian 12 and later, Ubuntu 24.04:
  sudo apt-get update && sudo apt-get install -y python3 python3-venv
Elsewhere install one of them (uv and pyenv do) and put its python3.x on PATH."
}

python_says() { "$PYTHON" -c "import sys, sysconfig; print($1)"; }

PYTHON=$(find_python)
PYTHON_PACKAGE=python$(python_says '"%d.%d" % sys.version_info[:2]')
VENV_NEEDS=("$(python_says 'sysconfig.get_path("stdlib")')/ensurepip:$PYTHON_PACKAGE-venv")
# gssapi (extra kerberos) and python-ldap (extra ldap) have no Linux wheels.
BUILD_NEEDS=(
  "gcc:gcc libc6-dev"
  "krb5-config:libkrb5-dev"
  "/usr/include/ldap.h:libldap2-dev"
  "/usr/include/sasl/sasl.h:libsasl2-dev"
  "$(python_says 'sysconfig.get_path("include")')/Python.h:$PYTHON_PACKAGE-dev"
)

# What tests and benchmarks both talk to.
LIBRARY=/usr/lib/$(uname -m)-linux-gnu
PEER_NEEDS=(
  storescu:dcmtk xmlsec1:xmlsec1 krb5kdc:krb5-kdc kadmin.local:krb5-admin-server kinit:krb5-user faketime:faketime
  slapd:slapd ldapadd:ldap-utils redis-server:redis-server
  rsyslogd:rsyslog "$LIBRARY/rsyslog/lmnsd_ossl.so:rsyslog-openssl"
)

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

is_met() {
  case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# system_packages NEED...: installs what is missing, or says how to.
system_packages() {
  local need packages=()
  for need in "$@"; do
    # shellcheck disable=SC2206 # a need may take several packages
    is_met "${need%%:*}" || packages+=(${need#*:})
  done
  [ ${#packages[@]} -gt 0 ] || return 0
  can_install || fail "missing system packages; run this (or what your system has for it) and start again:
  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}"
  say "apt-get install ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq </dev/null
  # A fresh machine may be busy with its own upgrades: wait for the lock.
  apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${packages[@]}" </dev/null >/dev/null
}

# once STAMP FILE... -- COMMAND...: runs COMMAND, unless it has succeeded here with these very FILES.
once() {
  local stamp=$1 files=() state
  shift
  while [ "$1" != -- ]; do
    files+=("$1")
    shift
  done
  shift
  state=$(pwd && sha256sum "${files[@]}")
  [ "$state" != "$(cat "$stamp" 2>/dev/null)" ] || return 0
  say "$*"
  "$@"
  printf '%s\n' "$state" >"$stamp"
}

virtual_environment() {
  .venv/bin/python -m pip --version >/dev/null 2>&1 && return
  say "$PYTHON -m venv --clear .venv"
  "$PYTHON" -m venv --clear .venv
}

# -qq: only errors; what a machine configures for pip may be good for dozens of warnings.
pip_install() { .venv/bin/python -m pip install -qq --disable-pip-version-check "$@"; }

# install_package [PIP-ARGUMENT...]: this package, editable, with all extras, and whatever else is named.
install_package() {
  pip_install --upgrade 'pip>=25.1' # the first with --group
  # Unoptimised, gssapi builds in a third of the time; what takes time at work is libkrb5, not its wrapper.
  CFLAGS='-O0 -g0' pip_install -e '.[all]' "$@"
}
