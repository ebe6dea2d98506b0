// Report: the sums of one domain and day as its owner gets them: JSON (RFC 8460 §4.4), and the message that carries it,
// compressed (§5.3). Times are UTC. Threads: pure functions.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "postfleet/base/time.hpp"
#include "postfleet/tls_report/tally.hpp"

namespace postfleet::tls_report {

using Day = std::chrono::sys_days;

struct Report {
    std::string organization, contact;
    std::string domain;     // the policy domain
    std::string submitter;  // the sending host: "mta1.example.net"
    Day day{};
    DomainTally tally;
};

// The same for the same day, domain and submitter, so that a report that comes twice is known as one.
std::string report_id(const Report& report);
std::string to_json(const Report& report);
// "<submitter>!<domain>!<begin>!<end>.json.gz" (§5.1)
std::string file_name(const Report& report);

struct MailFields {
    std::string from, to;
    std::string message_id;  // with angle brackets
    WallTime now{};
};
// Header and body, CRLF line ends, 7-bit. `gzipped`: the JSON.
std::string report_mail(const Report& report, const MailFields& mail, std::string_view gzipped);
std::string subject_of(const Report& report);  // on one line

}  // namespace postfleet::tls_report
