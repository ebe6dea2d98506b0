// PickupEnvelope: the lines in front of the message in a pickup file (PowerMTA's format; docs/PICKUP.md).
//
//   x-sender: bounce@example.com          once; "<>" or nothing: the null reverse-path
//   x-receiver: alice@example.org         once per recipient
//   x-virtual-mta: promo                  these and x-job, x-envid stay: they are fields of the message
//   From: …                               the first other line begins the message
//
// A file that begins with HELO, EHLO, MAIL, XMRG or XACK is a dialogue and has no such lines.
//
// An address may stand in angle brackets; behind it the parameters of MAIL or RCPT may follow (RET, NOTIFY, ORCPT …).
// Lines end in LF or CRLF. What an address or parameter means is not decided here: the SMTP server reads them.
//
// Threads: a pure function. Units: octets of the file. Errors: a text for whoever wrote the file.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"

namespace postfleet::ingest {

struct PickupEnvelope {
    std::string sender;                  // as MAIL FROM: takes it: "<bounce@example.com> RET=HDRS"
    std::vector<std::string> receivers;  // as RCPT TO: takes them
    std::string fields;                  // the lines that stay, with CRLF
    std::size_t octets = 0;              // up to the message
    bool has_utf8 = false;               // in an address
    bool is_dialogue = false;            // there is none: the file speaks SMTP (PickupDialogue)
};

// Longer ones are refused.
inline constexpr std::size_t kMaxPickupEnvelopeOctets = 16 << 20;

enum class RestOfFile { Follows, IsEmpty };

// Nothing: the envelope does not end in `beginning`, and more of the file follows.
Result<std::optional<PickupEnvelope>> parse_pickup_envelope(std::string_view beginning, RestOfFile rest);

}  // namespace postfleet::ingest
