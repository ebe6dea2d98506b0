// merge_answers: what several senders have answered to one command, as if one had: lists one behind the other, numbers
// added. Every row of a list has a member `sender` that says whose it is.
//
// Threads: pure. Errors: InvalidArgument: an answer is not of the shape that the command has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/runtime/control.hpp"

namespace postfleet::standalone {

// Whom a command is for in a cluster.
enum class Recipients {
    AnySender,    // what all know alike: orders, settings, names
    EverySender,  // what each knows of its own mail
    OneSender,    // what makes sense at one only: a live dialogue
    NoSender,     // a router's own business
};
// Does a router answer it, at its control socket?
bool is_of_router(const std::string& command);
Recipients recipients_of(const std::string& command, const runtime::ControlArguments& arguments);

struct SenderAnswer {
    std::string sender, json;
};
Result<std::string> merge_answers(const std::string& command, const runtime::ControlArguments& arguments,
                                  const std::vector<SenderAnswer>& answers);

}  // namespace postfleet::standalone
