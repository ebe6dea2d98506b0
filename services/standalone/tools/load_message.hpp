// AddressTemplate, MessageMaker: the addresses and the content of message number n.
//
// Everything follows from the number, so that a retry sends the same message and the check at the end can
// compute what should have arrived. The body is one block that all messages share; only the header is made
// for each. Threads: immutable after construction.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "load_options.hpp"
#include "postfleet/ports/transport.hpp"

namespace postfleet::tools {

class AddressTemplate {
public:
    AddressTemplate(std::string_view text, std::uint64_t users, std::uint64_t domains);
    void append(std::string& out, std::uint64_t user, std::uint64_t domain) const;

private:
    std::string before_user_, after_user_, after_domain_;  // the second one ends with '@' and what follows it
    bool has_user_ = false, has_domain_ = false;
    std::uint64_t users_, domains_;
};

class MessageMaker {
public:
    explicit MessageMaker(const LoadOptions& options);

    std::uint32_t recipients() const { return options_.recipients; }
    void append_from(std::string& out, std::uint64_t message) const;
    void append_recipient(std::string& out, std::uint64_t message, std::uint32_t recipient) const;
    std::string id(std::uint64_t message) const;
    // The content with its final dot, as pieces for one write; `head` keeps what the first piece shows.
    std::array<WritePiece, 3> content(std::uint64_t message, SteadyTime now, std::string& head) const;

private:
    std::uint32_t size_of(std::uint64_t message) const;

    const LoadOptions& options_;
    AddressTemplate from_, to_;
    std::string run_id_;
    std::string fixed_header_;
    std::uint32_t total_weight_ = 0;
    std::shared_ptr<const std::string> body_;
};

}  // namespace postfleet::tools
