// Selection: which queues, waiting tasks and recipients a MailSelector is about.
//
// Three depths, from cheap to dear: what a queue is called; what a waiting task knows (domain, tenant, job, message and
// with it the time of acceptance); what only the stored task and message say (pool, recipients, reverse-path).
//
// Threads: immutable after parse().
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "postfleet/mail/message.hpp"
#include "postfleet/mail/order.hpp"
#include "site_table.hpp"

namespace postfleet::sender {

// What is known of a task without reading it. Views are borrowed for the call.
struct MailFacts {
    std::string_view site, virtual_mta, tenant, job;
    MessageId message;
    std::uint32_t domain = 0;

    const std::string& domain_name(const SiteTable& sites) const {
        if (!name_) name_ = sites.name_of(domain);
        return *name_;
    }

private:
    mutable std::optional<std::string> name_;  // looked up when somebody asks
};

class Selection final {
public:
    // InvalidArgument: nothing given, or two that contradict each other.
    static Result<Selection> parse(const MailSelector& which);

    bool covers_queue(std::string_view site, std::string_view virtual_mta) const;
    bool covers_waiting(const MailFacts& mail, const SiteTable& sites) const;
    bool covers_stored(const Task& task, const Message& message) const;  // but for its recipients
    bool covers_recipient(const Recipient& recipient) const;
    // Everything of it, and some recipient.
    bool covers(const Task& task, const Message& message) const;

    // Only queues are meant: site and virtual MTA, nothing of a single mail.
    bool is_about_queues() const { return !names_waiting_ && !needs_reading(); }
    // The waiting task does not say enough.
    bool needs_reading() const {
        return !which_.pool.empty() || !which_.recipient.empty() || !which_.reverse_path.empty();
    }
    const std::string& site() const { return site_; }  // a name or pattern; "*"
    const std::string& virtual_mta() const { return virtual_mta_; }
    // As it was given, with addresses and domains in lower case.
    const MailSelector& selector() const { return which_; }

private:
    MailSelector which_;
    std::string site_ = "*", virtual_mta_ = "*";
    bool names_waiting_ = false;
};

// A name stands for itself, a pattern for what it matches.
bool is_pattern(std::string_view text);

}  // namespace postfleet::sender
