#include "postfleet/tls/server_context.hpp"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <cstring>
#include <utility>

#include "context.hpp"
#include "openssl_error.hpp"
#include "pem_file.hpp"

namespace postfleet::tls {

struct ServerContext::Loaded {
    ContextPointer context;
    LoadReport report;
};

namespace {

using SharedKeys = std::shared_ptr<TicketKeys>;

// The OpenSSL context owns one of these, because connections hold the context longer than we do.
int ticket_keys_index() {
    static const int index = SSL_CTX_get_ex_new_index(
        0, nullptr, nullptr, nullptr,
        [](void*, void* keys, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<SharedKeys*>(keys); });
    return index;
}

bool use_key(const TicketKey& key, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing) {
    // OpenSSL takes the parameters as non-const and does not change them.
    char digest[] = "SHA256";
    auto* mac_key = const_cast<std::uint8_t*>(key.mac_key.data());
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key, key.mac_key.size()),
                                     OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                     OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, parameters) == 1 &&
           EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher_key.data(), iv, sealing) == 1;
}

// RFC 5077 §4; the meaning of what is returned: SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing) {
    constexpr int kFailed = -1, kNotOurs = 0, kUse = 1, kUseAndRenew = 2;
    TicketKeys& keys = **static_cast<SharedKeys*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ticket_keys_index()));
    if (sealing == 1) {
        const std::optional<TicketKey> key = keys.to_seal(steady_clock_now());
        if (!key || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return kFailed;
        std::memcpy(name, key->name.data(), key->name.size());
        return use_key(*key, iv, cipher, mac, sealing) ? kUse : kFailed;
    }
    const std::span<const std::uint8_t, 16> wanted(name, 16);
    const std::optional<TicketKeys::Found> found = keys.to_open(wanted, steady_clock_now());
    if (!found) return kNotOurs;
    if (!use_key(found->key, iv, cipher, mac, sealing)) return kFailed;
    return found->is_newest ? kUse : kUseAndRenew;
}

Status use_tickets(SSL_CTX* context, const ServerSettings& settings, const SharedKeys& tickets) {
    auto keys = std::make_unique<SharedKeys>(tickets);
    if (SSL_CTX_set_ex_data(context, ticket_keys_index(), keys.get()) != 1) {
        return Error{ErrorKind::Internal, "OpenSSL: " + take_openssl_error()};
    }
    keys.release();
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    // One is enough for clients that come back, and each costs the server an encryption and a record.
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_timeout(context, std::chrono::duration_cast<std::chrono::seconds>(settings.session_lifetime).count());
    return {};
}

// Sessions carry the result of verification, so one that was made under other rules must not resume.
Status use_session_scope(SSL_CTX* context, const ServerSettings& settings) {
    const auto mode = static_cast<unsigned char>(settings.client_certificates);
    EVP_MD_CTX* digest = EVP_MD_CTX_new();
    unsigned char scope[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    bool ok = digest != nullptr && EVP_DigestInit_ex(digest, EVP_sha256(), nullptr) == 1 &&
              EVP_DigestUpdate(digest, &mode, 1) == 1;
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    STACK_OF(X509)* authorities = X509_STORE_get1_all_certs(store);
    for (int i = 0; ok && i < sk_X509_num(authorities); ++i) {
        unsigned char fingerprint[EVP_MAX_MD_SIZE];
        unsigned length = 0;
        ok = X509_digest(sk_X509_value(authorities, i), EVP_sha256(), fingerprint, &length) == 1 &&
             EVP_DigestUpdate(digest, fingerprint, length) == 1;
    }
    sk_X509_pop_free(authorities, X509_free);
    ok = ok && EVP_DigestFinal_ex(digest, scope, &size) == 1;
    EVP_MD_CTX_free(digest);
    if (!ok || SSL_CTX_set_session_id_context(context, scope, SSL_MAX_SID_CTX_LENGTH) != 1) {
        return Error{ErrorKind::Internal, "OpenSSL: " + take_openssl_error()};
    }
    return {};
}

// Told to clients, so that they can choose the right certificate; not all of a system's bundle, which would be 15 KiB.
void name_authorities(SSL_CTX* context) {
    constexpr int kMaxNamed = 20;
    STACK_OF(X509)* authorities = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(context));
    const int count = sk_X509_num(authorities);
    for (int i = 0; count <= kMaxNamed && i < count; ++i) SSL_CTX_add_client_CA(context, sk_X509_value(authorities, i));
    sk_X509_pop_free(authorities, X509_free);
}

Status use_client_certificates(SSL_CTX* context, const ServerSettings& settings) {
    if (settings.client_certificates == ClientCertificates::Ignore) return use_session_scope(context, settings);
    if (!settings.client_ca_file.empty()) {
        if (Status loaded = load_ca_file(context, "client CA file", settings.client_ca_file); !loaded) return loaded;
        name_authorities(context);
    } else if (settings.client_certificates == ClientCertificates::Require) {
        return Error{ErrorKind::InvalidArgument,
                     "client certificates are required, but there is no client CA file to verify them with"};
    }
    if (settings.client_certificates == ClientCertificates::Require) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    } else {
        // Whatever is wrong with it stays in the result of verification, and the handshake goes on.
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
    }
    return use_session_scope(context, settings);
}

}  // namespace

Result<std::shared_ptr<const ServerContext::Loaded>> ServerContext::load_files(
    const ServerSettings& settings, const std::shared_ptr<TicketKeys>& tickets) {
    Result<ContextPointer> made = make_context(
        TLS_server_method(),
        {settings.lowest_protocol, settings.highest_protocol, settings.tls12_ciphers, settings.tls13_ciphers});
    if (!made) return made.error();
    SSL_CTX* context = made->get();
    Result<LoadedIdentity> identity = load_identity(context, {settings.certificate_file, settings.private_key_file});
    if (!identity) return identity.error();
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") != 1) {
        return Error{ErrorKind::Internal, "OpenSSL: " + take_openssl_error()};
    }
    if (Status used = use_tickets(context, settings, tickets); !used) return used.error();
    if (Status used = use_client_certificates(context, settings); !used) return used.error();
    auto loaded = std::make_shared<Loaded>();
    loaded->context = std::move(*made);
    loaded->report = {std::move(identity->certificate), std::move(identity->warnings)};
    return std::shared_ptr<const Loaded>(std::move(loaded));
}

ServerContext::ServerContext(ServerSettings settings, std::shared_ptr<TicketKeys> tickets)
    : tickets_(std::move(tickets)), settings_(std::move(settings)) {}

ServerContext::~ServerContext() = default;

Result<std::unique_ptr<ServerContext>> ServerContext::load(ServerSettings settings) {
    auto tickets = std::make_shared<TicketKeys>(settings.ticket_key_rotation, settings.session_lifetime);
    std::unique_ptr<ServerContext> context(new ServerContext(std::move(settings), std::move(tickets)));
    Result<std::shared_ptr<const Loaded>> loaded = load_files(context->settings_, context->tickets_);
    if (!loaded) return loaded.error();
    context->loaded_ = std::move(*loaded);
    return context;
}

Result<LoadReport> ServerContext::reload() {
    ServerSettings settings;
    {
        const std::lock_guard lock(mutex_);
        settings = settings_;
    }
    return reload(std::move(settings));
}

Result<LoadReport> ServerContext::reload(ServerSettings settings) {
    Result<std::shared_ptr<const Loaded>> loaded = load_files(settings, tickets_);
    if (!loaded) return loaded.error();
    LoadReport report = (*loaded)->report;
    const std::lock_guard lock(mutex_);
    settings_ = std::move(settings);
    loaded_.swap(*loaded);  // the old one goes after the lock, or with its last connection
    return report;
}

LoadReport ServerContext::report() const {
    const std::lock_guard lock(mutex_);
    return loaded_->report;
}

SslPointer ServerContext::new_ssl() const {
    std::shared_ptr<const Loaded> loaded;
    {
        const std::lock_guard lock(mutex_);
        loaded = loaded_;
    }
    SslPointer ssl(SSL_new(loaded->context.get()));
    if (ssl != nullptr) SSL_set_accept_state(ssl.get());
    return ssl;
}

}  // namespace postfleet::tls
