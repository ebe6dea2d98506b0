#include "postfleet/base/log.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "postfleet/base/text.hpp"

using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using postfleet::Log;
using postfleet::LogLevel;
using postfleet::printable;

namespace {

class KeptLines final : public postfleet::LogSink {
public:
    void write(LogLevel level, std::string&& line) override { lines.emplace_back(level, std::move(line)); }
    std::vector<std::pair<LogLevel, std::string>> lines;
};

std::string fields_of(const std::string& line) { return line.substr(line.find(" level=") + 1); }

// As a reader of logfmt would: names and values in turn, without level and event.
std::vector<std::string> read_fields(std::string_view line) {
    std::vector<std::string> found;
    while (!line.empty()) {
        const std::size_t equals = line.find('=');
        REQUIRE(equals != std::string_view::npos);
        found.emplace_back(line.substr(0, equals));
        line.remove_prefix(equals + 1);
        std::string& value = found.emplace_back();
        const bool is_quoted = line.starts_with('"');
        std::size_t at = is_quoted ? 1 : 0;
        for (; at < line.size() && line[at] != (is_quoted ? '"' : ' '); ++at) {
            if (is_quoted && line[at] == '\\') ++at;
            value.push_back(line[at]);
        }
        line.remove_prefix(std::min(line.size(), at + (is_quoted ? 2 : 1)));
    }
    return {found.begin() + 4, found.end()};
}

}  // namespace

TEST_CASE("a line is written whole, when it ends") {
    KeptLines kept;
    const Log log(kept);
    {
        auto line = log.line(LogLevel::Warning, "attempt");
        line.field("queue", "example.org/tx-1").field("code", 250).field("took", 0.25).field("n", -7);
        CHECK(kept.lines.empty());
    }
    REQUIRE(kept.lines.size() == 1);
    CHECK(kept.lines[0].first == LogLevel::Warning);
    CHECK_THAT(kept.lines[0].second, StartsWith("time=20"));
    CHECK(fields_of(kept.lines[0].second) ==
          "level=warning event=attempt queue=example.org/tx-1 code=250 took=0.25 n=-7");
}

TEST_CASE("values cannot forge a line or a field", "[SEC-24]") {
    KeptLines kept;
    const Log log(kept, LogLevel::Debug);
    log.line(LogLevel::Debug, "reply")
        .field("empty", "")
        .field("spaced", "two words")
        .field("forged", "x level=error")
        .field("broken", "a\r\nb\x1b[31m")
        .field("quoted", "say \"hi\"\\")
        .field("foreign", "Grüße")
        .field("bad", "\xff");
    CHECK(fields_of(kept.lines.at(0).second) ==
          R"(level=debug event=reply empty="" spaced="two words" forged="x level=error" broken="a\\x0d\\x0ab\\x1b[31m")"
          R"( quoted="say \"hi\"\\" foreign="Grüße" bad="\\xff")");
}

TEST_CASE("whatever octets stand in its fields, a line is read back with the fields that were written", "[SEC-24]") {
    std::mt19937 random(24);
    for (int round = 0; round < 2000; ++round) {
        KeptLines kept;
        std::vector<std::string> values(3);
        for (std::string& value : values) {
            value.resize(random() % 40);
            // Half of them from what is dangerous.
            for (char& c : value) {
                c = static_cast<char>(random() % 2 == 0 ? random() % 256 : "\r\n\t =\"\\\x1b"[random() % 8]);
            }
        }
        Log(kept).line(LogLevel::Info, "x").field("a", values[0]).field("b", values[1]).field("c", values[2]);
        const std::string& line = kept.lines.at(0).second;
        INFO(line);
        CHECK(std::none_of(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }));
        std::vector<std::string> expected{"a", printable(values[0]), "b", printable(values[1]),
                                          "c", printable(values[2])};
        CHECK(read_fields(fields_of(line)) == expected);
    }
}

TEST_CASE("a value is capped", "[SEC-24]") {
    KeptLines kept;
    const Log log(kept);
    log.line(LogLevel::Error, "x").field("long", std::string(100'000, 'a'));
    CHECK_THAT(kept.lines.at(0).second, EndsWith("long=\"" + std::string(512, 'a') + "\""));
}

TEST_CASE("levels below the lowest, and a log without a sink, write nothing") {
    KeptLines kept;
    const Log log(kept, LogLevel::Warning);
    log.line(LogLevel::Info, "quiet").field("a", 1).field("b", "c").field("d", 0.5);
    CHECK(kept.lines.empty());
    CHECK_FALSE(log.is_on(LogLevel::Info));
    CHECK(log.is_on(LogLevel::Warning));
    Log().line(LogLevel::Error, "nowhere").field("a", "b");
    CHECK_FALSE(Log().is_on(LogLevel::Error));
}
