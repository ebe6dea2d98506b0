// OperatorDoor: where a sender answers operators: the control socket in its data directory, for whoever is on its machine,
// and --control, for `postfleet --router`. The commands and answers are the same (libs/control).
//
// Threads: open() and stop() from one thread; stop() blocks until what is being answered is answered.
// Errors: open(): another process answers on the socket, or the port cannot be had.
#pragma once

#include <memory>
#include <string>

#include "postfleet/cluster_member/membership.hpp"
#include "postfleet/control/control_commands.hpp"
#include "postfleet/runtime/control.hpp"

namespace postfleet::sender {

class OperatorDoor final {
public:
    // `is_open`: whether the process is there for commands already; `member` outlives this.
    static Result<std::unique_ptr<OperatorDoor>> open(cluster_member::Membership& member, const std::string& socket,
                                                      control::ControlPorts ports, std::function<bool()> is_open);
    ~OperatorDoor();
    OperatorDoor(const OperatorDoor&) = delete;
    OperatorDoor& operator=(const OperatorDoor&) = delete;

    void stop();

private:
    OperatorDoor(cluster_member::Membership& member, control::ControlPorts ports, std::function<bool()> is_open)
        : member_(member), commands_(std::move(ports)), is_open_(std::move(is_open)) {}

    Result<std::string> answer(const runtime::ControlRequest& request) const;

    cluster_member::Membership& member_;
    const control::ControlCommands commands_;
    const std::function<bool()> is_open_;
    std::unique_ptr<runtime::ControlServer> socket_;
};

}  // namespace postfleet::sender
