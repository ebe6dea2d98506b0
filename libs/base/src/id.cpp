#include "postfleet/base/id.hpp"

#include <bit>
#include <cstring>
#include <random>

#include "hex.hpp"

namespace postfleet {
namespace {

// Positions of the first octet after each hyphen of 8-4-4-4-12.
constexpr bool starts_group(std::size_t octet) { return octet == 4 || octet == 6 || octet == 8 || octet == 10; }

// A bijection with good avalanche (the finaliser of splitmix64): one changed input bit changes half of the
// output, and no two inputs meet.
constexpr std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

std::uint64_t little_endian_word(const char* at, std::size_t octets) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < octets; ++i) {
        word |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(at[i])) << (8 * i);
    }
    return word;
}

void store_big_endian(std::uint64_t value, std::uint8_t* to) {
    for (int i = 0; i < 8; ++i) to[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
}

}  // namespace

std::string MessageId::to_string() const {
    std::string text(36, '-');
    char* to = text.data();
    for (std::size_t i = 0; i < octets.size(); ++i) {
        if (starts_group(i)) ++to;
        *to++ = hex::kDigits[octets[i] >> 4];
        *to++ = hex::kDigits[octets[i] & 15];
    }
    return text;
}

Result<MessageId> MessageId::parse(std::string_view text) {
    const Error wrong{ErrorKind::InvalidArgument, "not a message id (a UUID such as 0193e2b4-…)"};
    if (text.size() != 36) return wrong;
    MessageId id;
    std::size_t at = 0;
    for (std::size_t i = 0; i < id.octets.size(); ++i) {
        if (starts_group(i) && text[at++] != '-') return wrong;
        const int high = hex::digit_value(text[at]);
        const int low = hex::digit_value(text[at + 1]);
        if (high < 0 || low < 0) return wrong;
        id.octets[i] = static_cast<std::uint8_t>(high << 4 | low);
        at += 2;
    }
    return id;
}

WallTime MessageId::made_at() const {
    std::int64_t milliseconds = 0;
    for (std::size_t i = 0; i < 6; ++i) milliseconds = milliseconds << 8 | octets[i];
    return from_unix_microseconds(milliseconds * 1000);
}

std::string EventId::to_string() const {
    std::string text(32, '0');
    for (std::size_t i = 0; i < octets.size(); ++i) {
        text[2 * i] = hex::kDigits[octets[i] >> 4];
        text[2 * i + 1] = hex::kDigits[octets[i] & 15];
    }
    return text;
}

IdGenerator::IdGenerator() {
    std::random_device system;
    for (auto& word : state_) word = static_cast<std::uint64_t>(system()) << 32 | system();
    if (state_[0] == 0 && state_[1] == 0) state_[0] = 1;  // the one state that never changes
}

IdGenerator::IdGenerator(std::uint64_t seed)
    : state_{mix(seed + 0x9e3779b97f4a7c15u), mix(seed + 2 * 0x9e3779b97f4a7c15u)} {}

// xoroshiro128++ (Blackman, Vigna 2019): not for secrets, ids need only be distinct.
std::uint64_t IdGenerator::random() {
    const std::uint64_t a = state_[0];
    std::uint64_t b = state_[1];
    const std::uint64_t drawn = std::rotl(a + b, 17) + a;
    b ^= a;
    state_[0] = std::rotl(a, 49) ^ b ^ (b << 21);
    state_[1] = std::rotl(b, 28);
    return drawn;
}

// The 12 bits of rand_a count within a millisecond (RFC 9562 §6.2 method 1). They start in the lower half,
// so that 2048 ids fit; past that, and while the clock stands before the last id, time is borrowed from
// the next millisecond.
MessageId IdGenerator::next(WallTime now) {
    constexpr std::uint16_t kLargestSequence = 0x0fff;
    const std::int64_t milliseconds = to_unix_microseconds(now) / 1000;
    const std::uint64_t noise = random();
    if (milliseconds > last_milliseconds_) {
        last_milliseconds_ = milliseconds;
        sequence_ = static_cast<std::uint16_t>(random() & 0x07ff);
    } else if (sequence_ == kLargestSequence) {
        ++last_milliseconds_;
        sequence_ = 0;
    } else {
        ++sequence_;
    }
    MessageId id;
    store_big_endian(static_cast<std::uint64_t>(last_milliseconds_) << 16 | 0x7000u | sequence_, id.octets.data());
    store_big_endian((noise & 0x3fffffffffffffffu) | 0x8000000000000000u, id.octets.data() + 8);
    return id;
}

// Two lanes that differ in key and in how a word enters. Each step is a bijection of its lane, so inputs of
// one length that differ in a single word never collide.
EventId hash_event_id(std::string_view what) {
    std::uint64_t a = 0x243f6a8885a308d3u ^ what.size();
    std::uint64_t b = 0x13198a2e03707344u + what.size();
    const auto absorb = [&](std::uint64_t word) {
        a = mix(a ^ word);
        b = mix(std::rotl(b, 23) + word * 0x9e3779b97f4a7c15u);
    };
    while (what.size() >= 8) {
        absorb(little_endian_word(what.data(), 8));
        what.remove_prefix(8);
    }
    if (!what.empty()) absorb(little_endian_word(what.data(), what.size()));
    EventId id;
    store_big_endian(mix(a + std::rotl(b, 32)), id.octets.data());
    store_big_endian(mix(b ^ (a * 0xd6e8feb86659fd93u)), id.octets.data() + 8);
    return id;
}

}  // namespace postfleet

std::size_t std::hash<postfleet::MessageId>::operator()(const postfleet::MessageId& id) const noexcept {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    std::memcpy(&high, id.octets.data(), sizeof high);
    std::memcpy(&low, id.octets.data() + 8, sizeof low);
    // The octets of version and variant are constant, so the raw words would crowd a power-of-two table.
    return static_cast<std::size_t>(postfleet::mix(low ^ (high * 0x9e3779b97f4a7c15u)));
}
