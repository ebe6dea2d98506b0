// HeaderFacts: what acceptance wants to know of a message's header, gathered in one pass.
//
// Where the listener honours them, X-Virtual-MTA, X-Job, X-EnvID, X-DKIM-Options and X-Schedule
// decide and are cut out of the message;
// elsewhere they are ordinary fields. Return-Path, which only the last host may write (RFC 5321 §4.4), goes always. Of a field that occurs twice the first one counts, and all go.
// Threads: values. The views in `wanted` point into the content and into `unfolded`: they are valid until
// strip() or any other change of the content.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/config/config.hpp"
#include "postfleet/mime/header.hpp"
#include "postfleet/routing/snapshot.hpp"

namespace postfleet::ingest {

// Longest kept: enough for a report, too short to fill memory. RFC 3461 §4.4: ENVID is at most 100.
inline constexpr std::size_t kMaxKeptField = 512;
inline constexpr std::size_t kMaxName = 128;
inline constexpr std::size_t kMaxEnvelopeId = 100;
inline constexpr std::size_t kMaxSchedule = 4096;  // less than that

// The fields that may occur once, as far as a check asks for them.
enum SingleField : std::uint16_t { kFrom = 1, kDate = 2, kMessageId = 4 };

struct HeaderFacts {
    std::string from, message_id, subject;                    // for events
    std::string virtual_mta, job, envelope_id, dkim_options;  // only where honoured
    std::string schedule;                                     // X-Schedule, likewise
    std::vector<routing::HeaderField> wanted;                 // the fields that binding rules look at
    std::deque<std::string> unfolded;                         // what `wanted` points to when the field was folded
    std::vector<mime::Span> to_remove;
    std::vector<mime::Span> blind_copies;  // Bcc and Resent-Bcc
    std::uint16_t seen = 0;                // SingleField bits
    std::string_view duplicate;            // the first name that occurs twice and may not (RFC 5322 §3.6)
    std::uint32_t hops = 0;                // Received fields
    std::size_t header_octets = 0;         // as it came
    std::size_t largest_field = 0;         // its octets, with its last CRLF
    bool tls_not_required = false;         // TLS-Required: No (RFC 8689)
    bool has_fields = false;
    bool is_cut_off = false;  // the content ended before its header did

    static HeaderFacts gather(std::string_view content, config::HeaderTrust trust,
                              std::span<const std::string> wanted_names);
    // What large receivers ask of From and Message-ID beyond RFC 5322's "one field".
    bool has_one_author() const;
    bool has_usable_message_id() const;  // <left@right>
    // Bcc goes, too.
    void remove_blind_copies();
    void strip(std::string& content) { mime::remove_spans(content, to_remove); }
};

}  // namespace postfleet::ingest
