// tell_history: all that is known of one message (`postfleet show message`), as JSON:
//
//   message     what it is: when, from whom and from where it was accepted, size, tenant, job …
//   recipients  what has become of each: where and until when it waits, or how it ended
//   events      what was reported of it (CloudEvents), the oldest first
//   files       that were read for it
//   notes       what is not known, and why, for people
//
// What waits is asked of the sender. What is over stands in the outbox until every report sink has it, and after that
// in the JSON report files for as long as these are kept (report_search.hpp). In a cluster a sender has the first two and
// a feedback process the files; merge_histories() puts their answers together.
//
// Threads: any that may block, for kPatience and as long as the sender takes. Errors: NotFound (nothing is known of it).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/config/config.hpp"
#include "postfleet/ports/event_log.hpp"
#include "postfleet/ports/sender_control.hpp"

namespace postfleet::control {

struct HistorySources {
    static constexpr Duration kPatience = std::chrono::seconds(30);
    static constexpr std::size_t kMostPending = 200'000;  // events of the outbox that are looked through

    std::function<Result<std::vector<QueuedTask>>(const MailSelector&)>
        waiting;                                   // asks the sender; empty: none is here
    EventLog* outbox = nullptr;                    // null: none is here
    bool has_reports = true;                       // the report files are here
    std::shared_ptr<const config::Config> config;  // shared with the running parts
    std::string own_sender{};                      // as its events name it; empty: by the configuration's hostname
};

Result<std::string> tell_history(const MessageId& message, const HistorySources& from);

// What several processes know of one message, as if one had told it; `by` is who. Each event is there once; `processes` says
// whose answers these are. InvalidArgument: an answer is of another shape.
struct HistoryPart {
    std::string by, json;
};
Result<std::string> merge_histories(const std::vector<HistoryPart>& parts);

}  // namespace postfleet::control
