#include "postfleet/base/broker_access.hpp"

#include <algorithm>
#include <charconv>

#include "postfleet/base/network.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet {

namespace {

constexpr std::size_t kMaxShortString = 255;  // AMQP 0-9-1 §4.2.5.3
constexpr std::uint16_t kPort = 5672, kTlsPort = 5671;

Error wrong(std::string text) { return {ErrorKind::InvalidArgument, std::move(text)}; }

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

Result<std::string> decode(std::string_view text, std::string_view what) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
        if (high < 0 || low < 0) return wrong(std::string(what) + " has a % without two hexadecimal digits");
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    if (out.size() > kMaxShortString) return wrong(std::string(what) + " is longer than 255 octets");
    if (out.find('\0') != std::string::npos) return wrong(std::string(what) + " has a NUL");
    return out;
}

std::string encode(std::string_view text) {
    static constexpr std::string_view kPlain = "-._~";
    static constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const char lower = ascii_lower(c);
        if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || kPlain.find(c) != std::string_view::npos) {
            out += c;
        } else {
            const auto octet = static_cast<unsigned char>(c);
            out += '%';
            out += kDigits[octet >> 4];
            out += kDigits[octet & 15];
        }
    }
    return out;
}

bool is_host_name(std::string_view text) {
    return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), [](char c) {
        const char lower = ascii_lower(c);
        return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    });
}

Result<BrokerHost> parse_host(std::string_view text, std::uint16_t default_port) {
    BrokerHost host{.port = default_port};
    std::string_view port;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return wrong("the address has no closing bracket");
        const auto address = IpAddress::parse(text.substr(1, end - 1));
        if (!address || !address->v6) return wrong("what stands in brackets is no IPv6 address");
        host.name = text.substr(1, end - 1);
        if (text.size() > end + 1 && text[end + 1] != ':') return wrong("after an address in brackets comes :port");
        port = text.substr(std::min(text.size(), end + 1));
    } else {
        const auto colon = std::min(text.find(':'), text.size());
        host.name = text.substr(0, colon);
        port = text.substr(colon);
        if (!is_host_name(host.name)) return wrong("'" + printable(host.name, 80) + "' is not a host name");
    }
    if (!port.empty()) {
        port.remove_prefix(1);
        const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), host.port);
        if (error != std::errc() || end != port.data() + port.size() || host.port == 0) {
            return wrong("the port of " + host.name + " is not a number from 1 to 65535");
        }
    }
    return host;
}

Status parse_login(std::string_view text, BrokerUrl& url) {
    const auto colon = std::min(text.find(':'), text.size());
    auto user = decode(text.substr(0, colon), "the user name");
    if (!user) return user.error();
    auto password = decode(text.substr(std::min(text.size(), colon + 1)), "the password");
    if (!password) return password.error();
    if (user->empty()) return wrong("the user name is empty");
    url.user = *std::move(user);
    url.password = *std::move(password);
    return {};
}

}  // namespace

std::string BrokerHost::to_string() const {
    const bool is_v6 = name.find(':') != std::string::npos;
    return (is_v6 ? "[" + name + "]" : name) + ":" + std::to_string(port);
}

Result<BrokerUrl> BrokerUrl::parse(std::string_view text) {
    BrokerUrl url;
    if (ascii_istarts_with(text, "amqps://")) {
        url.tls = true;
    } else if (!ascii_istarts_with(text, "amqp://")) {
        return wrong("a broker's address begins with amqp:// or amqps://");
    }
    text.remove_prefix(url.tls ? 8 : 7);
    if (text.find('?') != std::string_view::npos || text.find('#') != std::string_view::npos) {
        return wrong("a broker's address takes no parameters (and ? and # are written %3F and %23)");
    }
    const auto slash = std::min(text.find('/'), text.size());
    const auto path = text.substr(std::min(text.size(), slash + 1));
    if (path.find('/') != std::string_view::npos) return wrong("a / in the virtual host is written %2F");
    auto virtual_host = decode(path, "the virtual host");
    if (!virtual_host) return virtual_host.error();
    if (!virtual_host->empty()) url.virtual_host = *std::move(virtual_host);
    text = text.substr(0, slash);
    if (const auto at = text.rfind('@'); at != std::string_view::npos) {
        if (const auto login = parse_login(text.substr(0, at), url); !login) return login.error();
        text.remove_prefix(at + 1);
    }
    for (const auto part : split(text, ',')) {
        auto host = parse_host(part, url.tls ? kTlsPort : kPort);
        if (!host) return host.error();
        if (url.hosts.size() == kMaxHosts) return wrong("more than 16 hosts");
        url.hosts.push_back(*std::move(host));
    }
    return url;
}

std::string BrokerUrl::to_string() const {
    if (hosts.empty()) return {};
    std::string out = (tls ? "amqps://" : "amqp://") + encode(user) + ":***@";
    for (std::size_t i = 0; i < hosts.size(); ++i) out += (i == 0 ? "" : ",") + hosts[i].to_string();
    if (virtual_host != "/") out += "/" + encode(virtual_host);
    return out;
}

}  // namespace postfleet
