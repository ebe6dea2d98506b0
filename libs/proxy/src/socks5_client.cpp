#include "postfleet/proxy/socks5_client.hpp"

#include <algorithm>

#include "postfleet/base/require.hpp"

namespace postfleet::proxy {

namespace {

constexpr char kVersion = 5, kLoginVersion = 1;
constexpr unsigned kNoLogin = 0, kLogin = 2, kNoneAcceptable = 0xff;
constexpr char kConnect = 1, kBind = 2;
constexpr unsigned kIpv4 = 1, kName = 3, kIpv6 = 4;
constexpr std::size_t kFixedPart = 4, kPort = 2;

// RFC 1928 §6.
std::string_view meaning_of(unsigned reply) {
    switch (reply) {
        case 1: return "general failure";
        case 2: return "not allowed by its rules";
        case 3: return "network unreachable";
        case 4: return "host unreachable";
        case 5: return "connection refused";
        case 6: return "TTL expired";
        case 7: return "command not supported";
        case 8: return "address type not supported";
        default: return "an unknown reply";
    }
}

void append_address(std::string& out, const Endpoint& to) {
    out += static_cast<char>(to.address.v6 ? kIpv6 : kIpv4);
    out.append(reinterpret_cast<const char*>(to.address.octets.data()), to.address.v6 ? 16 : 4);
    out += static_cast<char>(to.port >> 8);
    out += static_cast<char>(to.port & 0xff);
}

}  // namespace

void Socks5Client::begin(std::string& out) {
    require(request_.user.size() <= 255 && request_.password.size() <= 255);
    const bool may_log_in = !request_.user.empty();
    out += kVersion;
    out += static_cast<char>(may_log_in ? 2 : 1);
    out += static_cast<char>(kNoLogin);
    if (may_log_in) out += static_cast<char>(kLogin);
}

// How long the answer is, as far as what has come of it tells.
std::size_t Socks5Client::wanted() const {
    if (state_ == State::Methods || state_ == State::Login) return 2;
    if (answer_.size() < kFixedPart + 1) return kFixedPart + 1;
    switch (octet(3)) {
        case kIpv4: return kFixedPart + 4 + kPort;
        case kIpv6: return kFixedPart + 16 + kPort;
        case kName: return kFixedPart + 1 + octet(4) + kPort;
        default: return kFixedPart + 1;  // on_command() refuses it
    }
}

Socks5Client::Step Socks5Client::on_octets(std::string_view& input, std::string& out) {
    require(state_ != State::Done);
    while (!input.empty()) {
        const std::size_t taken = std::min(wanted() - answer_.size(), input.size());
        answer_.append(input.substr(0, taken));
        input.remove_prefix(taken);
        if (answer_[0] != (state_ == State::Login ? kLoginVersion : kVersion)) {
            return fail(Fault::Proxy, "the proxy does not speak SOCKS5");
        }
        if (answer_.size() < wanted()) continue;
        const Step step = on_answer(out);
        answer_.clear();
        if (step != Step::NeedsMore) return step;
    }
    return Step::NeedsMore;
}

Socks5Client::Step Socks5Client::on_answer(std::string& out) {
    switch (state_) {
        case State::Methods: return on_method(out);
        case State::Login: return on_login(out);
        case State::Bind:
        case State::Connect: return on_command(out);
        case State::Done: break;
    }
    require(false);
    return Step::Failed;
}

Socks5Client::Step Socks5Client::on_method(std::string& out) {
    const unsigned method = octet(1);
    if (method == kLogin && !request_.user.empty()) {
        write_login(out);
        state_ = State::Login;
        return Step::NeedsMore;
    }
    if (method == kNoLogin) {
        next_command(out);
        return Step::NeedsMore;
    }
    return fail(Fault::Proxy, method == kNoneAcceptable && request_.user.empty()
                                  ? "the proxy wants a user and a password"
                                  : "the proxy takes no way to log in that we have");
}

void Socks5Client::write_login(std::string& out) {
    out += kLoginVersion;
    out += static_cast<char>(request_.user.size());
    out += request_.user;
    out += static_cast<char>(request_.password.size());
    out += request_.password;
}

Socks5Client::Step Socks5Client::on_login(std::string& out) {
    if (octet(1) != 0) return fail(Fault::Proxy, "the proxy refused the user or the password");
    next_command(out);
    return Step::NeedsMore;
}

void Socks5Client::next_command(std::string& out) {
    const bool bind = request_.source && state_ != State::Bind;
    state_ = bind ? State::Bind : State::Connect;
    out += kVersion;
    out += bind ? kBind : kConnect;
    out += '\0';
    append_address(out, bind ? Endpoint{*request_.source, 0} : request_.target);
}

Socks5Client::Step Socks5Client::on_command(std::string& out) {
    const unsigned reply = octet(1);
    if (reply != 0) {
        const std::string why = "the proxy answered: " + std::string(meaning_of(reply));
        if (state_ == State::Bind) return fail(reply == 7 ? Fault::Proxy : Fault::Source, why + " (BIND)");
        return fail(reply >= 1 && reply <= 6 ? Fault::Target : Fault::Proxy, why);
    }
    const unsigned type = octet(3);
    if (type != kIpv4 && type != kIpv6 && type != kName) return fail(Fault::Proxy, "the proxy does not speak SOCKS5");
    if (state_ == State::Bind) {
        next_command(out);
        return Step::NeedsMore;
    }
    if (type != kName) {
        IpAddress address;
        address.v6 = type == kIpv6;
        std::copy_n(answer_.begin() + kFixedPart, address.v6 ? 16 : 4, address.octets.begin());
        if (!address.is_unspecified()) bound_ = address;
    }
    state_ = State::Done;
    return Step::Connected;
}

Socks5Client::Step Socks5Client::fail(Fault fault, std::string problem) {
    fault_ = fault;
    problem_ = std::move(problem);
    state_ = State::Done;
    return Step::Failed;
}

}  // namespace postfleet::proxy
