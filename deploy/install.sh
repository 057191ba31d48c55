#!/bin/sh
# Install Schoolgate on this machine, or bring an installation up to date: Debian 12 or 13, Ubuntu 24.04.
#
#   deploy/install.sh [--interfaces staff=vlan10,pupils=vlan20,guests=vlan30,wan=eth0 --portal-url http://10.20.0.1:8000]
#   deploy/install.sh --uninstall     takes the program away, and leaves settings, policy and data
#
# Running it again changes nothing where nothing is new. What people wrote in /etc/schoolgate is never overwritten.
# PYTHON=/path/to/python3.13 names the Python to use; WHEELS=DIR installs from a folder instead of the package index.
set -eu
PATH="$PATH:/usr/sbin:/sbin"
umask 022

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
opt=/opt/schoolgate etc=/etc/schoolgate state=/var/lib/schoolgate backups=/var/backups/schoolgate
units=/etc/systemd/system
services='schoolgate-dns.service schoolgate-proxy.service schoolgate-portal.service schoolgate-box.service
schoolgate-evidence.service schoolgate-firewall.service schoolgate-firewall-apply.path schoolgate-purge.timer schoolgate-backup.timer
schoolgate-doctor.timer schoolgate-probe.timer schoolgate.target'
chrony=/etc/chrony/conf.d/schoolgate.conf
interfaces='' portal_url='' changed=''

main() {
    action=install
    while [ $# -gt 0 ]; do
        case $1 in
        --interfaces) interfaces=${2:?} && shift ;;
        --portal-url) portal_url=${2:?} && shift ;;
        --uninstall) action=uninstall ;;
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 0 ;;
        *) die "$1: unknown; see --help" ;;
        esac
        shift
    done
    [ "$(id -u)" = 0 ] || die 'run it as root'
    if [ "$action" = uninstall ]; then
        uninstall
    else
        [ -z "$interfaces" ] || [ -n "$portal_url" ] || [ -e "$etc/schoolgate.toml" ] ||
            die '--interfaces needs --portal-url, where people reach the portal, such as http://10.20.0.1:8000'
        know_system
        need_packages
        find_python
        make_user
        install_program
        install_settings
        install_units
        start
    fi
}

die() {
    echo "install: $*" >&2
    exit 2
}

say() {
    changed=yes
    echo "install: $*"
}

booted() { [ -d /run/systemd/system ]; }

# put SOURCE TARGET MODE OWNER: copy a file unless it is there already, as it should be
put() {
    if ! cmp -s "$1" "$2"; then
        mkdir -p "$(dirname "$2")"
        cp "$1" "$2.new" && chmod "$3" "$2.new" && chown "$4" "$2.new" && mv "$2.new" "$2"
        say "wrote $2"
    fi
}

# folder PATH MODE OWNER
folder() {
    [ "$(stat -c '%a %U:%G' "$1" 2>/dev/null)" != "$2 $3" ] || return 0
    mkdir -p "$1" && chmod "$2" "$1" && chown "$3" "$1"
    say "made $1"
}

know_system() {
    # shellcheck disable=SC1091 # the system's own description of itself
    . /etc/os-release
    case "${ID-}:${VERSION_ID-}" in
    debian:12 | debian:13 | ubuntu:24.04) ;;
    *) die "${PRETTY_NAME-this system} is none of Debian 12, Debian 13, Ubuntu 24.04" ;;
    esac
}

need_packages() {
    missing=''
    for one in nft:nftables setpriv:util-linux ip:iproute2 journalctl:systemd; do
        command -v "${one%%:*}" >/dev/null 2>&1 || missing="$missing ${one#*:}"
    done
    if [ -z "${PYTHON-}" ] && [ "${ID}:${VERSION_ID}" != debian:12 ]; then
        python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing="$missing python3-venv"
    fi
    [ -n "$missing" ] || return 0
    say "installing$missing"
    # shellcheck disable=SC2086 # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >/dev/null || die "could not install$missing"
}

find_python() {
    for candidate in ${PYTHON:-"$opt/python/bin/python3.13" /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3}; do
        "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' \
            >/dev/null 2>&1 || continue
        python=$(readlink -f "$candidate")
        case $python in
        /root/* | /home/*) die "$candidate lies in $python, where services may not look; install it below $opt/python" ;;
        esac
        return
    done
    [ -z "${PYTHON-}" ] || die "$PYTHON: not a Python 3.12 or newer with venv"
    die "no Python 3.12 or newer: ${PRETTY_NAME} ships an older one; put 3.13 at $opt/python, for example with \`uv python install 3.13\` or pyenv (docs/install.md says how), and run this again"
}

make_user() {
    ! id schoolgate >/dev/null 2>&1 || return 0
    groupadd --system schoolgate
    useradd --system --gid schoolgate --home-dir "$state" --no-create-home --shell /usr/sbin/nologin schoolgate
    say 'made the user schoolgate'
}

# What the program is made from, as one number: another one is another release.
fingerprint() {
    (cd "$here" && find pyproject.toml requirements/run.txt requirements/build.txt policy dns proxy exceptions schoolgate \
        -type f ! -path '*/__pycache__/*' ! -name '*.pyc' -exec sha256sum {} + | LC_ALL=C sort -k 2 && "$python" -VV) |
        sha256sum | cut -c 1-12
}

install_program() {
    folder "$opt" 755 root:root
    release=$opt/releases/$(fingerprint)
    if [ ! -e "$release/.complete" ]; then
        say "installing the program into $release"
        rm -rf "$release"
        mkdir -p "$opt/releases"
        "$python" -m venv "$release"
        build=$(mktemp -d)
        # shellcheck disable=SC2064 # now, not then
        trap "rm -rf '$build'" EXIT
        (cd "$here" && cp -R pyproject.toml README.md LICENSE policy dns proxy exceptions schoolgate "$build")
        pip="$release/bin/python -m pip --disable-pip-version-check --quiet"
        index=''
        [ -z "${WHEELS-}" ] || index="--no-index --find-links $WHEELS"
        # shellcheck disable=SC2086 # lists of words
        $pip install $index --require-hashes -r "$here/requirements/run.txt" -r "$here/requirements/build.txt"
        # shellcheck disable=SC2086
        $pip install --no-index --no-deps --no-build-isolation "$build"
        "$release/bin/python" -m compileall -q "$release/lib" >/dev/null || true # what cannot be compiled is not imported
        cp -R "$here/docs" "$release/docs"
        chmod -R go+rX "$release"
        setpriv --reuid=schoolgate --regid=schoolgate --init-groups -- "$release/bin/schoolgate" --version >/dev/null ||
            die "the program is installed, but the user schoolgate cannot start it; look at the rights of $python and what it loads"
        touch "$release/.complete"
    fi
    if [ "$(readlink "$opt/current" 2>/dev/null)" != "$release" ]; then
        ln -sfn "$release" "$opt/current.new" && mv -T "$opt/current.new" "$opt/current"
        say "$release is in use"
    fi
    # The three newest stay: the way back is a symbolic link.
    # shellcheck disable=SC2012 # our own names, hexadecimal
    ls -1dt "$opt"/releases/* | tail -n +4 | while read -r old; do
        [ "$old" = "$release" ] || rm -rf "$old"
    done
    put "$here/deploy/schoolgate-command.sh" /usr/local/bin/schoolgate 755 root:root
}

install_settings() {
    folder "$etc" 755 root:root
    folder "$etc/policy" 770 schoolgate:schoolgate
    folder "$etc/secrets" 750 root:schoolgate
    folder "$state" 750 schoolgate:schoolgate
    folder "$backups" 750 schoolgate:schoolgate
    if [ ! -e "$etc/schoolgate.toml" ]; then
        [ -z "$interfaces" ] || need_time_server
        write_settings >"$etc/schoolgate.toml.new"
        chown root:schoolgate "$etc/schoolgate.toml.new" && chmod 640 "$etc/schoolgate.toml.new"
        mv "$etc/schoolgate.toml.new" "$etc/schoolgate.toml"
        say "wrote $etc/schoolgate.toml"
    elif [ -n "$interfaces" ]; then
        echo "install: $etc/schoolgate.toml exists and stays as it is; write [interfaces] into it by hand" >&2
    fi
    if [ ! -e "$etc/policy/policy.yaml" ]; then
        put "$here/policy.yaml" "$etc/policy/policy.yaml" 660 schoolgate:schoolgate
    fi
    put "$here/policy/policy.schema.json" "$etc/policy/policy.schema.json" 644 root:root
    put "$here/deploy/closed.nft" "$etc/closed.nft" 644 root:root
    put "$here/deploy/sysctl.conf" /etc/sysctl.d/60-schoolgate.conf 644 root:root
    put "$here/deploy/journald.conf" /etc/systemd/journald@schoolgate.conf 644 root:root
    if grep -q '^\[interfaces\]' "$etc/schoolgate.toml" && [ -d "${chrony%/*}" ]; then
        put "$here/deploy/chrony.conf" "$chrony" 644 root:root
    fi
}

# Devices are led to this box for the time, so something has to give it.
need_time_server() {
    ! command -v chronyd >/dev/null 2>&1 && ! command -v ntpd >/dev/null 2>&1 || return 0
    say 'installing chrony'
    DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null 2>&1 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chrony >/dev/null 2>&1 ||
        echo 'install: could not install chrony: devices may ask time servers of the internet (firewall.ntp = "allow")' >&2
}

write_settings() {
    if [ -z "$interfaces" ]; then
        cat "$here/deploy/schoolgate.toml"
        return
    fi
    sed -e 's/^listen = \["127.0.0.1:5353", "\[::1\]:5353"\]/listen = ["0.0.0.0:5353", "[::]:5353"]/' \
        -e "s|^listen = \"127.0.0.1:8000\"|listen = \"[::]:8000\"\nurl = \"$portal_url\"|" \
        -e "s/^explicit = .*/&\n$(transparent)/" "$here/deploy/schoolgate.toml"
    printf '\n[interfaces]\n'
    echo "$interfaces" | tr , '\n' | sed 's/\(.*\)=\(.*\)/\1 = "\2"/'
    command -v chronyd >/dev/null 2>&1 || command -v ntpd >/dev/null 2>&1 || printf '\n[firewall]\nntp = "allow"\n'
}

# A proxy port for each network, as [proxy] wants it.
transparent() {
    echo "$interfaces" | tr , '\n' | awk -F = '$1 != "wan" {printf "%s%s = %d", sep, $1, 8400 + 10 * ++n; sep = ", "}' |
        sed 's/.*/transparent = {&}/'
}

install_units() {
    written=$(mktemp)
    (cd "$here/deploy/systemd" && find . -type f) | LC_ALL=C sort | while read -r file; do
        put "$here/deploy/systemd/$file" "$units/${file#./}" 644 root:root
    done >"$written"
    cat "$written"
    [ ! -s "$written" ] || changed=yes
    rm -f "$written"
    wanted=$services
    if ! grep -q '^\[interfaces\]' "$etc/schoolgate.toml"; then
        # Without VLANs there is nothing to filter by the firewall yet, and nothing listens but on this machine.
        wanted=$(echo "$services" | tr ' ' '\n' | grep -v -e firewall -e evidence)
    fi
    ! booted || [ -z "$changed" ] || systemctl daemon-reload
    for unit in $wanted; do
        systemctl is-enabled --quiet "$unit" 2>/dev/null && continue
        systemctl enable --quiet "$unit" 2>/dev/null || die "cannot enable $unit"
        say "enabled $unit"
    done
}

start() {
    if [ -z "$changed" ]; then
        echo 'install: nothing was to be changed'
        return
    fi
    if ! booted; then
        echo 'install: systemd does not run here; Schoolgate starts with the machine'
        return
    fi
    sysctl -q --load /etc/sysctl.d/60-schoolgate.conf || true # a kernel without conntrack yet says so, and is told later
    [ ! -e "$chrony" ] || systemctl restart chrony.service || true # a time server that is down is the doctor's business
    systemctl restart schoolgate.target
    for unit in $services; do
        case $unit in *.service) ! systemctl is-enabled --quiet "$unit" || systemctl restart "$unit" || true ;; esac
    done
    tell
}

tell() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ ! -e "$state/first-account.txt" ] || break
        sleep 1
    done
    [ ! -e "$state/first-account.txt" ] || cat "$state/first-account.txt"
    echo 'install: what is wrong with this installation, and what to do about it: schoolgate doctor'
}

# Every unit there is, those too that only some boxes start: rpz, box.
all_units() {
    if [ -d "$here/deploy/systemd" ]; then
        (cd "$here/deploy/systemd" && find . -maxdepth 1 -type f) | sed 's|^\./||' | LC_ALL=C sort
    else
        echo "$services"
    fi
}

uninstall() {
    for unit in $(all_units); do
        systemctl disable --quiet --now "$unit" 2>/dev/null || systemctl disable --quiet "$unit" 2>/dev/null || true
    done
    # Until here our tables let nothing through; once they are gone only the kernel keeps the networks apart.
    for key in net/ipv4/ip_forward net/ipv6/conf/all/forwarding; do
        [ ! -w "/proc/sys/$key" ] || echo 0 >"/proc/sys/$key"
    done
    if [ -d "$here/deploy/systemd" ]; then
        (cd "$here/deploy/systemd" && find . -type f) | while read -r file; do rm -f "$units/${file#./}"; done
    fi
    rm -rf "$units"/schoolgate-*.service.d
    nft delete table inet schoolgate 2>/dev/null || true
    nft delete table inet schoolgate_closed 2>/dev/null || true
    rm -f /etc/sysctl.d/60-schoolgate.conf /etc/systemd/journald@schoolgate.conf /usr/local/bin/schoolgate "$chrony"
    rm -rf "$opt/releases" "$opt/current"
    ! booted || systemctl daemon-reload
    ! booted || systemctl try-restart chrony.service || true
    echo "install: the program is gone, and this machine forwards nothing; $etc, $state, $backups and the user schoolgate are still there"
}

main "$@"
