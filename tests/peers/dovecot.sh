#!/bin/bash
# Dovecot: only unpacked, for the AUTH of Postfix (postfix.sh runs it).
. "$(dirname "$0")/common.sh"
case ${1:-} in
install) deb_install dovecot-core ;;
version) deb_version dovecot-core ;;
*) echo "usage: $0 install|version" >&2; exit 2 ;;
esac
