#include "crc32c.hpp"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace postfleet::spool {

namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // reflected

// kTables[k][b]: what octet b, followed by k zero octets, does to the state.
constexpr auto kTables = [] {
    std::array<std::array<std::uint32_t, 256>, 8> tables{};
    for (std::uint32_t octet = 0; octet < 256; octet++) {
        auto state = octet;
        for (int bit = 0; bit < 8; bit++) state = (state >> 1) ^ ((state & 1) != 0 ? kPolynomial : 0);
        tables[0][octet] = state;
    }
    for (std::size_t k = 1; k < tables.size(); k++) {
        for (std::size_t octet = 0; octet < 256; octet++) {
            auto state = tables[k - 1][octet];
            tables[k][octet] = (state >> 8) ^ tables[0][state & 0xFF];
        }
    }
    return tables;
}();

std::uint32_t extend_portable(std::uint32_t state, const char* at, std::size_t size) {
    for (; size >= 8; at += 8, size -= 8) {
        std::uint64_t word;
        std::memcpy(&word, at, 8);
        word ^= state;
        state = 0;
        for (std::size_t k = 0; k < 8; k++) state ^= kTables[7 - k][(word >> (8 * k)) & 0xFF];
    }
    for (; size > 0; at++, size--) state = (state >> 8) ^ kTables[0][(state ^ static_cast<std::uint8_t>(*at)) & 0xFF];
    return state;
}

#if defined(__x86_64__)

// The instruction takes three cycles but can start every cycle, so three lanes run side by side. Joining
// them needs "this state, and then kLane zero octets", which is linear in the state: four table look-ups.
constexpr std::size_t kLane = 1024;

using ShiftTables = std::array<std::array<std::uint32_t, 256>, 4>;

ShiftTables make_shift_tables() {
    std::array<std::uint32_t, 32> of_bit{};
    for (std::size_t bit = 0; bit < 32; bit++) {
        auto state = std::uint32_t{1} << bit;
        for (std::size_t i = 0; i < kLane; i++) state = (state >> 8) ^ kTables[0][state & 0xFF];
        of_bit[bit] = state;
    }
    ShiftTables tables{};
    for (std::size_t octet = 0; octet < 4; octet++) {
        for (std::size_t value = 0; value < 256; value++) {
            for (std::size_t bit = 0; bit < 8; bit++) {
                if ((value >> bit & 1) != 0) tables[octet][value] ^= of_bit[8 * octet + bit];
            }
        }
    }
    return tables;
}

std::uint32_t shift_lane(const ShiftTables& tables, std::uint64_t state) {
    return tables[0][state & 0xFF] ^ tables[1][state >> 8 & 0xFF] ^ tables[2][state >> 16 & 0xFF] ^
           tables[3][state >> 24 & 0xFF];
}

std::uint64_t load(const char* at) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    return word;
}

__attribute__((target("sse4.2"))) std::uint32_t extend_sse42(std::uint32_t before, const char* at, std::size_t size) {
    static const ShiftTables kShift = make_shift_tables();
    std::uint64_t state = before;
    for (; size >= 3 * kLane; at += 3 * kLane, size -= 3 * kLane) {
        std::uint64_t second = 0, third = 0;
        for (std::size_t i = 0; i < kLane; i += 8) {
            state = _mm_crc32_u64(state, load(at + i));
            second = _mm_crc32_u64(second, load(at + kLane + i));
            third = _mm_crc32_u64(third, load(at + 2 * kLane + i));
        }
        state = shift_lane(kShift, shift_lane(kShift, state) ^ second) ^ third;
    }
    for (; size >= 8; at += 8, size -= 8) state = _mm_crc32_u64(state, load(at));
    auto last = static_cast<std::uint32_t>(state);
    for (; size > 0; at++, size--) last = _mm_crc32_u8(last, static_cast<std::uint8_t>(*at));
    return last;
}

#endif

}  // namespace

std::uint32_t crc32c_portable(std::string_view octets, std::uint32_t before) {
    return ~extend_portable(~before, octets.data(), octets.size());
}

std::uint32_t crc32c(std::string_view octets, std::uint32_t before) {
#if defined(__x86_64__)
    static const bool kHasInstruction = __builtin_cpu_supports("sse4.2") != 0;
    if (kHasInstruction) return ~extend_sse42(~before, octets.data(), octets.size());
#endif
    return crc32c_portable(octets, before);
}

}  // namespace postfleet::spool
