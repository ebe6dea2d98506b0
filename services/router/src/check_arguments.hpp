// check_arguments: a control request has no arguments but those its command knows.
#pragma once

#include <set>
#include <string>

#include "postfleet/base/result.hpp"
#include "postfleet/runtime/control.hpp"

namespace postfleet::router {

inline Status check_arguments(const runtime::ControlRequest& request, const std::set<std::string>& known) {
    for (const auto& [name, value] : request.arguments) {
        if (!known.contains(name))
            return Error{ErrorKind::InvalidArgument, "'" + request.command + "' takes no argument '" + name + "'"};
    }
    return {};
}

}  // namespace postfleet::router
