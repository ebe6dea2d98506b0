#include "postfleet/base/log.hpp"

#include <catch2/catch.hpp>

#include <vector>

using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using postfleet::Log;
using postfleet::LogLevel;

namespace {

class KeptLines final : public postfleet::LogSink {
public:
    void write(LogLevel level, std::string&& line) override { lines.emplace_back(level, std::move(line)); }
    std::vector<std::pair<LogLevel, std::string>> lines;
};

std::string fields_of(const std::string& line) { return line.substr(line.find(" level=") + 1); }

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

TEST_CASE("values cannot forge a line or a field") {
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

TEST_CASE("a value is capped") {
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
