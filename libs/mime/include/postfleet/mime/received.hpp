// append_received: the trace field that we put on top of every message we take (RFC 5321 §4.4, RFC 3848).
//
//   Received: from client.example ([192.0.2.1])
//   	by mta1.example.net with ESMTP id 0193…
//   	for <user@example.org>; Sun, 22 Nov 2026 10:11:12 +0000
//
// `for` only when there is one recipient: it would tell the others' addresses (RFC 5321 §7.2).
// Threads: a pure function.
#pragma once

#include <string>
#include <string_view>

namespace postfleet::mime {

struct ReceivedFacts {
    std::string_view hello_name;      // as the client said it, checked by the SMTP server; empty: hide the client
    std::string_view client_literal;  // "[192.0.2.1]"
    std::string_view by;              // our host name
    std::string_view protocol;        // "SMTP", "ESMTP", "ESMTPS" …
    std::string_view tls;             // "TLSv1.3 TLS_AES_128_GCM_SHA256", as a comment; empty: none
    std::string_view id;
    std::string_view only_recipient;  // empty when there are several
    std::string_view date;            // RFC 5322 §3.3
};

void append_received(std::string& out, const ReceivedFacts& facts);

}  // namespace postfleet::mime
