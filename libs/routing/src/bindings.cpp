#include "bindings.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"

namespace postfleet::routing {

namespace {

Pattern compile(const std::string& text) {
    auto pattern = Pattern::compile(text);
    require(pattern.has_value());  // load_config() made sure
    return std::move(pattern).value();
}

}  // namespace

// The value that tells most rules apart comes first.
std::array<std::string_view, Bindings::kExact> Bindings::exact_values(const BindRequest& request) {
    return {request.job, request.user, request.template_name, request.tenant, request.listener};
}

std::array<std::string_view, Bindings::kExact> Bindings::exact_values(const config::Binding& rule) {
    return {rule.job, rule.user, rule.template_name, rule.tenant, rule.listener};
}

Bindings::Bindings(const std::vector<config::Binding>& rules) {
    for (std::uint32_t i = 0; i < rules.size(); ++i) {
        const auto& from = rules[i];
        Rule rule;
        for (const auto& [name, pattern] : from.headers) {
            rule.headers.push_back({to_ascii_lower(name), compile(pattern)});
            const auto& wanted = rule.headers.back().name;
            if (std::find(wanted_headers_.begin(), wanted_headers_.end(), wanted) == wanted_headers_.end()) {
                wanted_headers_.push_back(wanted);
            }
        }
        if (!from.mail_from.empty()) rule.mail_from = compile(from.mail_from);
        if (!from.rcpt_domain.empty()) {
            rule.rcpt_domain = compile(from.rcpt_domain);
            depends_on_recipient_ = true;
        }
        rule.client = from.client;
        rule.user = from.user;
        rule.listener = from.listener;
        rule.template_name = from.template_name;
        rule.tenant = from.tenant;
        rule.job = from.job;
        rules_.push_back(std::move(rule));

        const auto values = exact_values(from);
        const auto given = std::find_if(values.begin(), values.end(), [](auto value) { return !value.empty(); });
        if (given == values.end()) general_.push_back(i);
        else by_value_[static_cast<std::size_t>(given - values.begin())][std::string(*given)].push_back(i);
    }
}

std::optional<std::size_t> Bindings::first_match(const BindRequest& request) const {
    std::array<std::span<const std::uint32_t>, kExact + 1> lists;
    std::size_t used = 0;
    if (!general_.empty()) lists[used++] = general_;
    const auto values = exact_values(request);
    for (std::size_t kind = 0; kind < kExact; ++kind) {
        if (values[kind].empty() || by_value_[kind].empty()) continue;
        const auto found = by_value_[kind].find(values[kind]);
        if (found != by_value_[kind].end()) lists[used++] = found->second;
    }
    while (true) {
        std::span<const std::uint32_t>* next = nullptr;
        for (std::size_t i = 0; i < used; ++i) {
            if (!lists[i].empty() && (next == nullptr || lists[i].front() < next->front())) next = &lists[i];
        }
        if (next == nullptr) return std::nullopt;
        if (rules_[next->front()].matches(request)) return next->front();
        *next = next->subspan(1);
    }
}

// Cheap conditions first; patterns last.
bool Bindings::Rule::matches(const BindRequest& request) const {
    const auto is = [](const std::string& wanted, std::string_view value) { return wanted.empty() || wanted == value; };
    if (!is(job, request.job) || !is(user, request.user) || !is(template_name, request.template_name) ||
        !is(tenant, request.tenant) || !is(listener, request.listener)) {
        return false;
    }
    if (client && (!request.client || !client->contains(*request.client))) return false;
    if (mail_from && !mail_from->matches(request.mail_from)) return false;
    if (rcpt_domain && !rcpt_domain->matches(request.rcpt_domain)) return false;
    return std::all_of(headers.begin(), headers.end(), [&](const HeaderCondition& condition) {
        return std::any_of(request.headers.begin(), request.headers.end(), [&](const HeaderField& field) {
            return ascii_iequals(field.name, condition.name) && condition.pattern.matches(field.value);
        });
    });
}

}  // namespace postfleet::routing
