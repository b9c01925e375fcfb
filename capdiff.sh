#!/usr/bin/env bash
# Sets capdiff up on Debian 12 and runs it. Only the command's own results go to standard output.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: ./capdiff.sh COMMAND [ARGUMENT…]

  ./capdiff.sh caption PHOTO…    install what captioning needs, build capdiff, caption the photos
  ./capdiff.sh test [-R REGEX …] install everything, build both programs, run every test with ctest
  ./capdiff.sh train RECIPE …    install everything, build both programs, train

Any other command of capdiff (fill, evaluate, info, --version …) is run like caption. What is already installed or
built is left alone. Installing needs root or sudo; a machine that has everything needs neither.

  CAPDIFF_BUILD_DIR   where to build: this folder, and the same name with -lean or -fuzz added (default: build)
USAGE
}

# Debian packages: what captioning needs, and what training and the tests need beyond that.
readonly lean_packages=(
  g++ cmake ninja-build pkgconf
  libdnnl-dev libturbojpeg0-dev libpng-dev libwebp-dev zlib1g-dev libssl-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev
  libfmt-dev libspdlog-dev libutf8proc-dev libxxhash-dev libstemmer-dev wordnet-base
  libboost-dev
)
full_packages=(
  "${lean_packages[@]}" libtorch-dev libgloo-dev libopenblas0-openmp libgtest-dev libgmock-dev ccache
  pybind11-dev python3-dev python3-torch curl chromium
  clang-16 libclang-rt-16-dev libomp-16-dev
)
# A Node.js from elsewhere will do, and Debian's would be in its way.
{ command -v node && command -v npm; } >/dev/null || full_packages+=(nodejs npm)
readonly full_packages

root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
build_dir=$(realpath -m "${CAPDIFF_BUILD_DIR:-$root/build}")
readonly root build_dir

note() { printf 'capdiff.sh: %s\n' "$*" >&2; }
fail() { note "$*"; exit 1; }

# The time in tenths of a second, and how many seconds have passed since such a time.
now() { local microseconds=${EPOCHREALTIME/[.,]/}; echo $((microseconds / 100000)); }
seconds_since() { local tenths=$(($(now) - $1)); echo "$((tenths / 10)).$((tenths % 10))"; }

# The packages, of those named, that dpkg does not report as installed, on one line.
missing_packages() {
  local installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p') || true
  printf '%s\n' "$@" | grep -vxF -e "$installed" | paste -sd ' ' || true
}

install_packages() {
  local missing start as_root=()
  start=$(now)
  if ! command -v apt-get >/dev/null; then
    fail "packages can only be installed where apt is (Debian 12). Elsewhere, install the like of: $*
and build with: cmake -S '$root' -B '$build_dir' && cmake --build '$build_dir'"
  fi
  missing=$(missing_packages "$@")
  [[ $missing ]] || return 0
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "run this as root, or install sudo: these packages are missing: $missing"
    as_root=(sudo)
  fi
  note "installing $missing"
  # A machine that has just started may still be updating itself, so wait for the lock.
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
  "${apt[@]}" update || note "warning: apt-get update failed, so the package lists may be old"
  # shellcheck disable=SC2086 # one word a package
  "${apt[@]}" install --no-install-recommends $missing || fail "apt-get could not install: $missing"
  note "installed packages in $(seconds_since "$start") s"
}

# LibTorch calls whichever BLAS the alternatives system points at; the reference BLAS is fifty times slower, and
# OpenBLAS built with pthreads ignores LibTorch's number of threads.
check_blas() {
  local library target
  for library in /usr/lib/*/libblas.so.3; do
    target=$(readlink -f "$library")
    [[ $target == */openblas-openmp/* ]] || note "warning: LibTorch will use $target; choose openblas-openmp with:
update-alternatives --config libblas.so.3-$(basename "$(dirname "$library")")"
  done
}

# build FOLDER TARGETS CMAKE_OPTION…
build() {
  local folder=$1 targets=$2 start lock
  shift 2
  start=$(now)
  if ! mkdir -p "$folder" || [[ ! -w $folder ]]; then
    fail "cannot write to $folder; set CAPDIFF_BUILD_DIR to a folder of yours"
  fi
  exec {lock}>"$folder/.capdiff.lock"
  flock "$lock"
  # Named in the environment, the generator gives way to the one that a folder was configured with before.
  CMAKE_GENERATOR=Ninja cmake -S "$root" -B "$folder" "$@" >/dev/null || fail "cmake could not configure $folder"
  # shellcheck disable=SC2086 # several targets are several words
  cmake --build "$folder" --parallel "$(nproc)" --target $targets || fail "building in $folder failed"
  exec {lock}>&-
  note "build in $folder is up to date after $(seconds_since "$start") s"
}

set_up_lean() {
  install_packages "${lean_packages[@]}"
  build "$build_dir-lean" capdiff -DCMAKE_BUILD_TYPE=Release -DCMAKE_UNITY_BUILD=ON -DCAPDIFF_BUILD_TRAIN=OFF \
    -DCAPDIFF_BUILD_LIBRARY=OFF -DCAPDIFF_BUILD_TESTS=OFF
}

# What drives the browser in the test of the page, which is skipped without it: the machine may have no network.
install_page_test() {
  local folder=$build_dir/page name
  cmp -s "$root/tests/page/package-lock.json" "$folder/package-lock.json" && [[ -d $folder/node_modules ]] && return
  mkdir -p "$folder"
  for name in package.json package-lock.json; do cp "$root/tests/page/$name" "$folder"; done
  npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=1000 ||
    note "warning: npm could not install playwright-core, so the test of the page is skipped"
}

set_up_full() {
  install_packages "${full_packages[@]}"
  check_blas
  build "$build_dir" all -DCMAKE_UNITY_BUILD=ON -DCAPDIFF_BUILD_TRAIN=ON -DCAPDIFF_BUILD_TESTS=ON
}

set_up_fuzzers() {
  build "$build_dir-fuzz" fuzzers -DCMAKE_CXX_COMPILER=clang++-16 -DCMAKE_UNITY_BUILD=ON -DCAPDIFF_BUILD_TRAIN=OFF \
    -DCAPDIFF_BUILD_LIBRARY=OFF -DCAPDIFF_BUILD_TESTS=OFF -DCAPDIFF_BUILD_FUZZERS=ON -DCAPDIFF_SANITIZE=address,undefined
}

# run_tests CTEST_OPTION…: the tests, then the fuzzers. Fails where either did.
run_tests() {
  local folder status=0
  for folder in "$build_dir" "$build_dir-fuzz"; do
    ctest --test-dir "$folder" --parallel 2 --output-on-failure "$@" || status=$?
  done
  return "$status"
}

# Setting up reads nothing, as standard input may be a photo, and prints nothing among the results.
case "${1-}" in
  '') usage >&2; exit 2 ;;
  -h | --help) usage; exit 0 ;;
  test)
    set_up_full </dev/null >&2
    set_up_fuzzers </dev/null >&2
    install_page_test </dev/null >&2
    run_tests "${@:2}"
    exit
    ;;
  train | launch) set_up_full </dev/null >&2; program=$build_dir/bin/capdiff ;;
  *) set_up_lean </dev/null >&2; program=$build_dir-lean/bin/capdiff ;;
esac

# A build folder elsewhere has no models beside it.
export CAPDIFF_MODEL=${CAPDIFF_MODEL:-$root/models/default}
exec "$program" "$@"
