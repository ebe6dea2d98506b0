// Selection: which queues and which waiting tasks a MailSelector is about.
//
// What the waiting task knows (queue, domain, tenant, job, message) is tested here; recipient and reverse-path need the
// stored task. Threads: immutable after parse(), except that domain tests ask the site table.
#pragma once

#include <string>

#include "engine.hpp"

namespace postfleet::sender {

class Selection final {
public:
    // InvalidArgument: nothing given, or two that contradict each other.
    static Result<Selection> parse(const MailSelector& which);

    bool covers(const Queue& queue) const;
    // Only queues are meant: site and virtual MTA, nothing of a single mail.
    bool is_about_queues() const { return !names_mail_; }
    bool needs_stored_task() const { return !which_.recipient.empty() || !which_.reverse_path.empty(); }
    bool covers(const Task& task) const;
    Queue::TaskTest task_test(Engine& engine) const;
    const std::string& site() const { return site_; }  // a name or "*"
    const std::string& virtual_mta() const { return virtual_mta_; }
    const MailSelector& selector() const { return which_; }

private:
    MailSelector which_;
    std::string site_ = "*", virtual_mta_ = "*";
    bool names_mail_ = false;
};

}  // namespace postfleet::sender
