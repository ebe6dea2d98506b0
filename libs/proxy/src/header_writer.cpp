#include "postfleet/proxy/header_writer.hpp"

#include "postfleet/base/require.hpp"

namespace postfleet::proxy {

namespace {

void append_port(std::string& out, std::uint16_t port) {
    out += static_cast<char>(port >> 8);
    out += static_cast<char>(port & 0xff);
}

void append_address(std::string& out, const IpAddress& address) {
    out.append(reinterpret_cast<const char*>(address.octets.data()), address.v6 ? 16 : 4);
}

std::string write_text(const Endpoint& source, const Endpoint& target) {
    std::string out = source.address.v6 ? "PROXY TCP6 " : "PROXY TCP4 ";
    out += source.address.to_string() + ' ' + target.address.to_string() + ' ';
    out += std::to_string(source.port) + ' ' + std::to_string(target.port) + "\r\n";
    return out;
}

std::string write_binary(const Endpoint& source, const Endpoint& target) {
    using namespace std::string_literals;
    std::string out = "\r\n\r\n\0\r\nQUIT\n"s;
    out += '\x21';                                  // version 2, PROXY
    out += source.address.v6 ? '\x21' : '\x11';     // TCP over IPv6, IPv4
    append_port(out, source.address.v6 ? 36 : 12);  // the length of what follows
    append_address(out, source.address);
    append_address(out, target.address);
    append_port(out, source.port);
    append_port(out, target.port);
    return out;
}

}  // namespace

std::string write_header(HeaderVersion version, const Endpoint& source, const Endpoint& target) {
    require(source.address.v6 == target.address.v6);
    return version == HeaderVersion::Text ? write_text(source, target) : write_binary(source, target);
}

}  // namespace postfleet::proxy
