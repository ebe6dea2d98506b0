#include "postfleet/config/accounting.hpp"

#include <algorithm>

namespace postfleet::config {

report::AccountingOptions accounting_options(const Report& file) {
    using report::AccountingRecord;
    report::AccountingOptions options;
    options.records.clear();
    for (const std::string& name : file.records) {
        if (const auto record = report::parse_accounting_record(name)) options.records.push_back(*record);
    }
    const auto choose = [&](AccountingRecord record, const std::vector<std::string>& columns) {
        if (!columns.empty()) options.fields[record] = columns;
    };
    choose(AccountingRecord::Delivery, file.columns.d);
    choose(AccountingRecord::Bounce, file.columns.b);
    choose(AccountingRecord::Transient, file.columns.t);
    choose(AccountingRecord::TransientQueue, file.columns.tq);
    choose(AccountingRecord::Receipt, file.columns.r);
    options.iso_times = file.times == ReportTimes::Iso;
    options.user_string = file.user_string;
    switch (file.privacy) {
        case ReportPrivacy::Retain: break;
        case ReportPrivacy::Redact: options.privacy = report::AccountingPrivacy::Redact; break;
        case ReportPrivacy::HmacSha256: options.privacy = report::AccountingPrivacy::HmacSha256; break;
    }
    return options;
}

std::vector<EventType> reported_events(const Report& report) {
    if (report.type != ReportType::Accounting) return report.types;
    return report::accounting_events(accounting_options(report).records);
}

std::string place_of(const Report& report) {
    if (report.type == ReportType::Amqp) return report.broker.url.to_string() + " " + report.amqp.exchange;
    if (report.type != ReportType::Kafka) return report.path;
    return "kafka://" + report.kafka.brokers.front() + "/" + report.kafka.topic;
}

bool has_receipts(const Config& config) {
    return std::any_of(config.reports.begin(), config.reports.end(), [](const Report& file) {
        return file.type == ReportType::Accounting &&
               std::find(file.records.begin(), file.records.end(), "r") != file.records.end();
    });
}

std::vector<std::string> recorded_headers(const Config& config) {
    std::vector<std::string> names;
    for (const Report& file : config.reports) {
        if (file.type != ReportType::Accounting) continue;
        const auto format = report::AccountingFormat::make(accounting_options(file));
        if (!format) continue;  // load_config() has refused it
        for (const std::string& name : format->wanted_headers()) {
            if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
        }
    }
    return names;
}

}  // namespace postfleet::config
