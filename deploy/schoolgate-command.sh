#!/bin/sh
# schoolgate on an installed box: as the user that the services run as, with their settings.
# Only what speaks to the kernel's firewall runs as root.
set -eu
export SCHOOLGATE_POLICY="${SCHOOLGATE_POLICY-/etc/schoolgate/policy/policy.yaml}"
export SCHOOLGATE_SETTINGS="${SCHOOLGATE_SETTINGS-/etc/schoolgate/schoolgate.toml}"
export PYTHONDONTWRITEBYTECODE=1
command=/opt/schoolgate/current/bin/schoolgate
case "$(id -un):${1-}" in
root:firewall | root:doctor) exec "$command" "$@" ;;
root:*) exec setpriv --reuid=schoolgate --regid=schoolgate --init-groups --no-new-privs -- "$command" "$@" ;;
*) exec "$command" "$@" ;;
esac
