// TaskList: the recipients of one message as tasks, one per recipient domain (docs/GLOSSARY.md: task).
//
// Recipients of one message share its reverse-path and bytes; what binds them to different virtual MTAs can
// only be their domain. So a domain is a task, except that recipients whose local part needs SMTPUTF8 are a task
// apart: where it is not offered, they bounce and the others do not (RFC 6531 §3.2). With mail merge and VERP every
// recipient is a task. Recipients are numbered in the order of their RCPT commands.
// Threads: confined.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "postfleet/mail/address.hpp"
#include "postfleet/mail/message.hpp"
#include "postfleet/smtp/server_policy.hpp"

namespace postfleet::ingest {

class TaskList final {
public:
    // From now on every recipient is a task: its copy is not that of the others.
    void keep_apart() { apart_ = true; }
    void add(smtp::RcptRequest&& request);

    std::uint32_t recipients() const { return recipients_; }
    std::vector<Task>& tasks() { return tasks_; }
    std::vector<Task> take_tasks() && { return std::move(tasks_); }
    // The address when there is exactly one recipient; else empty.
    std::string_view only_recipient() const;

private:
    Task& task_of(const Mailbox& mailbox);
    Task& add_task(const Mailbox& mailbox);

    std::vector<Task> tasks_;
    // Used only when there are many domains; a short list is searched faster than a table is filled.
    std::unordered_map<std::string, std::size_t> by_domain_;
    std::uint32_t recipients_ = 0;
    bool apart_ = false;
};

}  // namespace postfleet::ingest
