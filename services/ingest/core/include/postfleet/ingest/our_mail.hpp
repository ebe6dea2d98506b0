// OurMail: the part of one transaction that is for us: its recipients and, as it comes, its content.
//
// The content is collected in memory, because what keeps it wants it whole. Two bounds: octets of one mail, and octets
// of all that one shard collects at the same time (only chunks beyond the last one wait; most mail for us has none).
// Threads: confined to its shard. Borrows the shard's sum.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/mail/message.hpp"
#include "postfleet/ports/feedback_intake.hpp"

namespace postfleet::ingest {

class OurMail final {
public:
    static constexpr std::uint64_t kMaxCollected = 32 << 20;  // by one shard
    enum class Verdict : std::uint8_t { Taken, TooBig, TooMuchAtOnce };

    OurMail(std::uint64_t& collected_of_shard, std::uint64_t max_octets)
        : collected_of_shard_(collected_of_shard), max_octets_(max_octets) {}
    ~OurMail() { collected_of_shard_ -= collected_; }
    OurMail(const OurMail&) = delete;
    OurMail& operator=(const OurMail&) = delete;

    void add(MailForUs::Address address) { addresses_.push_back(std::move(address)); }
    bool allows(std::uint64_t octets) const { return octets <= max_octets_; }
    Verdict collect(SharedOctets chunk);
    std::uint32_t recipients() const { return static_cast<std::uint32_t>(addresses_.size()); }
    // The address when there is exactly one; else empty.
    std::string_view only_recipient() const {
        return addresses_.size() == 1 ? std::string_view(addresses_.front().address) : std::string_view();
    }
    MailForUs finish(const Message& message, SharedOctets last_chunk);

    // What of the transaction is for others, while ours is being kept.
    std::optional<AcceptedMessage> others;

private:
    std::uint64_t& collected_of_shard_;
    const std::uint64_t max_octets_;
    std::uint64_t collected_ = 0;
    std::vector<MailForUs::Address> addresses_;
    std::vector<SharedOctets> chunks_;
};

}  // namespace postfleet::ingest
