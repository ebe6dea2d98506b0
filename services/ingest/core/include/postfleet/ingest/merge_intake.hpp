// MergeIntake: what a mail merge (XMRG) is asked before it is taken: are its reserved variables what they should be, does
// it have the parts that its recipients want, is every variable defined, and who says it is the sender.
//
// Everything that can be seen to be wrong is refused here, where the client still listens; what is left fails for its
// recipient when it is merged (email.rendering_failed).
// Threads: confined to its transaction. Units: octets. Errors: texts for the client.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/ingest/user_directory.hpp"
#include "postfleet/mail/address.hpp"
#include "postfleet/mail/message.hpp"
#include "postfleet/merge/name_collector.hpp"

namespace postfleet::ingest {

// Gives the reserved variables of one recipient their normal form. A text: one of them cannot be that.
std::optional<std::string> normalize_reserved(MergeVariables& variables, Mailbox::Utf8 utf8);

// *priority, 1 to 100 with 50 in the middle, as one of our three.
Priority priority_of_variable(std::string_view value);

class MergeIntake final {
public:
    enum class Header { Unchecked, Checked };
    MergeIntake(UndefinedVariable undefined, Header header) : undefined_(undefined), header_(header) {}

    // Variables of one more recipient. False: that is too much for one message.
    bool add(const MergeVariables& variables);
    std::uint64_t octets() const { return octets_; }

    // The content, as it comes. The first piece may be kept.
    void take(const SharedOctets& piece);

    // When the message is complete. Nothing: it can be merged.
    std::optional<std::string> find_problem(const Message& message, const std::vector<Task>& tasks) const;
    // The same for the addresses in the header that `user` may send as.
    std::optional<std::string> find_foreign_sender(const Message& message, const std::vector<Task>& tasks,
                                                   const KnownUser& user) const;

private:
    using Names = std::vector<std::string>;
    std::vector<Names> names_by_part(const Message& message) const;

    const UndefinedVariable undefined_;
    const Header header_;
    std::uint64_t octets_ = 0;
    merge::NameCollector names_;
    SharedOctets first_piece_;
};

}  // namespace postfleet::ingest
