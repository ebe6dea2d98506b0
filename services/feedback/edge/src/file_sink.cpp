#include "file_sink.hpp"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "postfleet/base/text.hpp"
#include "postfleet/config/accounting.hpp"
#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/file/rotated_file.hpp"

namespace postfleet::feedback {
namespace {

constexpr std::size_t kMinKeyOctets = 16;

// Everything that makes the sink another one when it changes.
std::string fingerprint_of(const config::Report& report) {
    std::string text =
        fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", report.path, report.move_to, report.rotate_size,
                    format_duration(report.rotate_after), report.keep, static_cast<int>(report.type),
                    static_cast<int>(report.times), report.user_string, static_cast<int>(report.privacy));
    text += '\n' + report.privacy_key_file;
    const auto add = [&](const std::vector<std::string>& words) {
        text += '\n';
        for (const std::string& word : words) text += word + ',';
    };
    add(report.records);
    for (const auto* columns :
         {&report.columns.d, &report.columns.b, &report.columns.t, &report.columns.tq, &report.columns.r}) {
        add(*columns);
    }
    return text;
}

RotatedFileOptions options_of(const config::Report& report) {
    return {.path = report.path,
            .move_to = report.move_to,
            .rotate_size = report.rotate_size,
            .rotate_after = report.rotate_after,
            .keep = report.keep};
}

Result<std::unique_ptr<ReportSink>> open_file(RotatedFileOptions options, const Log& log) {
    auto file = RotatedFile::open(std::move(options), log);
    if (!file) return file.error();
    return std::unique_ptr<ReportSink>(std::move(*file));
}

Result<std::string> read_key(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string key(std::istreambuf_iterator<char>(file), {});
    const std::string_view text = trim(key);
    if (!file.is_open()) return Error{ErrorKind::NotFound, "cannot read the key in " + path};
    if (text.size() < kMinKeyOctets) {
        return Error{ErrorKind::InvalidArgument, fmt::format("the key in {} has {} octets; {} or more are needed", path,
                                                             text.size(), kMinKeyOctets)};
    }
    return std::string(text);
}

// The key is read when the file is opened, so that one that comes later is found.
reporting::SinkSetup accounting_sink(const config::Report& report, reporting::SinkSetup sink, const Log& log) {
    // shared_ptr because open() makes the format that render() uses, and both are copied with the setup.
    auto format = std::make_shared<std::optional<report::AccountingFormat>>();
    sink.open = [report, format, log]() -> Result<std::unique_ptr<ReportSink>> {
        report::AccountingOptions options = config::accounting_options(report);
        if (options.privacy == report::AccountingPrivacy::HmacSha256) {
            auto key = read_key(report.privacy_key_file);
            if (!key) return key.error();
            options.privacy_key = std::move(*key);
            options.digests = std::make_shared<crypto::OpensslDigests>();
        }
        auto made = report::AccountingFormat::make(std::move(options));
        if (!made) return made.error();
        RotatedFileOptions file = options_of(report);
        file.header = made->header();
        file.names = RotatedNames::Dated;
        *format = std::move(*made);
        return open_file(std::move(file), log);
    };
    sink.render = [format](const LoggedEvent& logged, std::string& out) {
        return (*format)->render(*logged.event, out);
    };
    return sink;
}

}  // namespace

reporting::SinkSetup file_sink(const config::Report& report, const Log& log) {
    reporting::SinkSetup sink;
    sink.fingerprint = fingerprint_of(report);
    if (report.type == config::ReportType::Accounting) return accounting_sink(report, std::move(sink), log);
    sink.open = [options = options_of(report), log] { return open_file(options, log); };
    return sink;
}

}  // namespace postfleet::feedback
