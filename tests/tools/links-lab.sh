#!/bin/bash
# A private world for links: real NetworkManager (and ModemManager) on a private bus, two cables to a bank, all in
# network and mount namespaces of its own. Nothing of the machine's network is touched.
#
#   links-lab.sh DIR COMMAND...     runs COMMAND inside, with
#     DBUS_SYSTEM_BUS_ADDRESS       the private bus
#     LAB                           DIR; `lab-bank CMD...` runs CMD at the bank's end, `lab-cable N up|down` pulls a
#                                   cable at the far end, `lab-mute N` keeps its carrier and drops everything
#   The bank is 10.200.0.1 over both cables (pos1, pos2). NetworkManager comes from /usr/sbin, or unpacked from
#   NM_ROOT. Exit 77: something is missing here, and the line on stderr says what.
set -eu
missing() { echo "skip: $*" >&2; exit 77; }
[ -n "${LAB_INSIDE:-}" ] || {
    dir=$1; shift
    root=${NM_ROOT:-}
    [ -x "$root/usr/sbin/NetworkManager" ] || missing "no NetworkManager (install network-manager, or set NM_ROOT)"
    for tool in ip unshare dbus-daemon nsenter; do command -v $tool >/dev/null || missing "no $tool"; done
    unshare --net --mount true 2>/dev/null || missing "no network namespaces (needs root)"
    mkdir -p "$dir"
    LAB_INSIDE=1 LAB=$(realpath "$dir") exec unshare --net --mount --pid --fork --kill-child "$0" "$@"
}
mount --make-rprivate /
mount -t proc proc /proc
mkdir -p "$LAB/bin" "$LAB/etc" "$LAB/lib" "$LAB/run"
# NetworkManager waits for udev where /sys can be written.
mount -t sysfs sysfs /sys && mount -o remount,bind,ro /sys
for place in /run/NetworkManager /var/lib/NetworkManager /etc/NetworkManager; do
    mkdir -p $place && mount -t tmpfs tmpfs $place
done
mkdir -p /etc/NetworkManager/system-connections /etc/NetworkManager/conf.d
cat > /etc/NetworkManager/NetworkManager.conf <<CONF
[main]
plugins=keyfile
dns=none
no-auto-default=*
[device-all]
match-device=*
managed=1
[connectivity]
enabled=false
CONF
# The bank's end.
unshare --net sleep infinity & bank=$!
until [ "$(readlink /proc/$bank/ns/net 2>/dev/null)" != "$(readlink /proc/self/ns/net)" ]; do :; done
at_bank() { nsenter --target $bank --net "$@"; }
ip link set lo up; at_bank ip link set lo up; at_bank ip addr add 10.200.0.1/32 dev lo
for n in 1 2; do
    ip link add pos$n type veth peer name bank$n
    ip link set bank$n netns $bank
    at_bank ip addr add 10.199.$n.1/24 dev bank$n; at_bank ip link set bank$n up
    uuid=$(printf '%08d-0000-4000-8000-000000000000' $n)
    cat > /etc/NetworkManager/system-connections/cable$n.nmconnection <<CONF
[connection]
id=cable$n
uuid=$uuid
type=ethernet
interface-name=pos$n
autoconnect-retries=0
[ipv4]
method=manual
address1=10.199.$n.2/24,10.199.$n.1
route-metric=10$n
[ipv6]
method=disabled
CONF
done
chmod 600 /etc/NetworkManager/system-connections/*
printf '#!/bin/sh\nexec nsenter --target %s --net "$@"\n' $bank > "$LAB/bin/lab-bank"
printf '#!/bin/sh\nexec nsenter --target %s --net ip link set bank$1 $2\n' $bank > "$LAB/bin/lab-cable"
cat > "$LAB/bin/lab-mute" <<MUTE
#!/bin/sh
# lab-mute N on|off: the cable keeps its carrier and no answer comes back over it.
[ "\$2" = on ] && verb=add || verb=del
exec nsenter --target $bank --net ip route \$verb blackhole 10.199.\$1.2/32
MUTE
chmod +x "$LAB"/bin/*
cat > "$LAB/bus.conf" <<CONF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=$LAB/bus.sock</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
<allow user="*"/></policy></busconfig>
CONF
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$LAB/bus.sock
dbus-daemon --config-file="$LAB/bus.conf" --nofork --nopidfile & 
until [ -S "$LAB/bus.sock" ]; do :; done
NM_LIBS=${NM_ROOT:-}/usr/lib/x86_64-linux-gnu:${NM_ROOT:-}/lib/x86_64-linux-gnu
cat > "$LAB/bin/lab-nm" <<NM
#!/bin/sh
# Runs NetworkManager in the foreground; end it by its process id.
export LD_LIBRARY_PATH=$NM_LIBS
exec ${NM_ROOT:-}/usr/sbin/NetworkManager --no-daemon --log-level=INFO
NM
chmod +x "$LAB/bin/lab-nm"
export LAB LAB_BANK=$bank PATH="$LAB/bin:$PATH"
"$LAB/bin/lab-nm" > "$LAB/nm.log" 2>&1 & echo $! > "$LAB/nm.pid"
exec "$@"
