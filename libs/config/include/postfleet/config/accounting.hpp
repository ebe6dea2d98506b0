// accounting_options: what an accounting file of the configuration is, in the words of libs/report.
//
// Without the privacy key, which stands in a file, and without the digests that use it. Threads: pure.
#pragma once

#include "postfleet/config/config.hpp"
#include "postfleet/report/accounting.hpp"

namespace postfleet::config {

report::AccountingOptions accounting_options(const Report& file);

// The events that a report takes, whichever type it has.
std::vector<EventType> reported_events(const Report& report);

// Where its events go, for people: a path, or brokers and topic.
std::string place_of(const Report& report);

// Whether some accounting file has receipts, which show the address of ours that a client reached.
bool has_receipts(const Config& config);

// The message headers that columns of accounting files show, lower case, without duplicates: ingest keeps their
// values with the message.
std::vector<std::string> recorded_headers(const Config& config);

}  // namespace postfleet::config
