// FieldWriter, FieldReader: the octets inside the spool's records (docs/SPOOL_FORMAT.md, "Fields").
//
// A record is a row of fields, each a tag (number * 2 + kind) and a value: kind 0 is a varint (LEB128, at
// most ten octets), kind 1 a varint length and that many octets. A field with its zero value is left out,
// so an absent field is zero or empty, and a reader passes over numbers that it does not know. Numbers are
// never used again for something else. Fixed-width integers are little-endian; keys are big-endian, so
// that they sort.
//
// Threads: value types. Errors: a malformed record makes FieldReader::is_bad() true; it never reads past the
// end and never throws.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace postfleet::spool {

inline void put_fixed32(char* to, std::uint32_t value) {
    for (int i = 0; i < 4; i++) to[i] = static_cast<char>(value >> (8 * i));
}
inline void put_fixed64(char* to, std::uint64_t value) {
    for (int i = 0; i < 8; i++) to[i] = static_cast<char>(value >> (8 * i));
}
inline std::uint32_t get_fixed32(const char* from) {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; i++) value |= std::uint32_t{static_cast<std::uint8_t>(from[i])} << (8 * i);
    return value;
}
inline std::uint64_t get_fixed64(const char* from) {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= std::uint64_t{static_cast<std::uint8_t>(from[i])} << (8 * i);
    return value;
}
inline void append_fixed32(std::string& to, std::uint32_t value) {
    char octets[4];
    put_fixed32(octets, value);
    to.append(octets, 4);
}
inline void append_fixed64(std::string& to, std::uint64_t value) {
    char octets[8];
    put_fixed64(octets, value);
    to.append(octets, 8);
}
template <class T>
void put_big_endian(char* to, T value) {
    for (std::size_t i = 0; i < sizeof(T); i++) to[i] = static_cast<char>(value >> (8 * (sizeof(T) - 1 - i)));
}
template <class T>
T get_big_endian(const char* from) {
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); i++) value = static_cast<T>(value << 8 | static_cast<std::uint8_t>(from[i]));
    return value;
}

class FieldWriter {
public:
    explicit FieldWriter(std::string& to) : to_(to) {}

    void number(std::uint32_t field, std::uint64_t value) {
        if (value != 0) number_always(field, value);
    }
    // Also when it is zero, where absent and zero are different things.
    void number_always(std::uint32_t field, std::uint64_t value) {
        varint(std::uint64_t{field} * 2);
        varint(value);
    }
    void octets(std::uint32_t field, std::string_view value) {
        if (!value.empty()) octets_always(field, value);
    }
    void octets_always(std::uint32_t field, std::string_view value) {
        varint(std::uint64_t{field} * 2 + 1);
        varint(value.size());
        to_.append(value);
    }
    // Fields inside a field: `write` appends them. Their length is not known before, and seldom above 127.
    template <class Write>
    void nested(std::uint32_t field, Write&& write) {
        varint(std::uint64_t{field} * 2 + 1);
        auto at = to_.size();
        to_.push_back('\0');
        write();
        auto size = to_.size() - at - 1;
        char length[10];
        auto length_octets = encode(length, size);
        to_[at] = length[0];
        if (length_octets > 1) to_.insert(at + 1, length + 1, length_octets - 1);
    }

private:
    static std::size_t encode(char* to, std::uint64_t value) {
        std::size_t n = 0;
        for (; value >= 0x80; value >>= 7) to[n++] = static_cast<char>(value | 0x80);
        to[n++] = static_cast<char>(value);
        return n;
    }
    void varint(std::uint64_t value) {
        char octets[10];
        to_.append(octets, encode(octets, value));
    }

    std::string& to_;
};

class FieldReader {
public:
    explicit FieldReader(std::string_view from) : at_(from.data()), end_(from.data() + from.size()) {}

    // Moves to the next field; false at the end, and when what follows is malformed.
    bool next() {
        if (at_ == end_ || bad_) return false;
        auto tag = varint();
        auto value = varint();
        if (bad_ || tag / 2 > UINT32_MAX) return fail();
        field_ = static_cast<std::uint32_t>(tag / 2);
        is_octets_ = tag % 2 == 1;
        number_ = value;
        octets_ = {};
        if (!is_octets_) return true;
        if (value > static_cast<std::uint64_t>(end_ - at_)) return fail();
        octets_ = {at_, static_cast<std::size_t>(value)};
        at_ += value;
        return true;
    }
    std::uint32_t field() const { return field_; }
    // A field of the other kind than the one asked for makes the record bad.
    std::uint64_t number() {
        if (is_octets_) bad_ = true;
        return is_octets_ ? 0 : number_;
    }
    template <class T>
    T number_as() {
        auto value = number();
        if (value > static_cast<std::uint64_t>(T(-1))) bad_ = true;
        return static_cast<T>(value);
    }
    std::string_view octets() {
        if (!is_octets_) bad_ = true;
        return octets_;
    }
    void mark_bad() { bad_ = true; }
    bool is_bad() const { return bad_; }

private:
    bool fail() {
        bad_ = true;
        return false;
    }
    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            if (at_ == end_) break;
            auto octet = static_cast<std::uint8_t>(*at_++);
            value |= std::uint64_t{octet & 0x7Fu} << shift;
            if (octet < 0x80) return value;
        }
        bad_ = true;
        return 0;
    }

    const char* at_;
    const char* end_;
    std::uint32_t field_ = 0;
    bool is_octets_ = false;
    bool bad_ = false;
    std::uint64_t number_ = 0;
    std::string_view octets_;
};

}  // namespace postfleet::spool
