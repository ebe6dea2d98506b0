// Log: structured log lines, one per fact, written by whoever implements LogSink.
//
//   log.line(LogLevel::Info, "attempt").field("queue", q).field("code", 250);
//
// A line is finished when the temporary goes out of scope. It is written as logfmt:
// time=… level=info event=attempt queue=… Values are escaped and capped (512 octets). A sink never waits
// for its file: it drops and counts when it cannot keep up. Threads: thread-safe.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace postfleet {

enum class LogLevel { Debug, Info, Warning, Error };

class LogSink {
public:
    virtual ~LogSink() = default;
    virtual void write(LogLevel level, std::string&& line) = 0;  // without a line end
};

class Log {
public:
    // A log without a sink writes nothing.
    Log() = default;
    explicit Log(LogSink& sink, LogLevel lowest = LogLevel::Info) : sink_(&sink), lowest_(lowest) {}

    bool is_on(LogLevel level) const { return sink_ != nullptr && level >= lowest_; }

    class Line {
    public:
        Line(LogSink* sink, LogLevel level, std::string_view event);
        ~Line();
        Line(const Line&) = delete;
        Line& operator=(const Line&) = delete;
        Line& field(std::string_view name, std::string_view value);
        Line& field(std::string_view name, const char* value) { return field(name, std::string_view(value)); }
        template <std::integral T>
        Line& field(std::string_view name, T value) {
            return number(name, static_cast<std::int64_t>(value));
        }
        Line& field(std::string_view name, double value);

    private:
        Line& number(std::string_view name, std::int64_t value);
        LogSink* sink_;
        LogLevel level_;
        std::string text_;
    };

    Line line(LogLevel level, std::string_view event) const {
        return Line(is_on(level) ? sink_ : nullptr, level, event);
    }

private:
    LogSink* sink_ = nullptr;
    LogLevel lowest_ = LogLevel::Info;
};

}  // namespace postfleet
