// A hostile proxy: everything it says goes to a SOCKS5 client, whole and octet by octet, with the same end. The client
// never spins, never takes more than a handshake, and writes no more than its own commands.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/proxy/socks5_client.hpp"

using namespace postfleet;
using proxy::Socks5Client;

namespace {

struct Outcome {
    Socks5Client::Step step = Socks5Client::Step::NeedsMore;
    std::size_t taken = 0;
    std::string out;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome talk(const proxy::Socks5Request& request, std::string_view octets, std::size_t at_once) {
    Socks5Client client(request);
    Outcome outcome;
    client.begin(outcome.out);
    while (outcome.taken < octets.size() && outcome.step == Socks5Client::Step::NeedsMore) {
        std::string_view piece = octets.substr(outcome.taken, at_once);
        const std::size_t before = piece.size();
        outcome.step = client.on_octets(piece, outcome.out);
        outcome.taken += before - piece.size();
    }
    require(outcome.taken <= 2 + 2 + 262 + 262);
    require((outcome.step == Socks5Client::Step::Failed) == !client.problem().empty());
    require(outcome.out.size() <= 4 + 12 + 22 + 22);
    if (outcome.step == Socks5Client::Step::Failed)
        outcome.taken = 0;  // what is wrong is found at once, or a little later
    return outcome;
}

}  // namespace

void fuzz_socks5(std::span<const std::byte> input) {
    const std::string_view octets(reinterpret_cast<const char*>(input.data()), input.size());
    proxy::Socks5Request request{
        .target = Endpoint::parse("192.0.2.1:25").value(), .source = {}, .user = {}, .password = {}};
    require(talk(request, octets, octets.size() + 1) == talk(request, octets, 1));
    request.user = "mta";
    request.password = "secret";
    request.source = IpAddress::parse("192.0.2.10").value();
    require(talk(request, octets, octets.size() + 1) == talk(request, octets, 1));
}
