// Mail merge: one stored text for many recipients, each with words of its own (docs/MAIL_MERGE.md).
//
//   MergeText       of a message: the numbered parts that its content consists of, one behind the other
//   MergeVariables  of a recipient: names and values, packed into one string
//
// Names are in lower case; the reserved ones begin with "*". The packed form is, for each variable: size of the name 1,
// size of the value 4 (little-endian), name, value. It is what the spool stores.
// Threads: value types. Units: octets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postfleet {

inline constexpr std::size_t kMaxMergeName = 64;
inline constexpr std::size_t kMaxMergeVariables = 256;            // per recipient
inline constexpr std::size_t kMaxMergeOctets = 64 * 1024;         // packed, per recipient
inline constexpr std::size_t kMaxMergeOctetsOfMessage = 4 << 20;  // packed, of all its recipients
inline constexpr std::size_t kMaxMergeParts = 256;                // of a message, and in the list of a recipient
inline constexpr std::uint32_t kMaxMergePartNumber = 65'535;

// How long the name at the front of `text` is: a letter, then letters, digits and "_"; reserved ones have a "*" in front.
// 0: there is none, or it is longer than kMaxMergeName.
std::size_t merge_name_length(std::string_view text);

class MergeVariables final {
public:
    using Entry = std::pair<std::string_view, std::string_view>;  // name, value

    // A bug if the name is longer than 255 octets. Names are not compared: ask find() before.
    void add(std::string_view name, std::string_view value);
    std::optional<std::string_view> find(std::string_view name) const;
    std::vector<Entry> entries() const;

    bool empty() const { return octets_.empty(); }
    std::size_t size() const;  // variables
    const std::string& octets() const { return octets_; }
    // Nothing: it is not a packed form.
    static std::optional<MergeVariables> from_octets(std::string octets);

    friend bool operator==(const MergeVariables&, const MergeVariables&) = default;

private:
    std::string octets_;
};

// What stands for a variable that its recipient does not have.
enum class UndefinedVariable : std::uint8_t { Empty = 0, Keep = 1, Refuse = 2 };

struct MergePart {
    std::uint32_t number = 0;
    std::uint64_t size_octets = 0;
    friend bool operator==(const MergePart&, const MergePart&) = default;
};

struct MergeText {
    std::vector<MergePart> parts;  // in the order of the content; empty: the message is not merged
    UndefinedVariable undefined = UndefinedVariable::Empty;
    std::uint64_t max_octets = 0;  // of what is merged for one recipient
    bool utf8_in_header = false;   // the submitter asked for SMTPUTF8: values with UTF-8 may get into the header
    explicit operator bool() const { return !parts.empty(); }
    friend bool operator==(const MergeText&, const MergeText&) = default;
};

}  // namespace postfleet
