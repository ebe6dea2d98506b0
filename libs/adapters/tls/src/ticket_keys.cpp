#include "postfleet/tls/ticket_keys.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>

namespace postfleet::tls {

TicketKey::~TicketKey() {
    OPENSSL_cleanse(cipher_key.data(), cipher_key.size());
    OPENSSL_cleanse(mac_key.data(), mac_key.size());
}

std::optional<TicketKey> TicketKeys::to_seal(SteadyTime now) {
    const std::lock_guard lock(mutex_);
    forget_old(now);
    if (keys_.empty() || now - keys_.front().made >= rotate_after_) {
        TicketKey key;
        key.made = now;
        const auto fill = [](auto& octets) { return RAND_bytes(octets.data(), static_cast<int>(octets.size())) == 1; };
        if (!fill(key.name) || !fill(key.cipher_key) || !fill(key.mac_key)) return std::nullopt;
        keys_.push_front(key);
        if (keys_.size() > kMaxKeys) keys_.pop_back();
    }
    return keys_.front();
}

std::optional<TicketKeys::Found> TicketKeys::to_open(std::span<const std::uint8_t, 16> name, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    forget_old(now);
    const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const TicketKey& key) {
        return std::equal(name.begin(), name.end(), key.name.begin());
    });
    if (found == keys_.end()) return std::nullopt;
    return Found{*found, found == keys_.begin() && now - found->made < rotate_after_};
}

void TicketKeys::forget_old(SteadyTime now) {
    while (!keys_.empty() && now - keys_.back().made >= rotate_after_ + ticket_lifetime_) keys_.pop_back();
}

}  // namespace postfleet::tls
