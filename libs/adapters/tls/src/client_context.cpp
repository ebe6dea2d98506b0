#include "postfleet/tls/client_context.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <utility>

#include "client_session.hpp"
#include "context.hpp"
#include "openssl_error.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/text.hpp"
#include "session_cache.hpp"

namespace postfleet::tls {

namespace {

// 2: 112 bits, what Debian asks of everybody; 1: 80 bits, also SHA-1 signatures and RSA of 1024 bits. Where
// any certificate will do, weak cryptography is still better than the plain text that would follow.
constexpr int kStrongLevel = 2, kLenientLevel = 1;

constexpr std::size_t kMaxNameOctets = 255;

Error bad_name(const std::string& name) {
    return {ErrorKind::InvalidArgument, fmt::format("\"{}\" cannot be the name of a TLS server", printable(name, 255))};
}

std::string_view without_dot(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    return name;
}

bool is_name(std::string_view name) {
    return !name.empty() && name.size() <= kMaxNameOctets && name.find('\0') == std::string_view::npos;
}

Status name_peer(SSL* ssl, const ClientRequest& request) {
    const std::string name(without_dot(request.server_name));
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
    if (name.empty()) return {};
    if (IpAddress::parse(name)) {
        if (X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) != 1) return bad_name(name);
    } else {
        X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (!is_name(name) || X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size()) != 1 ||
            SSL_set_tlsext_host_name(ssl, name.c_str()) != 1) {
            ERR_clear_error();
            return bad_name(name);
        }
    }
    for (const std::string& text : request.other_names) {
        const std::string_view other = without_dot(text);
        if (!is_name(other) || X509_VERIFY_PARAM_add1_host(rules, other.data(), other.size()) != 1) {
            ERR_clear_error();
            return bad_name(text);
        }
    }
    return {};
}

// RFC 7672 §3.1.3: PKIX-TA(0) and PKIX-EE(1) are unusable for SMTP; OpenSSL would use them.
bool is_for_smtp(const TlsaRecord& record) { return record.usage == 2 || record.usage == 3; }

// Before the names are set: OpenSSL makes the base domain the only one.
Status use_tlsa(SSL* ssl, const ClientRequest& request) {
    const std::string base(without_dot(request.server_name));
    if (!is_name(base) || SSL_dane_enable(ssl, base.c_str()) != 1) {
        ERR_clear_error();
        return bad_name(base);
    }
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    int usable = 0;
    for (const TlsaRecord& record : request.tlsa) {
        if (!is_for_smtp(record)) continue;
        const auto* octets = reinterpret_cast<const unsigned char*>(record.association.data());
        const int added = SSL_dane_tlsa_add(ssl, record.usage, record.selector, record.matching_type, octets,
                                            record.association.size());
        if (added > 0) ++usable;
        ERR_clear_error();
    }
    if (usable == 0) return Error{ErrorKind::InvalidArgument, "none of the TLSA records can be used"};
    return {};
}

std::string session_key_of(const ClientRequest& request) {
    std::string key = fmt::format("{}\n{}\n{}", static_cast<int>(request.authentication),
                                  to_ascii_lower(without_dot(request.server_name)), request.session_key);
    if (request.authentication == Authentication::Any) return key;
    for (const std::string& name : request.other_names) key += "\n" + to_ascii_lower(without_dot(name));
    for (const TlsaRecord& record : request.tlsa) {
        key += fmt::format("\n{} {} {} {} ", record.usage, record.selector, record.matching_type,
                           record.association.size());
        key += record.association;
    }
    return key;
}

}  // namespace

void ClientContext::FreeContext::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

ClientContext::~ClientContext() = default;

Result<std::unique_ptr<ClientContext>> ClientContext::load(const ClientSettings& settings) {
    Result<ContextPointer> made = make_context(
        TLS_client_method(),
        {settings.lowest_protocol, settings.highest_protocol, settings.tls12_ciphers, settings.tls13_ciphers});
    if (!made) return made.error();
    SSL_CTX* context = made->get();
    if (!settings.certificate_file.empty()) {
        Result<LoadedIdentity> identity =
            load_identity(context, {settings.certificate_file, settings.private_key_file});
        if (!identity) return identity.error();
    }
    if (!settings.ca_file.empty()) {
        if (Status loaded = load_ca_file(context, "CA file", settings.ca_file); !loaded) return loaded.error();
    } else if (SSL_CTX_set_default_verify_paths(context) != 1) {
        return Error{ErrorKind::Unavailable, "the system's CA certificates cannot be read: " + take_openssl_error()};
    }
    if (SSL_CTX_dane_enable(context) != 1) return Error{ErrorKind::Internal, "OpenSSL: " + take_openssl_error()};
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_new_session);
    std::unique_ptr<ClientContext> client(new ClientContext());
    client->context_.reset(made->release());
    client->cache_ = std::make_shared<SessionCache>(settings.max_sessions);
    return client;
}

std::size_t ClientContext::sessions() const { return cache_->size(); }

Result<SslPointer> ClientContext::new_ssl(const ClientRequest& request) const {
    ERR_clear_error();
    SslPointer ssl(SSL_new(context_.get()));
    if (ssl == nullptr) return Error{ErrorKind::Internal, "OpenSSL: " + take_openssl_error()};
    SSL_set_connect_state(ssl.get());
    const bool is_checked = request.authentication != Authentication::Any;
    if (is_checked && without_dot(request.server_name).empty()) {
        return Error{ErrorKind::InvalidArgument, "a server can only be verified by its name or address"};
    }
    if (request.authentication == Authentication::Dane) {
        if (Status used = use_tlsa(ssl.get(), request); !used) return used.error();
    }
    if (Status named = name_peer(ssl.get(), request); !named) return named.error();
    SSL_set_verify(ssl.get(), is_checked ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    SSL_set_security_level(ssl.get(), is_checked ? kStrongLevel : kLenientLevel);
    if (request.session_key.empty()) return ssl;
    const std::string key = session_key_of(request);
    if (const SessionPointer session = cache_->get(key)) SSL_set_session(ssl.get(), session.get());
    if (!set_session_place(ssl.get(), {cache_, key})) {
        return Error{ErrorKind::Internal, "OpenSSL: " + take_openssl_error()};
    }
    return ssl;
}

}  // namespace postfleet::tls
