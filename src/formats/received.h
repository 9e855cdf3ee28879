/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* received.h: the trace field that each hop puts on top.  RFC 5321 4.4, RFC 3848, RFC 6531 4.3,
 * RFC 8314 4.3. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/instant.h"
#include "base/ipaddr.h"
#include "base/str.h"

struct received {
    str helo;    /* As the client said it; whatever is in it is made harmless. */
    str rdns;    /* The name that its address has and that leads back to it; or empty. */
    bool has_ip; /* False: who sent it stays private, or it came from this machine. */
    ipaddr ip;
    str by;       /* Our name. */
    str protocol; /* "ESMTPSA": received_protocol(). */
    str tls;      /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty. */
    str id;       /* Of the message. */
    str for_rcpt; /* "ann@example.org" if there is one recipient only, else empty. */
    bool utf8;    /* The message may carry UTF-8 in its header (SMTPUTF8). */
    instant when; /* Wall clock. */
    int zone_minutes;
};

/* The whole field with its CRLF, folded. */
void received_format(const struct received *received, struct buf *buf);

/* "SMTP", "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA", the same with LMTP, "UTF8SMTPSA". */
const char *received_protocol(bool lmtp, bool esmtp, bool tls, bool auth, bool utf8);
