// Bindings: the binding rules, compiled. Threads: immutable, thread-safe.
//
// Rules with a condition on an exact value (job, user, template, tenant, listener) stand in a hash table under one
// such value, the rest in a list. A look-up walks the few lists that can match in the order of the rules, so that
// thousands of rules that each name another user cost as much as one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lookup.hpp"
#include "postfleet/base/pattern.hpp"
#include "postfleet/routing/snapshot.hpp"

namespace postfleet::routing {

class Bindings {
public:
    explicit Bindings(const std::vector<config::Binding>& rules);
    std::optional<std::size_t> first_match(const BindRequest& request) const;
    std::span<const std::string> wanted_headers() const { return wanted_headers_; }
    bool depends_on_recipient() const { return depends_on_recipient_; }

private:
    struct HeaderCondition {
        std::string name;
        Pattern pattern;
    };
    struct Rule {
        std::vector<HeaderCondition> headers;
        std::optional<Pattern> mail_from, rcpt_domain;
        std::optional<Network> client;
        std::string user, listener, template_name, tenant, job;
        bool matches(const BindRequest& request) const;
    };
    using Indices = std::vector<std::uint32_t>;  // ascending
    static constexpr std::size_t kExact = 5;
    static std::array<std::string_view, kExact> exact_values(const BindRequest& request);
    static std::array<std::string_view, kExact> exact_values(const config::Binding& rule);

    std::vector<Rule> rules_;
    Indices general_;
    std::array<StringMap<Indices>, kExact> by_value_;
    std::vector<std::string> wanted_headers_;
    bool depends_on_recipient_ = false;
};

}  // namespace postfleet::routing
