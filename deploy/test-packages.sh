#!/bin/sh
# Install the system packages that tests drive, where that is possible; else say which tests will be skipped.
# Nothing is installed or asked of the network when all of them are there.
set -eu

# command, Debian package, what is skipped without it
wanted='dig bind9-dnsutils questions asked with dig
kdig knot-dnsutils questions asked with kdig
curl curl pages fetched with curl
named bind9 zones taken by BIND
unbound unbound zones taken by Unbound
chromium chromium pages looked at in a browser
certutil libnss3-tools browsers with a certificate of ours
nft nftables firewall in network namespaces
ip iproute2 network namespaces
sysctl procps the school in network namespaces
pg_ctlcluster postgresql the request queue on PostgreSQL
prometheus prometheus dashboards and alerts, in a real Prometheus
amtool prometheus-alertmanager who is told of an alert'

packages= skipped=
while read -r command package what; do
    command -v "$command" >/dev/null 2>&1 && continue
    packages="$packages $package"
    skipped="$skipped, $what"
done <<END
$wanted
END

[ -n "$packages" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "these tests will be skipped: ${skipped#, } (missing:$packages)" >&2
    exit 0
fi
echo "installing for the tests:$packages"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of names
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >/dev/null; then
    echo "these tests will be skipped, for their packages could not be installed: ${skipped#, }" >&2
fi
