// PROXY headers of foreign making, whole, octet by octet and in two pieces: the same comes of all three, only the
// header is taken, and what it announces can be said again as a header that announces the same.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/proxy/header_reader.hpp"

using namespace postfleet;
using namespace postfleet::proxy;

namespace {

using Progress = HeaderReader::Progress;

struct Outcome {
    Progress progress = Progress::NeedsMore;
    std::size_t taken = 0;
    std::string client, server;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome read(std::string_view input, std::size_t first, std::size_t then) {
    HeaderReader reader;
    Outcome outcome;
    std::size_t size = first;
    while (outcome.taken < input.size() && outcome.progress == Progress::NeedsMore) {
        std::string_view piece = input.substr(outcome.taken, size);
        const std::size_t before = piece.size();
        outcome.progress = reader.take(piece);
        outcome.taken += before - piece.size();
        require(outcome.progress != Progress::NeedsMore || piece.empty());
        size = then;
    }
    require((outcome.progress == Progress::Malformed) == !reader.problem().empty());
    if (outcome.progress == Progress::Malformed) outcome.taken = 0;  // the connection ends: what is left is nobody's
    if (outcome.progress != Progress::Done || !reader.header().announced) return outcome;
    outcome.client = reader.header().announced->client.to_string();
    outcome.server = reader.header().announced->server.to_string();
    return outcome;
}

}  // namespace

void fuzz_proxy_header(std::span<const std::byte> input) {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    const Outcome whole = read(text, std::string_view::npos, std::string_view::npos);
    require(read(text, 1, 1) == whole);
    require(read(text, 1 + text.size() / 2, std::string_view::npos) == whole);
    if (whole.client.empty()) return;
    const Endpoint client = *Endpoint::parse(whole.client), server = *Endpoint::parse(whole.server);
    if (client.address.v6 != server.address.v6) return;  // one of them was a mapped IPv4 address
    const std::string again = std::string("PROXY TCP") + (client.address.v6 ? "6 " : "4 ") +
                              client.address.to_string() + " " + server.address.to_string() + " " +
                              std::to_string(client.port) + " " + std::to_string(server.port) + "\r\n";
    const Outcome second = read(again, std::string_view::npos, std::string_view::npos);
    require(second.progress == Progress::Done && second.client == whole.client && second.server == whole.server);
}
