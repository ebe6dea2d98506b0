// XCLIENT: whose connection it is that a trusted client passes on (Postfix's XCLIENT extension).
//
//   XCLIENT NAME=mail.example ADDR=192.0.2.1 PORT=25611 HELO=mail.example PROTO=ESMTP LOGIN=shop
//
// Values are xtext; [UNAVAILABLE] and [TEMPUNAVAIL] mean that there is none. Attributes may come in any order, each once.
//
// Threads: pure functions. Errors: nothing, for an attribute that is not known, given twice, or has no such value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/network.hpp"

namespace postfleet::smtp {

// The attributes as EHLO names them.
inline constexpr std::string_view kXclientAttributes = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";

// What was said; the inner value is missing where it is unavailable.
template <class T>
using XclientValue = std::optional<std::optional<T>>;

struct XclientRequest {
    XclientValue<std::string> name;  // the client's host name
    XclientValue<IpAddress> address;
    XclientValue<std::uint16_t> port;
    XclientValue<std::string> hello_name;
    std::optional<bool> extended;  // PROTO: ESMTP, else SMTP
    XclientValue<std::string> login;
    XclientValue<IpAddress> server_address;
    XclientValue<std::uint16_t> server_port;
};

std::optional<XclientRequest> parse_xclient(std::string_view argument);

}  // namespace postfleet::smtp
