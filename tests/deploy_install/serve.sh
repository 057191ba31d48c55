#!/bin/sh
# Starts each service as its unit would, under the unit's command line, and asks each whether it is well.
set -u
export SCHOOLGATE_POLICY=/etc/schoolgate/policy/policy.yaml SCHOOLGATE_SETTINGS=/etc/schoolgate/schoolgate.toml
as="setpriv --reuid=schoolgate --regid=schoolgate --init-groups --no-new-privs --inh-caps=-all --bounding-set=-all --"
ip link set lo up
pids=
for part in dns proxy portal; do
    command=$(sed -n 's/^ExecStart=//p' "/etc/systemd/system/schoolgate-$part.service")
    (cd /var/lib/schoolgate && exec $as $command 2>"/tmp/$part.log") &
    pids="$pids $!"
done
for port in 9153 9154 9155; do
    n=0
    until curl -fsS --max-time 5 "http://127.0.0.1:$port/readyz" >/dev/null 2>&1 || [ $n -gt 120 ]; do n=$((n + 1)); sleep 0.5; done
    echo "$port $(curl -sS --max-time 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/readyz")"
done
echo "portal $(curl -sS --max-time 10 -o /dev/null -w '%{http_code}' http://127.0.0.1:8000/certificate)"
cat /var/lib/schoolgate/first-account.txt
for pid in $pids; do kill "$pid"; done
wait
tail -n 3 /tmp/dns.log /tmp/proxy.log /tmp/portal.log >&2
