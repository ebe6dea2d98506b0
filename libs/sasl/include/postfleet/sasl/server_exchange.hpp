// ServerExchange: the server's side of one AUTH command (RFC 4422, RFC 4954 §4).
//
// Sans-IO. The driver feeds in what stands behind AUTH MECHANISM and every further line, and carries out the step:
//
//   Challenge      send "334 " and the text, read a line, receive() it
//   CheckPassword  have user() and password() checked, resume() with the verdict. An unknown user too
//   FindKeys       look up the SCRAM keys of user(), resume() with them; null if there is no such user, or no keys
//   Succeeded      235; user() is who it is
//   Failed         reply_of() the failure
//
//   Plain    [Response] → CheckPassword → Succeeded | Failed
//   Login    [UserName] → [Password] → CheckPassword → …
//   Scram    [ClientFirst] → FindKeys → ClientFinal → Acknowledgement → Succeeded
//
// An initial response saves the first round. Failed and Succeeded are the end; calling then is a bug.
// What cannot be told apart from outside, and why: README.md.
//
// Borrows the rules, which outlive it. Threads: confined to its driver. Units: octets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/digests.hpp"
#include "postfleet/base/secret.hpp"
#include "postfleet/base/stored_password.hpp"
#include "postfleet/mail/reply.hpp"
#include "postfleet/sasl/mechanism.hpp"

namespace postfleet::sasl {

inline constexpr std::size_t kMaxLineOctets = 12'288;
inline constexpr std::size_t kMaxNameOctets = 255;
inline constexpr std::size_t kMaxPasswordOctets = 1024;
inline constexpr std::size_t kMaxClientNonceOctets = 128;

struct ServerRules {
    const Digests& digests;
    // Of unknown users; the secret is the same on every shard and host and after every restart, at least 16 octets.
    std::string decoy_secret;
    std::uint32_t decoy_iterations = ScramKeys::kMinIterations;
};

// What of this connection can be bound to (tls::TlsStream); empty: nothing. `is_offered`: -PLUS stood in the list.
struct ChannelBinding {
    std::string exporter;
    std::string server_end_point;
    bool is_offered = false;
};

enum class Failure : std::uint8_t {
    Malformed,  // not base64, or not a message of the mechanism
    TooLong,
    Cancelled,  // "*"
    Rejected,   // wrong, and nothing more is said
    Busy,       // no check was made
};
Reply reply_of(Failure failure);

struct ServerStep {
    enum class Kind : std::uint8_t { Challenge, CheckPassword, FindKeys, Succeeded, Failed };
    Kind kind = Kind::Failed;
    std::string challenge;  // base64
    Failure failure = Failure::Rejected;
};

class ServerExchange final {
public:
    // `nonce`: of this exchange alone, 18 random octets or more in base64; only SCRAM uses it.
    ServerExchange(Mechanism mechanism, const ServerRules& rules, std::string_view nonce, ChannelBinding binding = {});
    ~ServerExchange();
    ServerExchange(const ServerExchange&) = delete;
    ServerExchange& operator=(const ServerExchange&) = delete;

    // As it stood behind the mechanism's name; nothing: there was none; "=": it is empty.
    ServerStep begin(std::optional<std::string_view> initial_response);
    ServerStep receive(std::string_view line);  // without CRLF
    ServerStep resume(PasswordVerdict verdict);
    ServerStep resume(const ScramKeys* keys);

    Mechanism mechanism() const { return mechanism_; }
    // Who it claims to be; from CheckPassword and FindKeys on.
    const std::string& user() const { return user_; }
    // For the check; the exchange keeps none.
    Secret take_password() { return std::move(password_); }

private:
    enum class State : std::uint8_t {
        Begin,
        Response,
        UserName,
        Password,
        ClientFirst,
        ClientFinal,
        Acknowledgement,
        Asking,
        Over
    };

    ServerStep decode(std::string_view text);
    ServerStep take(std::string_view message);
    ServerStep take_plain(std::string_view message);
    ServerStep take_password(std::string_view message);
    ServerStep take_client_first(std::string_view message);
    ServerStep take_client_final(std::string_view message);
    bool may_bind(std::string_view flag);
    ScramKeys decoy() const;
    ServerStep ask(ServerStep::Kind what);
    ServerStep challenge(std::string_view message, State next);
    ServerStep fail(Failure failure);

    const Mechanism mechanism_;
    const ServerRules& rules_;
    ChannelBinding binding_;
    State state_ = State::Begin;
    std::string user_;
    Secret password_;
    bool may_succeed_ = true;  // false: goes through all steps and is rejected

    std::string nonce_;  // ours, then the client's and ours
    ScramKeys keys_;
    std::string bound_;        // what the client must repeat in c=: GS2 header and channel binding
    std::string signed_text_;  // AuthMessage as far as it is known (RFC 5802 §3)
};

}  // namespace postfleet::sasl
