// Merger: the text of one recipient, made from the parts of a message and the recipient's variables.
//
//   stored content: part 1 │ part 2 │ part 3     *parts=1,3  name=Ann
//                                       ─▶ part 1 and part 3, with "[name]" become "Ann"
//
// A value goes in as it is, whatever the encoding of the part around it. Line breaks of values are CRLF; in the header
// they are an error, so that a value never makes a field of its own. Where [*to] or [*from] stands behind a quoted name
// in the header, it gets its angle brackets.
//
// Threads: confined; borrows what it is made from. Errors: InvalidArgument, in words for the sender of the message: the
// text cannot be made for this recipient, now or later.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::merge {

class Merger final {
public:
    Merger(const Message& message, const Recipient& recipient);

    // `content`: all of the message's, part behind part.
    Result<std::string> merge(std::string_view content) const;
    // Its header, with the empty line; `content` may be the beginning of the message's. Unavailable: it is not whole,
    // there.
    Result<std::string> header(std::string_view content) const;
    // A text of the message's facts, in one line; what cannot be merged stays.
    std::string field(std::string_view text) const;
    // What [name] becomes; `name` in lower case.
    std::optional<std::string> value_of(std::string_view name) const;
    // The numbers of the parts, in their order.
    const std::vector<std::uint32_t>& parts() const { return parts_; }

private:
    class Output;

    Status add(std::string_view text, Output& out) const;

    const Message& message_;
    const Recipient& recipient_;
    std::vector<std::uint32_t> parts_;
};

}  // namespace postfleet::merge
