// How a client's connection finds its remembered session, and leaves one behind.
#pragma once

#include <memory>
#include <string>

#include "openssl_types.hpp"

namespace postfleet::tls {

class SessionCache;

// What OpenSSL's callback needs; owned by the SSL object.
struct SessionPlace {
    std::shared_ptr<SessionCache> cache;  // shared because connections may outlive their context
    std::string key;
};

// Null for a server's connection, and where no session is to be kept.
SessionPlace* session_place(const SSL* ssl);
bool set_session_place(SSL* ssl, SessionPlace place);
// The callback of SSL_CTX_sess_set_new_cb.
int on_new_session(SSL* ssl, SSL_SESSION* session);
// After a handshake that failed: the session may be why.
void forget_session(const SSL* ssl);

}  // namespace postfleet::tls
