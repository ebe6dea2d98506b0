#include "control_request.hpp"

#include <boost/json.hpp>

namespace postfleet::runtime {

Result<ControlRequest> parse_control_request(std::string_view line) {
    const Error wrong{ErrorKind::InvalidArgument,
                      "a request is one line of JSON: {\"command\": …, \"arguments\": {name: text …}}"};
    boost::system::error_code error;
    boost::json::parse_options options;
    options.max_depth = 4;
    const boost::json::value document = boost::json::parse({line.data(), line.size()}, error, {}, options);
    if (error || !document.is_object()) return wrong;
    ControlRequest request;
    const boost::json::value* command = document.as_object().if_contains("command");
    if (command == nullptr || !command->is_string()) return wrong;
    request.command = std::string(command->as_string());
    const boost::json::value* arguments = document.as_object().if_contains("arguments");
    if (arguments == nullptr) return request;
    if (!arguments->is_object()) return wrong;
    for (const auto& [name, value] : arguments->as_object()) {
        if (!value.is_string()) return wrong;
        request.arguments.emplace(std::string(name), std::string(value.as_string()));
    }
    return request;
}

}  // namespace postfleet::runtime
