#!/bin/sh
# Starts each service as its unit would, under the unit's command line, asks each whether it is well, and then does what
# the quick start says. It runs in a network of its own, which gets interfaces of the names that were given.
set -u
export SCHOOLGATE_POLICY=/etc/schoolgate/policy/policy.yaml SCHOOLGATE_SETTINGS=/etc/schoolgate/schoolgate.toml
as="setpriv --reuid=schoolgate --regid=schoolgate --init-groups --no-new-privs --inh-caps=-all --bounding-set=-all --"
ip link set lo up
for name in vlan10 vlan20 vlan30 eth0; do
    ip link add "$name" type veth peer name "far-$name"
    ip link set "$name" up
    ip link set "far-$name" up
done
for number in 10 20 30; do ip address add "10.$number.0.1/16" dev "vlan$number"; done
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
nft -f /etc/schoolgate/closed.nft
schoolgate firewall --apply
nft delete table inet schoolgate_closed
pids=
for part in dns proxy portal; do
    command=$(sed -n 's/^ExecStart=//p' "/etc/systemd/system/schoolgate-$part.service")
    (cd /var/lib/schoolgate && exec $as $command 2>"/tmp/$part.log") &
    pids="$pids $!"
done
command=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/schoolgate-evidence.service)
$command 2>/tmp/evidence.log &
pids="$pids $!"
if command -v chronyd >/dev/null; then # -x: this machine's own clock is nobody's business here
    mkdir -p /run/chrony && chronyd -x -d 2>/tmp/chronyd.log &
    pids="$pids $!"
fi
for port in 9153 9154 9155 9156; do
    n=0
    until curl -fsS --max-time 5 "http://127.0.0.1:$port/readyz" >/dev/null 2>&1 || [ $n -gt 240 ]; do n=$((n + 1)); sleep 0.5; done
    echo "$port $(curl -sS --max-time 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/readyz")"
done
for host in 127.0.0.1 '[::1]' 10.20.0.1; do
    echo "portal $host $(curl -gsS --max-time 10 -o /dev/null -w '%{http_code}' "http://$host:8000/certificate")"
done
/opt/schoolgate/current/bin/python - <<'END'
import socket
for family, address in ((socket.AF_INET, "10.20.0.1"), (socket.AF_INET6, "::1")):
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(20)
        asking.sendto(b"\x23" + bytes(47), (address, 123))
        try:
            print("time", address, asking.recv(100)[0] & 7)
        except OSError as error:
            print("time", address, error)
END
cat /var/lib/schoolgate/first-account.txt
grep -v install.sh /tmp/quick-start | while read -r line; do
    echo "quick start: $line"
    sh -c "$line"
    echo "quick start: exit $?"
done
schoolgate doctor --json
for pid in $pids; do kill "$pid"; done
wait
tail -n 3 /tmp/dns.log /tmp/proxy.log /tmp/portal.log /tmp/evidence.log >&2
