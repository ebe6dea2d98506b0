// TlsClient, SecureStream (ports): TLS over a connected stream, from the client's side (RFC 3207, RFC 7817, RFC 7672).
//
// secure() takes a stream that is up, also from inside its callbacks, and gives one that is TLS: on_connected() when
// the handshake is done and the server is who it has to be, on_closed(TlsFailed) when not. Nothing that comes in clear
// after the call reaches the handler. What came before it and was not looked at is the caller's to refuse.
//
// Authentication: Any takes whatever certificate comes, and the facts say whether it would have passed. Verified:
// the chain leads to a trusted CA and one of the names is in it (RFC 6125). Dane: one of the TLSA records matches, with
// names where their usage asks for them; a record that cannot be used is passed over; none usable: the call fails.
//
// Sessions are resumed for connections with the same session key and the same demands, never across different ones.
//
// Threads: confined to the executor of the streams. Errors of secure(): a certificate file that cannot be used, or a
// name that is none; the stream is closed then.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/ports/resolver.hpp"
#include "postfleet/ports/transport.hpp"

namespace postfleet {

enum class TlsVersion : std::uint8_t { Tls12, Tls13 };
enum class TlsAuthentication : std::uint8_t { Any, Verified, Dane };

// What holds for many connections: one context is made for all with equal rules, and read again after a reload.
struct TlsRules {
    std::string ca_file;                             // PEM; empty: the system's
    std::string certificate_file, private_key_file;  // of our own, for servers that ask; empty: none
    std::string tls12_ciphers;                       // as OpenSSL writes them; empty: the default
    TlsVersion lowest_version = TlsVersion::Tls12;
    friend bool operator==(const TlsRules&, const TlsRules&) = default;
};

struct TlsRequest {
    const TlsRules& rules;
    std::string server_name;              // SNI, and a name that may match; an address is matched but not sent
    std::vector<std::string> names = {};  // others that may match instead
    TlsAuthentication authentication = TlsAuthentication::Any;
    std::vector<TlsaRecord> tlsa = {};  // Dane
    std::string session_key = {};       // empty: no session is kept or used
    SteadyTime deadline = SteadyTime::max();
};

// Why a handshake failed, as TLS reports tell it apart (RFC 8460 §4.3).
enum class TlsFailure : std::uint8_t {
    None,
    CertificateExpired,
    CertificateHostMismatch,
    CertificateNotTrusted,
    CertificateInvalid,  // any other reason to refuse the peer's certificate
    NothingInCommon,     // protocol version, cipher or group
    Refused,             // the peer sent an alert
    NotTls,              // what came is no TLS record
    PeerClosed,          // the connection ended in the middle
    TimedOut,
    Other,
};

struct TlsFacts {
    std::string protocol;  // "TLSv1.3"
    std::string cipher;    // "TLS_AES_128_GCM_SHA256"
    bool is_resumed = false;
    bool is_verified = false;
    TlsFailure verification = TlsFailure::None;  // what is wrong with the certificate, if it is not verified
    std::string why_not_verified;
};

class SecureStream : public Stream {
public:
    // Between on_connected and the end; a bug at other times.
    virtual TlsFacts security() const = 0;
    // None while TLS has not failed.
    virtual TlsFailure failure() const = 0;
};

class TlsClient {
public:
    virtual ~TlsClient() = default;
    virtual Result<std::unique_ptr<SecureStream>> secure(std::unique_ptr<Stream> plain, const TlsRequest& request,
                                                         StreamHandler& handler) = 0;
};

}  // namespace postfleet
