// ClientContext: trust, rules and remembered sessions for the TLS connections that we open (RFC 3207, RFC 7817).
//
// Any: whatever certificate the server shows will do, also a weak one, because the alternative is plain text;
// the facts say whether it would have passed. Verified: the chain must lead to a CA of ours and the name (or
// address, or one of the other names) must match, or the handshake fails. Dane: a TLSA record must match (RFC 7672
// §3.1): DANE-EE(3) without names and dates, DANE-TA(2) with both; PKIX usages are passed over. What "may", "require"
// and policies make of a failure is the caller's.
//
// Sessions are kept per (session key, names, authentication, TLSA records), the newest one, and used by as many
// connections as come: a session that was made under other demands never serves. A server that does not want a
// session makes a full handshake instead.
//
// Threads: thread-safe; immutable but for the sessions. load() reads files and blocks on them. A changed CA
// file takes a new context. Streams may outlive the context. Errors: which file, and what is wrong with it.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/tls/facts.hpp"
#include "postfleet/tls/server_context.hpp"
#include "postfleet/tls/ssl_pointer.hpp"

namespace postfleet::tls {

// Wider than the server's: what other people's mail servers run is not ours to choose.
inline constexpr const char* kDefaultClientTls12Ciphers =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:RSA+AES:!aNULL:!eNULL";

struct ClientSettings {
    std::string ca_file;           // PEM bundle; empty: the system's
    std::string certificate_file;  // of our own, for servers that ask; empty: none
    std::string private_key_file;
    Protocol lowest_protocol = Protocol::Tls12;
    Protocol highest_protocol = Protocol::Tls13;
    std::string tls12_ciphers = kDefaultClientTls12Ciphers;
    std::string tls13_ciphers = kDefaultTls13Ciphers;
    std::size_t max_sessions = 2'000;  // 4 to 10 KiB each, mostly the server's certificates; 0: none kept
};

using Authentication = TlsAuthentication;

struct ClientRequest {
    // Name for SNI and to match; an address ("192.0.2.1") is matched but not sent. Empty: nothing to match.
    std::string server_name;
    Authentication authentication = Authentication::Any;
    // Connections with the same key may share a session: peer, and whatever else must not be mixed.
    // Empty: no session is kept or used.
    std::string session_key;
    std::vector<std::string> other_names = {};  // that may match as well
    std::vector<TlsaRecord> tlsa = {};          // Dane
};

class SessionCache;

class ClientContext final {
public:
    static Result<std::unique_ptr<ClientContext>> load(const ClientSettings& settings);
    ~ClientContext();
    ClientContext(const ClientContext&) = delete;
    ClientContext& operator=(const ClientContext&) = delete;

    std::size_t sessions() const;  // kept now

private:
    friend class TlsStream;
    struct FreeContext {
        void operator()(ssl_ctx_st* context) const;
    };

    ClientContext() = default;
    Result<SslPointer> new_ssl(const ClientRequest& request) const;

    std::unique_ptr<ssl_ctx_st, FreeContext> context_;
    std::shared_ptr<SessionCache> cache_;  // shared with the connections, which may outlive us
};

}  // namespace postfleet::tls
