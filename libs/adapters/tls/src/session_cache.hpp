// SessionCache: the newest session of each key, for clients; the least recently used one goes first.
//
// Threads: thread-safe. A session that is handed out is a copy: OpenSSL marks the ones it works with.
#pragma once

#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "openssl_types.hpp"

namespace postfleet::tls {

class SessionCache final {
public:
    explicit SessionCache(std::size_t capacity) : capacity_(capacity) {}

    void put(const std::string& key, SessionPointer session);
    SessionPointer get(const std::string& key);
    void forget(const std::string& key);
    std::size_t size() const;

private:
    struct Entry {
        std::string key;
        SessionPointer session;
    };

    const std::size_t capacity_;
    mutable std::mutex mutex_;
    std::list<Entry> entries_;                                                 // most recently used first
    std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;  // views of Entry::key
};

}  // namespace postfleet::tls
