#!/bin/sh
# schoolgate on an installed box: as the user that the services run as, with their settings.
# As root runs only what speaks to the kernel's firewall, and what reads or writes where that user may not: backups with
# their secrets, keys for other machines.
set -eu
export SCHOOLGATE_POLICY="${SCHOOLGATE_POLICY-/etc/schoolgate/policy/policy.yaml}"
export SCHOOLGATE_SETTINGS="${SCHOOLGATE_SETTINGS-/etc/schoolgate/schoolgate.toml}"
export PYTHONDONTWRITEBYTECODE=1
command=/opt/schoolgate/current/bin/schoolgate
case "$(id -un):${1-}:${2-}" in
root:firewall:* | root:doctor:* | root:backup:* | root:restore:* | root:rpz:key) exec "$command" "$@" ;;
root:ca:offline | root:ca:online)
    code=0
    "$command" "$@" || code=$?
    # What root has written stays the service's: the proxy signs with it.
    chown -RhP --from=root schoolgate:schoolgate /var/lib/schoolgate/ca
    exit $code
    ;;
root:*) exec setpriv --reuid=schoolgate --regid=schoolgate --init-groups --no-new-privs -- "$command" "$@" ;;
*) exec "$command" "$@" ;;
esac
