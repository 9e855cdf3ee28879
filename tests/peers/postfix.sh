#!/bin/bash
# Postfix, Debian package, stock durability (queue files fsync'ed by cleanup).
# Knobs that differ from Debian's default: no chroot, DNS off, static relayhost, log to a file.
# PF_EXTRA: lines for main.cf that come last; PF_MASTER: lines for master.cf.
# PF_TUNE=1 additionally spares what a relay of trusted clients can: the pause of in_flow_delay, anvil's counting, young
# processes; and it lets TLS connections be kept.  SINK_TLS=1: TLS and AUTH PLAIN to the sink as well.
. "$(dirname "$0")/common.sh"
conf() {
	base_etc postfix:4001 postdrop:4002 dovecot:4003 dovenull:4004
	mkdir -p "$STATE/etc/postfix" "$STATE/var/lib/postfix" "$STATE/var/spool/postfix"
	chown 4001 "$STATE/var/lib/postfix"
	cat >"$STATE/etc/postfix/main.cf" <<-E
	compatibility_level = 3.6
	queue_directory = /var/spool/postfix
	command_directory = /usr/sbin
	daemon_directory = /usr/lib/postfix/sbin
	data_directory = /var/lib/postfix
	mail_owner = postfix
	setgid_group = postdrop
	myhostname = relay.example
	mydestination =
	local_recipient_maps =
	alias_maps =
	inet_interfaces = 127.0.0.1
	inet_protocols = ipv4
	mynetworks = 127.0.0.0/8
	smtpd_recipient_restrictions = permit_mynetworks, reject
	relayhost = [127.0.0.1]:$SINK_PORT
	smtp_dns_support_level = disabled
	smtpd_peername_lookup = no
	smtpd_tls_security_level = none
	smtp_tls_security_level = none
	maillog_file = /var/log/mail.log
	default_process_limit = ${PF_PROCS:-100}
	E
	# A line that is there twice is warned about by every process, before there is anybody who writes the log.
	while read -r name rest; do
		case $name in '' | *[!a-z0-9_]*) ;; *) sed -i "/^$name *=/d" "$STATE/etc/postfix/main.cf" ;; esac
	done <<<"${PF_EXTRA:-}"
	[ -z "${PF_EXTRA:-}" ] || printf '%s\n' "$PF_EXTRA" >>"$STATE/etc/postfix/main.cf"
	if [ "${PF_TUNE:-0}" = 1 ]; then
		cat >>"$STATE/etc/postfix/main.cf" <<-E
		in_flow_delay = 0
		max_use = 10000
		smtpd_client_connection_count_limit = 0
		smtpd_client_connection_rate_limit = 0
		smtp_connection_cache_destinations = 127.0.0.1
		smtp_tls_connection_reuse = yes
		smtp_tls_session_cache_database = btree:/var/lib/postfix/smtp_scache
		E
	fi
	if [ "${SINK_TLS:-}" = 1 ]; then
		cat >>"$STATE/etc/postfix/main.cf" <<-E
		smtp_tls_security_level = encrypt
		smtp_sasl_auth_enable = yes
		smtp_sasl_password_maps = static:bench:bench
		smtp_sasl_security_options = noanonymous
		E
	fi
	cat >"$STATE/etc/postfix/master.cf" <<-E
	${SMTP_HOST:-127.0.0.1}:$SMTP_PORT inet n - n - - smtpd
	pickup    unix  n       -       n       60      1       pickup
	cleanup   unix  n       -       n       -       0       cleanup
	qmgr      unix  n       -       n       300     1       qmgr
	tlsmgr    unix  -       -       n       1000?   1       tlsmgr
	tlsproxy  unix  -       -       n       -       0       tlsproxy
	rewrite   unix  -       -       n       -       -       trivial-rewrite
	bounce    unix  -       -       n       -       0       bounce
	defer     unix  -       -       n       -       0       bounce
	trace     unix  -       -       n       -       0       bounce
	verify    unix  -       -       n       -       1       verify
	flush     unix  n       -       n       1000?   0       flush
	proxymap  unix  -       -       n       -       -       proxymap
	proxywrite unix -       -       n       -       1       proxymap
	smtp      unix  -       -       n       -       -       smtp
	relay     unix  -       -       n       -       -       smtp
	showq     unix  n       -       n       -       -       showq
	error     unix  -       -       n       -       -       error
	retry     unix  -       -       n       -       -       error
	discard   unix  -       -       n       -       -       discard
	local     unix  -       n       n       -       -       local
	anvil     unix  -       -       n       -       1       anvil
	scache    unix  -       -       n       -       1       scache
	postlog   unix-dgram n  -       n       -       1       postlogd
	E
	[ -z "${PF_MASTER:-}" ] || printf '%s\n' "$PF_MASTER" >>"$STATE/etc/postfix/master.cf"
	if [ -n "$SUBM_PORT" ]; then
		self_signed
		cat >>"$STATE/etc/postfix/master.cf" <<-E
		127.0.0.1:$SUBM_PORT inet n - n - - smtpd
		  -o smtpd_tls_security_level=encrypt -o smtpd_tls_cert_file=$TLS_CERT -o smtpd_tls_key_file=$TLS_KEY
		  -o smtpd_sasl_auth_enable=yes -o smtpd_sasl_type=dovecot -o smtpd_sasl_path=/run/dovecot/auth-postfix
		  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
		E
		# Dovecot answers AUTH, as most sites do
		mkdir -p "$STATE/etc/dovecot" "$STATE/run/dovecot"
		echo "bench:{SHA512-CRYPT}$(pwcrypt)" >"$STATE/etc/dovecot/users"
		cat >"$STATE/etc/dovecot/dovecot.conf" <<-E
		protocols =
		ssl = no
		log_path = /var/log/dovecot.log
		auth_mechanisms = plain
		passdb {
		  driver = passwd-file
		  args = /etc/dovecot/users
		}
		userdb {
		  driver = static
		  args = uid=4001 gid=4001 home=/nonexistent
		}
		service auth {
		  unix_listener auth-postfix {
		    mode = 0660
		    user = postfix
		    group = postfix
		  }
		}
		E
	fi
}
case ${1:-} in
install) deb_install postfix ;;
version) deb_version postfix ;;
run)
	conf
	DOVE=
	if [ -n "$SUBM_PORT" ]; then
		PEER=dovecot "$HERE/dovecot.sh" install
		# lay Dovecot beside Postfix
		[ -e "$ROOT/usr/sbin/dovecot" ] || cp -a "$PEER_ROOT/dovecot/root/usr/." "$ROOT/usr/"
		DOVE='/usr/sbin/dovecot -c /etc/dovecot/dovecot.conf;'
	fi
	enter bash -c "$DOVE postfix check >/var/log/check.log 2>&1; exec /usr/lib/postfix/sbin/master -c /etc/postfix" ;;
flush) nsenter -t "$(tr -d ' ' <"$STATE/var/spool/postfix/pid/master.pid")" -m postqueue -f ;;
queued) find "$STATE"/var/spool/postfix/{incoming,active,deferred,maildrop} -type f 2>/dev/null | wc -l ;;
*) echo "usage: $0 install|version|run|flush|queued" >&2; exit 2 ;;
esac
