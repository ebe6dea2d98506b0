// ServerContext: certificate, key and rules for the TLS connections that a listener accepts.
//
// TLS 1.2 and 1.3 only (RFC 8996), forward secrecy only, our order of ciphers, no compression, no
// renegotiation, no early data, no ALPN. Sessions resume from tickets (TicketKeys); no server-side cache.
//
// reload() reads the files again and takes the result for new connections; those that are up go on with what
// they have, and tickets stay good unless the rules for client certificates changed. If anything is wrong,
// nothing changes. A certificate that has expired, or that does not stand on its chain, still loads: mail
// that comes in badly certified is better than none. It is a warning.
//
// Client certificates: Request takes any certificate and the facts say whether it was verified, because a
// foreign server that shows an odd one must still be able to deliver; Require fails the handshake.
//
// Threads: thread-safe. load() and reload() read files and block on them: not on a shard.
// Errors: what is wrong with which file, and how to mend it. Streams may outlive the context.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/tls/facts.hpp"
#include "postfleet/tls/ssl_pointer.hpp"
#include "postfleet/tls/ticket_keys.hpp"

struct ssl_ctx_st;

namespace postfleet::tls {

enum class ClientCertificates : std::uint8_t { Ignore, Request, Require };

// Our order, used on both sides: AES-128 first, because it is a third faster and no weaker in practice.
inline constexpr const char* kDefaultTls13Ciphers =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
inline constexpr const char* kDefaultServerTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES256:ECDHE+AES";

struct ServerSettings {
    std::string certificate_file;  // PEM: the certificate, then its chain, without the root
    std::string private_key_file;  // PEM, not encrypted; may be the same file
    Protocol lowest_protocol = Protocol::Tls12;
    Protocol highest_protocol = Protocol::Tls13;
    std::string tls12_ciphers = kDefaultServerTls12Ciphers;  // OpenSSL's notation
    std::string tls13_ciphers = kDefaultTls13Ciphers;
    ClientCertificates client_certificates = ClientCertificates::Ignore;
    std::string client_ca_file;  // PEM bundle; empty: no client certificate can be verified
    Duration session_lifetime = std::chrono::hours(6);
    Duration ticket_key_rotation = std::chrono::hours(1);
};

struct LoadReport {
    CertificateFacts certificate;
    std::vector<std::string> warnings;
};

class ServerContext final {
public:
    static Result<std::unique_ptr<ServerContext>> load(ServerSettings settings);
    ~ServerContext();
    ServerContext(const ServerContext&) = delete;
    ServerContext& operator=(const ServerContext&) = delete;

    // From the same files, or by other settings. Lifetimes stay as they were first given.
    Result<LoadReport> reload();
    Result<LoadReport> reload(ServerSettings settings);

    // Of what is in use now.
    LoadReport report() const;

private:
    friend class TlsStream;
    struct Loaded;

    ServerContext(ServerSettings settings, std::shared_ptr<TicketKeys> tickets);
    static Result<std::shared_ptr<const Loaded>> load_files(const ServerSettings& settings,
                                                            const std::shared_ptr<TicketKeys>& tickets);
    SslPointer new_ssl() const;

    const std::shared_ptr<TicketKeys> tickets_;  // shared with every OpenSSL context made here
    mutable std::mutex mutex_;
    ServerSettings settings_;
    std::shared_ptr<const Loaded> loaded_;  // shared with whoever makes a connection during a reload
};

}  // namespace postfleet::tls
