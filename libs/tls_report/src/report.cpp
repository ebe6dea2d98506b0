#include "postfleet/tls_report/report.hpp"

#include "postfleet/base/json.hpp"

namespace postfleet::tls_report {

namespace {

constexpr auto kLastSecond = std::chrono::hours(24) - std::chrono::seconds(1);

// "2016-04-01T00:00:00Z": without a fraction, as the RFC's example.
std::string show_second(std::chrono::sys_seconds time) {
    std::string text = format_rfc3339(time);
    const auto dot = text.find('.');
    if (dot != std::string::npos) text.erase(dot, text.size() - dot - 1);
    return text;
}

std::string unix_second(std::chrono::sys_seconds time) { return std::to_string(time.time_since_epoch().count()); }

void add_texts(JsonWriter& json, std::string_view key, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    json.key(key).begin_array();
    for (const std::string& text : texts) json.value(text);
    json.end_array();
}

void add_failure(JsonWriter& json, const Failure& failure) {
    json.begin_object().member("result-type", failure.result);
    if (!failure.sending_ip.empty()) json.member("sending-mta-ip", failure.sending_ip);
    if (!failure.mx_host.empty()) json.member("receiving-mx-hostname", failure.mx_host);
    if (!failure.mx_ip.empty()) json.member("receiving-ip", failure.mx_ip);
    json.member("failed-session-count", failure.sessions);
    if (!failure.reason.empty()) json.member("failure-reason-code", failure.reason);
    json.end_object();
}

void add_policy(JsonWriter& json, const PolicyTally& tally, const std::string& domain) {
    json.begin_object().key("policy").begin_object().member("policy-type", to_string(tally.policy.type));
    add_texts(json, "policy-string", tally.policy.lines);
    json.member("policy-domain", domain);
    add_texts(json, "mx-host", tally.policy.mx_hosts);
    json.end_object().key("summary").begin_object();
    json.member("total-successful-session-count", tally.successes);
    json.member("total-failure-session-count", tally.failures).end_object();
    if (!tally.details.empty()) {
        json.key("failure-details").begin_array();
        for (const Failure& failure : tally.details) add_failure(json, failure);
        json.end_array();
    }
    json.end_object();
}

}  // namespace

std::string report_id(const Report& report) {
    return show_second(report.day).substr(0, 10) + "_" + report.domain + "@" + report.submitter;
}

std::string to_json(const Report& report) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().member("organization-name", report.organization);
    json.key("date-range").begin_object().member("start-datetime", show_second(report.day));
    json.member("end-datetime", show_second(report.day + kLastSecond)).end_object();
    json.member("contact-info", report.contact).member("report-id", report_id(report));
    json.key("policies").begin_array();
    for (const PolicyTally& tally : report.tally.policies()) add_policy(json, tally, report.domain);
    json.end_array().end_object();
    return out;
}

std::string file_name(const Report& report) {
    return report.submitter + "!" + report.domain + "!" + unix_second(report.day) + "!" +
           unix_second(report.day + kLastSecond) + ".json.gz";
}

}  // namespace postfleet::tls_report
