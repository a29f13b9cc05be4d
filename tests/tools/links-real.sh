#!/bin/bash
# The terminal's links against the real NetworkManager: run inside links-lab.sh with the folder of posd, posctl and
# posd-sim. Two cables lead to one bank. Prints what it saw and how long it took; ends with the first thing that is
# not as it must be.
set -eu
bin=$1 here=$(dirname "$(realpath "$0")")
fail() { echo "FAILED: $*"; tail -n 40 "$LAB/posd.log"; exit 1; }
now() { date +%s%N; }
took() { echo "$1: $(( ($(now) - $2) / 1000000 )) ms"; }
link() { busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" get-property org.posd.Pos1 "/org/posd/Pos1$1" "org.posd.Pos1.$2" "$3" 2>/dev/null; }
# becomes SECONDS OBJECT INTERFACE PROPERTY VALUE
becomes() {
    local until=$(( $(now) + $1 * 1000000000 )) seen
    until seen=$(link "$2" "$3" "$4") && [ "$seen" = "$5" ]; do
        [ "$(now)" -lt "$until" ] || fail "$2 $4 is $seen, not $5"
        sleep 0.05
    done
}
reaches() { # reaches WHAT [--link NAME]: the bank answers
    local begun; begun=$(now); local what=$1; shift
    "$bin/posctl" host test "$@" > "$LAB/test.out" 2>&1 || fail "$what: $(cat "$LAB/test.out")"
    took "$what" "$begun"
}
lab-bank "$bin/posd-sim" host --listen 10.200.0.1:8583 > "$LAB/bank.log" 2>&1 & 
mkdir -p "$LAB/state" "$LAB/run" "$LAB/credentials"
echo 0123456789ABCDEFFEDCBA9876543210 > "$LAB/credentials/tmk"
cat > "$LAB/posd.toml" <<CONF
[terminal]
id = "10000001"
merchant-id = "102100058120001"
merchant-name = "示例商户"
[host]
endpoints = ["10.200.0.1:8583"]
connect-timeout-s = 2
[emv]
parameters = "$here/../data/emv.toml"
[links]
preference = ["ethernet"]
[security]
polkit = false
CONF
CREDENTIALS_DIRECTORY=$LAB/credentials RUNTIME_DIRECTORY=$LAB/run PCSCLITE_CSOCK_NAME=$LAB/none POSD_LOG=debug \
    "$bin/posd" --config "$LAB/posd.toml" --state-dir "$LAB/state" 2> "$LAB/posd.log" & posd=$!
becomes 30 /link/ethernet Link State 's "connected"'
becomes 30 /link/ethernet2 Link State 's "connected"'
becomes 30 /link/ethernet Link Verified "b true"
becomes 30 /link/ethernet2 Link Verified "b true"
becomes 1 "" Network ActiveLink 'o "/org/posd/Pos1/link/ethernet"'
[ "$(link /link/ethernet Link Address)" = 's "10.199.1.2"' ] || fail "address"
"$bin/posctl" host sign-on > /dev/null || fail "sign-on"
becomes 5 "" Manager State 's "ready"'
reaches "healthy, over the first cable"
reaches "healthy, over the second cable by name" --link ethernet2

# A dead peer with a carrier: the first attempt waits out the connect time-out, the second goes over the other.
lab-mute 1 on
reaches "first cable mute: the first exchange, with connect-timeout-s = 2"
grep -q "line=\|no connection" "$LAB/posd.log" || fail "no attempt failed"
for again in 2 3; do reaches "first cable mute: exchange $again"; done
becomes 90 /link/ethernet Link Reason 's "acquirer-silent"'
becomes 1 "" Network ActiveLink 'o "/org/posd/Pos1/link/ethernet2"'
reaches "first cable known to be dead"
grep -q "put right link=ethernet " "$LAB/posd.log" || fail "the dead link was not set up anew"
lab-mute 1 off

# Carrier loss, both cables out, and one back.
begun=$(now); lab-cable 2 down
becomes 20 /link/ethernet2 Link Reason 's "no-carrier"'; took "carrier loss is told" "$begun"
becomes 60 "" Network ActiveLink 'o "/org/posd/Pos1/link/ethernet"'
reaches "second cable out"
begun=$(now); lab-cable 1 down
becomes 20 "" Manager State 's "ready-offline"'; took "both cables out: ready-offline" "$begun"
begun=$(now); lab-cable 2 up
becomes 30 "" Manager State 's "ready"'; took "one cable back: ready" "$begun"
reaches "after one cable is back"

# NetworkManager goes and comes again; meanwhile the system's own route serves.
begun=$(now); kill "$(cat "$LAB/nm.pid")"
becomes 10 "" Network Links 'ao 0'; took "NetworkManager gone: told" "$begun"
reaches "without NetworkManager"
lab-nm > "$LAB/nm2.log" 2>&1 &
becomes 30 /link/ethernet2 Link Verified "b true"
reaches "NetworkManager is back"

# No capability is needed to bind a socket to its link.
ps -o pid= -p $posd > /dev/null || fail "posd has ended"
if [ -x /usr/bin/python3 ] && command -v setpriv > /dev/null; then
    setpriv --reuid 65534 --clear-groups --bounding-set -all --inh-caps -all /usr/bin/python3 -c '
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"pos2"); s.settimeout(5)
s.connect(("10.200.0.1", 8583))' || fail "SO_BINDTODEVICE without capabilities"
    echo "SO_BINDTODEVICE without capabilities: yes"
fi
kill $posd; wait $posd || fail "posd ended with $?"
echo "all as it must be"
