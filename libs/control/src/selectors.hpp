// Which mail a control request is about, and the pieces that all commands with arguments share.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "await.hpp"
#include "postfleet/ports/sender_control.hpp"
#include "postfleet/runtime/control.hpp"
#include "postfleet/control/control_commands.hpp"

namespace postfleet::control {

using ArgumentNames = std::span<const std::string_view>;

// InvalidArgument: the request has an argument that is not among `known`.
Status check_arguments(const runtime::ControlRequest& request, ArgumentNames known);
Result<std::size_t> limit_of(const runtime::ControlRequest& request, std::size_t otherwise);

// The arguments that selector_of() reads.
inline constexpr auto kSelectorArguments =
    std::to_array<std::string_view>({"queue", "virtual_mta", "pool", "site", "domain", "tenant", "job", "mail_from",
                                     "recipient", "message", "older_than", "everything"});
// InvalidArgument: nothing is selected, or something that cannot be.
Result<MailSelector> selector_of(const runtime::ControlRequest& request);

template <class T, class Start>
Result<T> await_sender(Executor& on, Start&& start, Duration patience = ControlCommands::kPatience) {
    return await<T>(on, patience, "the sender", std::forward<Start>(start));
}

template <class T>
Result<T> flatten(Result<Result<T>> nested) {
    if (!nested) return nested.error();
    return std::move(*nested);
}

}  // namespace postfleet::control
