#include "postfleet/smtp/xclient.hpp"

#include <charconv>
#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/smtp/command.hpp"
#include "postfleet/smtp/xtext.hpp"

namespace postfleet::smtp {
namespace {

// Far above what a name may have, and what a command line has room for anyway.
constexpr std::size_t kMaxValueOctets = 255;

bool is_unavailable(std::string_view value) {
    return ascii_iequals(value, "[UNAVAILABLE]") || ascii_iequals(value, "[TEMPUNAVAIL]");
}

bool take(std::string_view text, std::optional<std::string>& out) {
    if (text.empty() || text.size() > kMaxValueOctets) return false;
    out = text;
    return true;
}

bool take_hello(std::string_view text, std::optional<std::string>& out) {
    return is_hello_name(text) && take(text, out);
}

bool take(std::string_view text, std::optional<IpAddress>& out) {
    constexpr std::string_view kV6 = "IPV6:";
    const bool is_v6 = ascii_istarts_with(text, kV6);
    const Result<IpAddress> address = IpAddress::parse(is_v6 ? text.substr(kV6.size()) : text);
    if (!address || (is_v6 && text.find(':', kV6.size()) == std::string_view::npos)) return false;
    out = *address;
    return true;
}

bool take(std::string_view text, std::optional<std::uint16_t>& out) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size()) return false;
    out = port;
    return true;
}

template <class T, class Take>
bool take_once(std::string_view value, XclientValue<T>& out, Take take_value) {
    if (out) return false;
    out.emplace();
    return is_unavailable(value) || take_value(value, *out);
}

template <class T>
bool take_once(std::string_view value, XclientValue<T>& out) {
    return take_once(value, out, [](std::string_view text, std::optional<T>& to) { return take(text, to); });
}

bool take_protocol(std::string_view value, std::optional<bool>& out) {
    const bool is_extended = ascii_iequals(value, "ESMTP");
    if (out || (!is_extended && !ascii_iequals(value, "SMTP"))) return false;
    out = is_extended;
    return true;
}

bool take_attribute(std::string_view name, std::string_view value, XclientRequest& request) {
    if (ascii_iequals(name, "NAME")) return take_once(value, request.name);
    if (ascii_iequals(name, "ADDR")) return take_once(value, request.address);
    if (ascii_iequals(name, "PORT")) return take_once(value, request.port);
    if (ascii_iequals(name, "PROTO")) return take_protocol(value, request.extended);
    if (ascii_iequals(name, "HELO")) return take_once(value, request.hello_name, take_hello);
    if (ascii_iequals(name, "LOGIN")) return take_once(value, request.login);
    if (ascii_iequals(name, "DESTADDR")) return take_once(value, request.server_address);
    if (ascii_iequals(name, "DESTPORT")) return take_once(value, request.server_port);
    return false;
}

}  // namespace

std::optional<XclientRequest> parse_xclient(std::string_view argument) {
    XclientRequest request;
    if (argument.empty()) return std::nullopt;
    for (const std::string_view word : split(argument, ' ')) {
        if (word.empty()) continue;
        const std::size_t equals = word.find('=');
        if (equals == std::string_view::npos) return std::nullopt;
        const auto value = decode_xtext(word.substr(equals + 1));
        if (!value || !take_attribute(word.substr(0, equals), *value, request)) return std::nullopt;
    }
    return request;
}

}  // namespace postfleet::smtp
