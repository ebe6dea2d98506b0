#include "postfleet/proxy/header_reader.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace postfleet::proxy {
namespace {

using Progress = HeaderReader::Progress;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

// A header of version 2: version and command, family and transport, what follows the length.
std::string binary(unsigned command, unsigned protocol, const std::string& rest) {
    const char fixed[] = {static_cast<char>(command), static_cast<char>(protocol), static_cast<char>(rest.size() >> 8),
                          static_cast<char>(rest.size() & 0xff)};
    return kSignature + std::string(fixed, 4) + rest;
}

const std::string kV4("\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x00\x19", 12);
const std::string kV6 = std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16) +
                        std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02", 16) +
                        std::string("\xdc\x04\x00\x19", 4);

struct Outcome {
    Progress progress = Progress::NeedsMore;
    std::string client, server, problem, left;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome outcome_of(const HeaderReader& reader, Progress progress, std::string left) {
    Outcome outcome{progress, {}, {}, std::string(reader.problem()), std::move(left)};
    if (progress == Progress::Done && reader.header().announced) {
        outcome.client = reader.header().announced->client.to_string();
        outcome.server = reader.header().announced->server.to_string();
    }
    return outcome;
}

// In pieces that end at `cuts`. All ways of cutting must come to the same.
Outcome read_cut(const std::string& input, const std::vector<std::size_t>& cuts) {
    HeaderReader reader;
    std::size_t from = 0;
    Progress progress = Progress::NeedsMore;
    std::string left;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
        const std::size_t to = i < cuts.size() ? cuts[i] : input.size();
        std::string_view piece = std::string_view(input).substr(from, to - from);
        progress = reader.take(piece);
        left = std::string(piece) + input.substr(to);
        if (progress != Progress::NeedsMore) break;
        CHECK(piece.empty());
        from = to;
    }
    return outcome_of(reader, progress, progress == Progress::Done ? left : "");
}

Outcome read(const std::string& input) { return read_cut(input, {}); }

std::vector<std::size_t> every_octet(const std::string& input) {
    std::vector<std::size_t> cuts;
    for (std::size_t i = 1; i < input.size(); ++i) cuts.push_back(i);
    return cuts;
}

Outcome announces(const std::string& client, const std::string& server, const std::string& left = "") {
    return {Progress::Done, client, server, "", left};
}
const Outcome kNobody{Progress::Done, "", "", "", ""};

TEST_CASE("version 1 announces the client and the server", "[PROXY]") {
    CHECK(read("PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n") == announces("192.0.2.1:56324", "198.51.100.2:25"));
    CHECK(read("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n") ==
          announces("[2001:db8::1]:0", "[2001:db8::2]:65535"));
    CHECK(read("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n") ==
          announces("192.0.2.1:1", "198.51.100.2:2"));
    const std::string longest =
        "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    CHECK(longest.size() <= 107);
    CHECK(read(longest).progress == Progress::Done);
}

TEST_CASE("version 2 announces the client and the server, and its other parts are passed over", "[PROXY]") {
    CHECK(read(binary(0x21, 0x11, kV4)) == announces("192.0.2.1:56324", "198.51.100.2:25"));
    CHECK(read(binary(0x21, 0x21, kV6)) == announces("[2001:db8::1]:56324", "[2001:db8::2]:25"));
    const std::string tlv = std::string("\x01\x00\x02h2", 5) + std::string(3000, 'x');
    CHECK(read(binary(0x21, 0x11, kV4 + tlv) + "EHLO") == announces("192.0.2.1:56324", "198.51.100.2:25", "EHLO"));
    const std::string huge(65535 - kV4.size(), '\r');
    CHECK(read(binary(0x21, 0x11, kV4 + huge) + "!") == announces("192.0.2.1:56324", "198.51.100.2:25", "!"));
}

TEST_CASE("a mapped IPv4 address in version 2 is the IPv4 address", "[PROXY]") {
    const std::string mapped = std::string(10, '\0') + std::string("\xff\xff\xc0\x00\x02\x01", 6);
    CHECK(read(binary(0x21, 0x21, mapped + mapped + std::string("\0\x01\0\x02", 4))) ==
          announces("192.0.2.1:1", "192.0.2.1:2"));
}

TEST_CASE("the proxy's own connections, unknown ones and Unix sockets announce nobody", "[PROXY]") {
    CHECK(read("PROXY UNKNOWN\r\n") == kNobody);
    CHECK(read("PROXY UNKNOWN ffff::1 whatever it says 65535 x\r\n") == kNobody);
    CHECK(read(binary(0x20, 0x00, "")) == kNobody);
    CHECK(read(binary(0x20, 0x11, kV4)) == kNobody);
    CHECK(read(binary(0x20, 0xff, "anything")) == kNobody);
    CHECK(read(binary(0x21, 0x00, "")) == kNobody);
    CHECK(read(binary(0x21, 0x00, std::string(40, 'x'))) == kNobody);
    CHECK(read(binary(0x21, 0x31, std::string(216, '/'))) == kNobody);
}

TEST_CASE("a header comes to the same wherever it is cut, and nothing behind it is taken", "[PROXY]") {
    for (const std::string& header :
         {std::string("PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n"), std::string("PROXY UNKNOWN\r\n"),
          binary(0x21, 0x11, kV4), binary(0x21, 0x21, kV6 + "tlv"), binary(0x20, 0x00, "skip")}) {
        const std::string input = header + "EHLO client\r\nNOOP\r\n";
        const Outcome whole = read(input);
        CHECK(whole.progress == Progress::Done);
        CHECK(whole.left == "EHLO client\r\nNOOP\r\n");
        for (std::size_t cut = 1; cut < input.size(); ++cut) CHECK(read_cut(input, {cut}) == whole);
        CHECK(read_cut(input, every_octet(input)) == whole);
        for (std::size_t size = 0; size < header.size(); ++size) {
            CHECK(read(header.substr(0, size)).progress == Progress::NeedsMore);
        }
    }
}

TEST_CASE("what is no header is found out at its first wrong octet", "[PROXY]") {
    for (const char* input :
         {"E", "EHLO x\r\n", "\x16\x03\x01", "PR0", "PROXY\t", "proxy ", "\r\n\r\n\1", "\n", " PROXY "}) {
        INFO(input);
        CHECK(read(input).progress == Progress::Malformed);
        CHECK(read(input).problem == "no PROXY header");
    }
    CHECK(read(kSignature + "\x11\x11" + std::string(2, '\0')).problem == "version is not 2");
}

TEST_CASE("a malformed line is refused, with the reason", "[PROXY]") {
    const auto problem = [](const std::string& rest) {
        const Outcome outcome = read("PROXY " + rest);
        CHECK(outcome.progress == Progress::Malformed);
        CHECK(read_cut("PROXY " + rest, every_octet("PROXY " + rest)) == outcome);
        return outcome.problem;
    };
    CHECK(problem("TCP4 192.0.2.1 198.51.100.2 56324 25\n") == "line does not end in CRLF");
    CHECK(problem("TCP5 192.0.2.1 198.51.100.2 56324 25\r\n") == "protocol is not TCP4, TCP6 or UNKNOWN");
    CHECK(problem("\r\n") == "protocol is not TCP4, TCP6 or UNKNOWN");
    CHECK(problem("TCP4\r\n") == "protocol is not TCP4, TCP6 or UNKNOWN");
    CHECK(problem("UNKNOWNS\r\n") == "protocol is not TCP4, TCP6 or UNKNOWN");
    CHECK(problem("TCP4 192.0.2.1 198.51.100.2 56324\r\n") == "addresses or ports are missing");
    CHECK(problem("TCP4  192.0.2.1 198.51.100.2 56324 25\r\n") == "addresses or ports are missing");
    CHECK(problem("TCP4 192.0.2.256 198.51.100.2 56324 25\r\n") == "address is not one");
    CHECK(problem("TCP4 192.0.2.01 198.51.100.2 56324 25\r\n") == "address is not one");
    CHECK(problem("TCP4 ::1 ::2 56324 25\r\n") == "address is not one");
    CHECK(problem("TCP6 192.0.2.1 198.51.100.2 56324 25\r\n") == "address is not one");
    CHECK(problem(std::string("TCP4 192.0.2.1\0 198.51.100.2 1 2\r\n", 34)) == "address is not one");
    for (const char* port : {"", "65536", "-1", "+1", "025", "0x19", "25 ", "99999999999999999999", "1 2"}) {
        INFO(port);
        CHECK(problem("TCP4 192.0.2.1 198.51.100.2 56324 " + std::string(port) + "\r\n") == "port is not one");
    }
    CHECK(problem(std::string(102, 'x')) == "line too long");
    CHECK(problem("UNKNOWN " + std::string(92, 'x') + "\r\n") == "line too long");
    CHECK(read("PROXY UNKNOWN " + std::string(91, 'x') + "\r\n") == kNobody);  // 107 octets
}

TEST_CASE("a malformed binary header is refused, with the reason", "[PROXY]") {
    CHECK(read(binary(0x11, 0x11, kV4)).problem == "version is not 2");
    CHECK(read(binary(0x22, 0x11, kV4)).problem == "command is not LOCAL or PROXY");
    CHECK(read(binary(0x21, 0x41, kV4)).problem == "family or transport is not known");
    CHECK(read(binary(0x21, 0x13, kV4)).problem == "family or transport is not known");
    CHECK(read(binary(0x21, 0x12, kV4)).problem == "transport is not a stream");
    CHECK(read(binary(0x21, 0x11, kV4.substr(1))).problem == "shorter than its addresses");
    CHECK(read(binary(0x21, 0x21, kV6.substr(1))).problem == "shorter than its addresses");
    CHECK(read(binary(0x21, 0x31, std::string(215, '/'))).problem == "shorter than its addresses");
    CHECK(read(binary(0x21, 0x11, "")).problem == "shorter than its addresses");
}

TEST_CASE("a finished header takes nothing more", "[PROXY]") {
    HeaderReader reader;
    std::string_view input = "PROXY UNKNOWN\r\n";
    CHECK(reader.take(input) == Progress::Done);
    input = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n";
    CHECK(reader.take(input) == Progress::Done);
    CHECK(input.size() == 44);
    CHECK_FALSE(reader.header().announced);
}

}  // namespace
}  // namespace postfleet::proxy
