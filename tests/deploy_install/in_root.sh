#!/bin/sh
# Runs inside a root of its own (an overlay over this machine's): installs, twice, tries it, upgrades, uninstalls.
# $1: the source; $2: where results go. Each step leaves NAME.out and NAME.code.
set -u
source=$1 results=$2
export LC_ALL=C
PATH="$PATH:/usr/sbin:/sbin"

step() {
    name=$1
    shift
    "$@" >"$results/$name.out" 2>&1 </dev/null
    echo $? >"$results/$name.code"
}

alone() { unshare --net "$@"; } # this machine's own firewall is nobody's business here

state() { # everything that an installation may change, with owner, rights, time and content
    find /etc /usr/local/bin /var/lib/schoolgate /opt/schoolgate -xdev ! -name '.lock' \
        -printf '%p %u:%g %m %T@ %l\n' 2>/dev/null | sort
}

# The Python that runs the tests may lie where only root looks; its library is made known to everybody.
echo /opt/schoolgate/python/lib >/etc/ld.so.conf.d/schoolgate-test.conf
ldconfig

step no_python env PYTHON=/bin/false "$source/deploy/install.sh"
step no_portal_url "$source/deploy/install.sh" --interfaces staff=v10,wan=w0
# What the second page of the quick start says, word for word: the installation here, the rest once everything runs.
sed -n '/^```sh$/,/^```$/p' "$source/docs/quick-start.md" | grep -v '^```' >/tmp/quick-start
step first sh -c 'cd "$1" && sh -c "$(grep install.sh /tmp/quick-start)"' sh "$source"
state >"$results/state1"
step second "$source/deploy/install.sh"
state >"$results/state2"
as_on() { # ID VERSION: the same on another system, as far as the installer looks at it
    printf 'ID=%s\nVERSION_ID="%s"\nPRETTY_NAME="%s %s"\n' "$1" "$2" "$1" "$2" >/tmp/os-release
    mv /etc/os-release /etc/os-release.own && cp /tmp/os-release /etc/os-release
    PYTHON=/opt/schoolgate/python/bin/python3.13 "$source/deploy/install.sh"
    code=$?
    mv /etc/os-release.own /etc/os-release
    return $code
}
step debian_13 as_on debian 13
step ubuntu as_on ubuntu 24.04
step elsewhere as_on fedora 43
step rights find /etc/schoolgate /var/lib/schoolgate /var/backups/schoolgate -printf '%m %u:%g %p\n'
step enabled find /etc/systemd/system -path '*.wants/schoolgate*' -printf '%P\n'
step settings cat /etc/schoolgate/schoolgate.toml
step check schoolgate policy check
step whoami setpriv --reuid=schoolgate --regid=schoolgate --init-groups -- id -un
step ca schoolgate ca init
step ca_rights find /var/lib/schoolgate/ca -printf '%m %u:%g %f\n'
step firewall schoolgate firewall
step apply alone sh -c 'nft -f /etc/schoolgate/closed.nft && setpriv --reuid=schoolgate --regid=schoolgate --init-groups --inh-caps=-all,+net_admin,+sys_admin --ambient-caps=-all,+net_admin,+sys_admin --bounding-set=-all,+net_admin,+sys_admin -- env SCHOOLGATE_POLICY=/etc/schoolgate/policy/policy.yaml SCHOOLGATE_SETTINGS=/etc/schoolgate/schoolgate.toml /opt/schoolgate/current/bin/schoolgate firewall --apply && nft delete table inet schoolgate_closed && nft list tables'
step backup schoolgate backup /var/backups/schoolgate
step services alone sh "$source/tests/deploy_install/serve.sh"
printf '# a line of the officer\n' >>/etc/schoolgate/policy/policy.yaml
cp -R "$source" /tmp/newer && echo '# newer' >>/tmp/newer/schoolgate/__init__.py
step upgrade /tmp/newer/deploy/install.sh
step releases sh -c 'ls /opt/schoolgate/releases | wc -l; readlink /opt/schoolgate/current; tail -1 /etc/schoolgate/policy/policy.yaml; tail -1 /opt/schoolgate/current/lib/python3*/site-packages/schoolgate/__init__.py'
# A box that is lost with all it had: installed anew, and put back from what was kept elsewhere.
mkdir -m 700 /root/kept && echo 'correct horse battery staple' >/root/kept/passphrase
(umask 027 && echo 'open sesame' >/etc/schoolgate/secrets/mail-password && chgrp schoolgate /etc/schoolgate/secrets/mail-password)
printf '\n[mail]\nhost = "smtp.school.example"\nsender = "filter@school.example"\npassword_file = "/etc/schoolgate/secrets/mail-password"\n[rpz.secondaries.trust]\naddress = "10.1.0.53"\nkey = "/etc/schoolgate/secrets/trust.key"\n' >>/etc/schoolgate/schoolgate.toml
step rpz_key schoolgate rpz key trust /etc/schoolgate/secrets/trust.key
step rpz_config schoolgate rpz config bind pupils --for trust
step ca_offline schoolgate ca offline /root/kept/root.key --passphrase-file /root/kept/passphrase
step ca_online schoolgate ca online /root/kept/root.key --passphrase-file /root/kept/passphrase
step full_backup schoolgate backup /root/kept/save.tar.gz --passphrase-file /root/kept/passphrase
sum() { find /etc/schoolgate/secrets /etc/schoolgate/schoolgate.toml /etc/schoolgate/policy/policy.yaml /var/lib/schoolgate/ca /var/lib/schoolgate/portal.key ! -name '.*' ! -name '*.before-*' -printf '%m %u:%g %p ' \( -type f -exec sha256sum {} \; -o -printf '\n' \) | sort -k 3; }
step before_the_loss sum
rm -rf /etc/schoolgate /var/lib/schoolgate
step anew /tmp/newer/deploy/install.sh
step restore schoolgate restore /root/kept/save.tar.gz --passphrase-file /root/kept/passphrase --force
step after_the_loss sum
step roots find /var/lib/schoolgate /etc/schoolgate/policy -user root ! -name policy.schema.json
step restored_works sh -c 'schoolgate policy check && schoolgate ca show && schoolgate audit verify'
mkdir -p /etc/systemd/system/schoolgate.target.wants
systemctl enable --quiet schoolgate-rpz.service
step uninstall alone sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding &&
    nft -f /etc/schoolgate/closed.nft && /tmp/newer/deploy/install.sh --uninstall && nft list tables &&
    cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding | tr "\n" " "'
step left sh -c 'ls -d /etc/schoolgate/policy/policy.yaml /var/lib/schoolgate/ca/root.key; find /etc/systemd /usr/local/bin /opt/schoolgate /etc/sysctl.d /etc/chrony -name "*schoolgate*" ! -path /opt/schoolgate'
step again "$source/deploy/install.sh"
step again_check schoolgate ca show
