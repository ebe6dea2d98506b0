#include "postfleet/report/routing_key.hpp"

#include <string_view>

namespace postfleet::report {
namespace {

constexpr std::size_t kMaxWord = 100;

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

void add_word(std::string& key, std::string_view word) {
    key += '.';
    if (word.empty()) word = "none";
    for (const char c : word.substr(0, kMaxWord)) key += is_plain(c) ? c : '_';
}

}  // namespace

const std::string& pool_of(const Event& event) {
    return event.pool.empty() && event.message ? event.message->pool : event.pool;
}

std::string report_routing_key(const Event& event) {
    std::string key = to_string(event.type);  // two words
    add_word(key, event.message ? std::string_view(event.message->tenant) : std::string_view());
    add_word(key, pool_of(event));
    return key;
}

}  // namespace postfleet::report
