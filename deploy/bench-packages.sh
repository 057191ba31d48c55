#!/bin/sh
# Install the DNS servers that ours is measured against, and a C compiler for the load generator.
set -eu
PATH="$PATH:/usr/sbin:/sbin"

# command, Debian package
wanted='dnsmasq dnsmasq-base
unbound unbound
dnsdist dnsdist
dnsperf dnsperf
cc gcc
taskset util-linux'

packages=
while read -r command package; do
    command -v "$command" >/dev/null 2>&1 || packages="$packages $package"
done <<END
$wanted
END

[ -n "$packages" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "cannot measure without:$packages" >&2
    exit 2
fi
echo "installing to measure against:$packages"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of names
apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages >/dev/null
