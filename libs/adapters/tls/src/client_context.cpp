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

Status name_peer(SSL* ssl, std::string_view name) {
    if (name.empty()) return {};
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
    const std::string text(name);
    if (IpAddress::parse(name)) {
        if (X509_VERIFY_PARAM_set1_ip_asc(rules, text.c_str()) != 1) return bad_name(text);
        return {};
    }
    if (name.size() > kMaxNameOctets || name.find('\0') != std::string_view::npos) return bad_name(text);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size()) != 1 ||
        SSL_set_tlsext_host_name(ssl, text.c_str()) != 1) {
        ERR_clear_error();
        return bad_name(text);
    }
    return {};
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
    std::string_view name = request.server_name;
    if (name.ends_with('.')) name.remove_suffix(1);
    if (Status named = name_peer(ssl.get(), name); !named) return named.error();
    const bool is_verified = request.authentication == Authentication::Verified;
    if (is_verified && name.empty()) {
        return Error{ErrorKind::InvalidArgument, "a server can only be verified by its name or address"};
    }
    SSL_set_verify(ssl.get(), is_verified ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    SSL_set_security_level(ssl.get(), is_verified ? kStrongLevel : kLenientLevel);
    if (request.session_key.empty()) return ssl;
    const std::string key =
        fmt::format("{}\n{}\n{}", is_verified ? 'v' : 'a', to_ascii_lower(name), request.session_key);
    if (const SessionPointer session = cache_->get(key)) SSL_set_session(ssl.get(), session.get());
    if (!set_session_place(ssl.get(), {cache_, key})) {
        return Error{ErrorKind::Internal, "OpenSSL: " + take_openssl_error()};
    }
    return ssl;
}

}  // namespace postfleet::tls
