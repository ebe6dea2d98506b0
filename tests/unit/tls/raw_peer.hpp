// RawPeer: a TLS peer made of nothing but OpenSSL and two memory BIOs, that can do what TlsStream never would.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "support.hpp"

namespace postfleet::tls {

class RawPeer {
public:
    RawPeer() : context_(SSL_CTX_new(TLS_client_method())) {
        SSL_CTX_set_security_level(context_, 0);
        SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
    }
    ~RawPeer() {
        SSL_free(ssl);
        SSL_CTX_free(context_);
    }
    RawPeer(const RawPeer&) = delete;
    RawPeer& operator=(const RawPeer&) = delete;

    void open(int lowest_version, int highest_version, const char* ciphers = "ALL:@SECLEVEL=0") {
        ssl = SSL_new(context_);
        SSL_set_min_proto_version(ssl, lowest_version);
        SSL_set_max_proto_version(ssl, highest_version);
        SSL_set_cipher_list(ssl, ciphers);
        in_ = BIO_new(BIO_s_mem());
        out_ = BIO_new(BIO_s_mem());
        SSL_set_bio(ssl, in_, out_);
        SSL_set_connect_state(ssl);
        SSL_do_handshake(ssl);
    }
    std::string take() {
        const char* octets = nullptr;
        const long size = BIO_get_mem_data(out_, &octets);
        std::string taken(octets, static_cast<std::size_t>(size));
        BIO_reset(out_);
        return taken;
    }
    void give(std::string_view octets) { BIO_write(in_, octets.data(), static_cast<int>(octets.size())); }
    // What could be decrypted; carries handshakes on as a side effect.
    std::string read() {
        std::string all;
        char part[4096];
        std::size_t got = 0;
        while (SSL_read_ex(ssl, part, sizeof part, &got) == 1) all.append(part, got);
        return all;
    }
    // Speaks to a server's end over memory until both are silent.
    void talk(MemoryStream::Record& wire) {
        for (;;) {
            const std::string ours = take();
            if (!ours.empty() && !wire.is_closed) wire.handler->on_data(ours);
            const std::string theirs = std::exchange(wire.written, {});
            if (!theirs.empty()) give(theirs);
            if (ours.empty() && theirs.empty()) return;
            received += read();
        }
    }

    SSL* ssl = nullptr;
    std::string received;

private:
    SSL_CTX* context_;
    BIO* in_ = nullptr;
    BIO* out_ = nullptr;
};

}  // namespace postfleet::tls
