// Parts of Config (config.hpp): who may send, and how much: tenants and users.
//
// Threads: value types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/config/values.hpp"

namespace postfleet::config {

// What an account may do; over all its connections, to all listeners.
struct AccountLimits {
    std::uint32_t max_connections = kUnlimited;
    Rate max_message_rate, max_recipient_rate;
};

// Who may say when its mail is sent; what is not given here is as the listener has it.
struct ScheduleRights {
    std::optional<Duration> max_future_release;
    std::optional<bool> deliver_by, mt_priority;
};

struct Tenant {
    std::string name;
    // What its users may send as: "acme.example", ".acme.example" (everything below), "*" (anything).
    std::vector<std::string> send_as;
    AccountLimits limits;
    ScheduleRights schedule;  // of its users, unless they have their own
    Origin origin;
};

struct User {
    std::string name;
    std::string tenant = "default";
    std::string password_file;  // what `postfleet hash-password` writes
    std::string certificate;    // SHA-256 fingerprint of a client certificate: 64 lower-case hexadecimal digits
    std::string virtual_mta;    // VMTA or pool for its mail when no binding takes it; empty: the default
    AccountLimits limits;
    ScheduleRights schedule;
    Origin origin;
};

}  // namespace postfleet::config
