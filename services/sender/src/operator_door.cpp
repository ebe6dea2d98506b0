#include "operator_door.hpp"

#include <utility>

namespace postfleet::sender {

Result<std::unique_ptr<OperatorDoor>> OperatorDoor::open(cluster_member::Membership& member, const std::string& socket,
                                                         control::ControlPorts ports, std::function<bool()> is_open) {
    std::unique_ptr<OperatorDoor> door(new OperatorDoor(member, std::move(ports), std::move(is_open)));
    door->socket_ = std::make_unique<runtime::ControlServer>(
        socket, [raw = door.get()](const runtime::ControlRequest& request) { return raw->answer(request); });
    if (Status started = door->socket_->start(); !started) return started.error();
    Status opened = member.answer_operators(
        rpc::CommandService::SenderControl, [raw = door.get()](const rpc::OperatorCommand& command) {
            return raw->answer({.command = command.command, .arguments = command.arguments, .who = command.who});
        });
    if (!opened) return opened.error();
    return door;
}

OperatorDoor::~OperatorDoor() { stop(); }

void OperatorDoor::stop() {
    member_.stop_answering();
    if (socket_) socket_->stop();
}

Result<std::string> OperatorDoor::answer(const runtime::ControlRequest& request) const {
    if (!is_open_()) return Error{ErrorKind::Unavailable, "the sender is starting or stopping; try again in a moment"};
    return commands_.run(request);
}

}  // namespace postfleet::sender
