// Views: the answers of a running process as text for people. What each view takes is the JSON of one control
// command (postfleet/control/render.hpp), so that a newer or older process can be looked at: unknown members are
// left alone, missing ones shown as nothing.
//
// Threads: pure. Errors: InvalidArgument when the text is not JSON of the right shape.
#pragma once

#include <string>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/standalone/table.hpp"

namespace postfleet::standalone {

Result<std::string> view_status(const std::string& json, const Style& style);
Result<std::string> view_queues(const std::string& json, const Style& style, WallTime now);
Result<std::string> view_virtual_mtas(const std::string& json, const Style& style);
Result<std::string> view_intake(const std::string& json, const Style& style);
Result<std::string> view_limits(const std::string& json, const Style& style);
Result<std::string> view_tasks(const std::string& json, const Style& style, WallTime now);
Result<std::string> view_settings(const std::string& json, const Style& style);
// Where mail for a domain goes, and why.
Result<std::string> view_resolution(const std::string& json, const Style& style);
Result<std::string> view_providers(const std::string& json, const Style& style);
// "Set to backoff: 3 queues."
Result<std::string> view_affected(const std::string& json, const std::string& verb);
// Orders: what was given, is at work, was ended; how much mail it is about.
struct OrderProgress {
    bool is_over = false;
    std::string text;
};
Result<OrderProgress> order_progress(const std::string& json);
Result<std::string> number_of_order(const std::string& json);
Result<std::string> view_given(const std::string& json);
Result<std::string> view_finished(const std::string& json);
Result<std::string> view_withdrawn(const std::string& json);
Result<std::string> view_count(const std::string& json, const std::string& verb);
Result<std::string> view_orders(const std::string& json, const Style& style, WallTime now);
// The history of one message.
Result<std::string> view_message(const std::string& json, const Style& style, WallTime now);
// Lines of a dialogue: "10:11:12.345 > EHLO mta.example.net".
Result<std::string> view_trace(const std::string& json, const Style& style);
// What a reload has changed.
Result<std::string> view_reload(const std::string& json);
// A frame of `postfleet top`: status above, queues below, `height` lines at most.
Result<std::string> view_top(const std::string& status, const std::string& queues, const Style& style, unsigned height,
                             WallTime now);

}  // namespace postfleet::standalone
