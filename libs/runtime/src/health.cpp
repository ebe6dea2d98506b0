#include "postfleet/runtime/health.hpp"

#include "postfleet/base/json.hpp"

namespace postfleet::runtime {

void Health::add(std::string name, std::function<std::string()> why_not) {
    checks_.emplace_back(std::move(name), std::move(why_not));
}

Health::Report Health::report() const {
    Report report;
    for (const auto& [name, why_not] : checks_) {
        report.checks.emplace_back(name, why_not());
        if (!report.checks.back().second.empty()) report.ok = false;
    }
    return report;
}

std::string Health::Report::to_json() const {
    std::string text;
    JsonWriter json(text);
    json.begin_object().member("ready", ok).key("checks").begin_array();
    for (const auto& [name, reason] : checks) {
        json.begin_object().member("name", name).member("ok", reason.empty());
        if (!reason.empty()) json.member("reason", reason);
        json.end_object();
    }
    json.end_array().end_object();
    text.push_back('\n');
    return text;
}

}  // namespace postfleet::runtime
