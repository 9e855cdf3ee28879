# common.sh - sourced by every peer script.
#
# A peer script answers to:
#   X.sh install        download and unpack into $PEER_ROOT/X (nothing is installed on the machine)
#   X.sh version        one line
#   X.sh run            configure a fresh instance and run it in the foreground (exec)
#   X.sh flush          ask the running instance to try its whole queue now
#   X.sh queued         print the number of messages in the queue (0 when empty)
#
# Environment for run/flush/queued:
#   SMTP_PORT   port to listen on, 127.0.0.1; for Postfix SMTP_HOST may be another loopback address
#   SINK_PORT   port everything is relayed to, 127.0.0.1
#   STATE       private directory: spool, logs, generated configuration (kept across run/run for restart tests)
#   SUBM_PORT   optional: a port for STARTTLS + AUTH PLAIN submission (user bench, password bench)
#   TLS_CERT, TLS_KEY   PEM files for SUBM_PORT
#
# Debian packages are unpacked, then overlaid on /usr and /etc in a private mount
# namespace; /var and /run are private directories below $STATE.
set -eu
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PEER_ROOT=${PEER_ROOT:-$(dirname "$(mktemp -u)")/outpost-peers}
PEER=${PEER:-$(basename "$0" .sh)}
ROOT=$PEER_ROOT/$PEER/root
STATE=${STATE:-$PEER_ROOT/$PEER/state}
SMTP_PORT=${SMTP_PORT:-2500}
SINK_PORT=${SINK_PORT:-2600}
SUBM_PORT=${SUBM_PORT:-}
# SHA-512 crypt of "bench" with the least rounds allowed, so that hashing (0.4 ms) does not hide the server
PWHASH='$6$rounds=1000$benchbench$'

deb_install() { # packages...
	[ -e "$ROOT/.done" ] && return 0
	local d=$PEER_ROOT/$PEER/debs
	mkdir -p "$d/partial" "$ROOT"
	apt-get -y -qq -d -o "Dir::Cache::archives=$d" --no-install-recommends install "$@" >&2
	for f in "$d"/*.deb; do
		case $f in */cpio_*) continue ;; esac
		dpkg -x "$f" "$ROOT"
	done
	if [ -d "$ROOT/lib" ] && [ ! -L "$ROOT/lib" ]; then
		mkdir -p "$ROOT/usr/lib"
		cp -a "$ROOT/lib/." "$ROOT/usr/lib/"
		rm -rf "$ROOT/lib"
	fi
	touch "$ROOT/.done"
}
deb_version() { for f in "$PEER_ROOT/$PEER"/debs/"$1"_*.deb; do dpkg-deb -f "$f" Package Version | tr '\n' ' '; done; echo; }

# users the unpacked packages expect: name:uid pairs, group of the same name and id
base_etc() { # name:uid...
	mkdir -p "$STATE/etc"
	cp /etc/passwd "$STATE/etc/passwd"
	cp /etc/group "$STATE/etc/group"
	for u in "$@"; do
		local n=${u%%:*} i=${u##*:}
		grep -q "^$n:" "$STATE/etc/passwd" || echo "$n:x:$i:$i::/nonexistent:/usr/sbin/nologin" >>"$STATE/etc/passwd"
		grep -q "^$n:" "$STATE/etc/group" || echo "$n:x:$i:" >>"$STATE/etc/group"
	done
	# "lookup file" is for OpenSMTPD, whose resolver otherwise asks DNS for the name of each client
	printf 'nameserver 127.0.0.1\nlookup file\n' >"$STATE/etc/resolv.conf"
	printf '127.0.0.1 localhost relay.example\n' >"$STATE/etc/hosts"
	echo relay.example >"$STATE/etc/mailname"
	mkdir -p "$STATE/var/spool" "$STATE/var/lib" "$STATE/var/log" "$STATE/var/mail" "$STATE/run"
	[ -e "$STATE/var/run" ] || ln -s /run "$STATE/var/run"
	[ -e "$STATE/var/tmp" ] || ln -s /tmp "$STATE/var/tmp"
}
# run a command in a private mount namespace with $ROOT laid over the system
enter() {
	export ROOT STATE
	exec unshare -m --propagation private bash -c '
		set -e
		mount -t overlay overlay -o "lowerdir=$ROOT/usr:/usr" /usr
		if [ -d "$ROOT/etc" ]; then e=$STATE/etc:$ROOT/etc:/etc; else e=$STATE/etc:/etc; fi
		mount -t overlay overlay -o "lowerdir=$e" /etc
		mount --bind "$STATE/var" /var
		mount --bind "$STATE/run" /run
		cd /
		exec "$@"' enter "$@"
}
self_signed() {
	TLS_CERT=${TLS_CERT:-$STATE/cert.pem}
	TLS_KEY=${TLS_KEY:-$STATE/key.pem}
	[ -e "$TLS_CERT" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
		-subj /CN=relay.example -keyout "$TLS_KEY" -out "$TLS_CERT" 2>/dev/null
	export TLS_CERT TLS_KEY
}
pwcrypt() { openssl passwd -6 -salt benchbench bench; }
