#include "client_session.hpp"

#include <utility>

#include "session_cache.hpp"

namespace postfleet::tls {

namespace {

int place_index() {
    static const int index = SSL_get_ex_new_index(
        0, nullptr, nullptr, nullptr,
        [](void*, void* place, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<SessionPlace*>(place); });
    return index;
}

}  // namespace

SessionPlace* session_place(const SSL* ssl) { return static_cast<SessionPlace*>(SSL_get_ex_data(ssl, place_index())); }

bool set_session_place(SSL* ssl, SessionPlace place) {
    auto owned = std::make_unique<SessionPlace>(std::move(place));
    if (SSL_set_ex_data(ssl, place_index(), owned.get()) != 1) return false;
    owned.release();
    return true;
}

int on_new_session(SSL* ssl, SSL_SESSION* session) {
    const SessionPlace* place = session_place(ssl);
    if (place == nullptr || SSL_SESSION_is_resumable(session) != 1) return 0;
    // A copy: this connection goes on working with the original.
    if (SessionPointer copy(SSL_SESSION_dup(session)); copy != nullptr) place->cache->put(place->key, std::move(copy));
    return 0;
}

void forget_session(const SSL* ssl) {
    if (const SessionPlace* place = session_place(ssl)) place->cache->forget(place->key);
}

}  // namespace postfleet::tls
