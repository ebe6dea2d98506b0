// What comes over a control socket, or as a command over gRPC: it is refused with a text, or is a command whose selection of
// mail selects something. The first octet says which way it comes.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "control_request.hpp"
#include "postfleet/base/require.hpp"
#include "selectors.hpp"
#include "translate.hpp"

using namespace postfleet;

namespace {

Result<runtime::ControlRequest> request_of(std::string_view octets) {
    v1::CommandMessage message;
    if (!message.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) {
        return Error{ErrorKind::InvalidArgument, "no message"};
    }
    auto command = rpc::read(message);
    if (!command) return command.error();
    require(command->arguments.size() <= rpc::kMostArguments && command->who.size() <= 1000);
    v1::CommandMessage written;
    rpc::write(*command, written);
    const auto again = rpc::read(written);
    require(again && again->command == command->command && again->arguments == command->arguments);
    return runtime::ControlRequest{command->command, command->arguments, command->who};
}

}  // namespace

void fuzz_operator_command(std::span<const std::byte> input) {
    if (input.empty()) return;
    const std::string_view octets(reinterpret_cast<const char*>(input.data()) + 1, input.size() - 1);
    const bool is_line = (std::to_integer<unsigned>(input[0]) & 1) == 0;
    const auto request = is_line ? runtime::parse_control_request(octets) : request_of(octets);
    if (!request) return require(!request.error().text.empty());
    const auto limit = control::limit_of(*request, 7);
    require(limit ? *limit >= 1 && *limit <= control::ControlCommands::kMaxListed : !limit.error().text.empty());
    const Status known = control::check_arguments(*request, control::kSelectorArguments);
    require(known || !known.error().text.empty());
    const auto which = control::selector_of(*request);
    if (!which) return require(!which.error().text.empty());
    require(*which != MailSelector{} && !describe(*which).empty());
}
