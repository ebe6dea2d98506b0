// Member: a process of the cluster that answers operators, and where. Values.
#pragma once

#include <map>
#include <string>

namespace postfleet::rpc {

struct Member {
    std::string service;  // "sender", "feedback"
    std::string name;
    std::string address;  // "mta1.example.net:7401"
    friend bool operator==(const Member&, const Member&) = default;
    friend auto operator<=>(const Member&, const Member&) = default;
};

// As over a control socket: the same commands, the same answers.
struct OperatorCommand {
    std::string command;
    std::map<std::string, std::string> arguments;
    std::string who;  // "root at mta1"
};

}  // namespace postfleet::rpc
