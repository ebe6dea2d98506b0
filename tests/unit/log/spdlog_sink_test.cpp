#include "postfleet/log/spdlog_sink.hpp"

#include "postfleet/base/time.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

using namespace postfleet;
namespace fs = std::filesystem;

namespace {

struct Folder {
    Folder() {
        std::string name = fs::temp_directory_path() / "postfleet-log-XXXXXX";
        path = ::mkdtemp(name.data());
    }
    ~Folder() { fs::remove_all(path); }
    std::string operator/(const char* name) const { return path / name; }
    fs::path path;
};

std::vector<std::string> lines_of(const std::string& path) {
    std::vector<std::string> lines;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

}  // namespace

TEST_CASE("lines are in the file after a flush, in order") {
    Folder folder;
    auto sink = *SpdlogSink::open({.path = folder / "mta.log"});
    Log log(*sink);
    for (int i = 0; i < 100; ++i) log.line(LogLevel::Info, "test").field("n", i);
    sink->flush();
    const auto lines = lines_of(folder / "mta.log");
    REQUIRE(lines.size() == 100);
    CHECK(lines[0].find("level=info event=test n=0") != std::string::npos);
    CHECK(lines[99].find("n=99") != std::string::npos);
}

TEST_CASE("lines are written without anybody asking, soon after they came") {
    Folder folder;
    auto sink = *SpdlogSink::open({.path = folder / "mta.log"});
    Log(*sink).line(LogLevel::Info, "alone");
    const SteadyTime give_up = steady_clock_now() + std::chrono::seconds(10);
    while (lines_of(folder / "mta.log").empty() && steady_clock_now() < give_up) std::this_thread::yield();
    CHECK(lines_of(folder / "mta.log").size() == 1);
}

TEST_CASE("what was written is in the file when the sink is gone") {
    Folder folder;
    {
        auto sink = *SpdlogSink::open({.path = folder / "mta.log"});
        for (int i = 0; i < 10; ++i) sink->write(LogLevel::Info, "line " + std::to_string(i));
    }
    CHECK(lines_of(folder / "mta.log").size() == 10);
}

TEST_CASE("lines of many threads all arrive, whole and in order of time") {
    Folder folder;
    auto sink = *SpdlogSink::open({.path = folder / "mta.log", .max_buffered = 64u << 20});
    constexpr int kThreads = 4, kLines = 2'000;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&sink, t] {
            Log log(*sink);
            for (int i = 0; i < kLines; ++i) log.line(LogLevel::Info, "t").field("thread", t).field("n", i);
        });
    }
    for (std::thread& thread : threads) thread.join();
    sink->flush();
    const auto lines = lines_of(folder / "mta.log");
    CHECK(lines.size() == kThreads * kLines);
    CHECK(std::all_of(lines.begin(), lines.end(), [](const std::string& line) { return line.starts_with("time="); }));
    CHECK(sink->statistics().lines == kThreads * kLines);
    CHECK(sink->statistics().dropped == 0);
}

TEST_CASE("over its budget the sink drops, counts, and says so in the log") {
    Folder folder;
    auto sink = *SpdlogSink::open({.path = folder / "mta.log", .max_buffered = 1'000});
    sink->write(LogLevel::Info, std::string(2'000, 'x'));  // never fits
    sink->write(LogLevel::Info, "fits");
    sink->flush();
    CHECK(sink->statistics().dropped == 1);
    const auto lines = lines_of(folder / "mta.log");
    REQUIRE(lines.size() == 2);
    CHECK(lines[0] == "fits");
    CHECK(lines[1].find("event=log-lines-dropped count=1") != std::string::npos);
}

TEST_CASE("the file rotates at its size and keeps as many as asked") {
    Folder folder;
    auto sink = *SpdlogSink::open({.path = folder / "mta.log", .rotate_size = 1'000, .keep = 2});
    for (int i = 0; i < 10; ++i) {
        sink->write(LogLevel::Info, std::string(600, 'x'));
        sink->flush();
    }
    CHECK(fs::exists(folder / "mta.log"));
    CHECK(fs::exists(folder / "mta.1.log"));
    CHECK(fs::exists(folder / "mta.2.log"));
    CHECK_FALSE(fs::exists(folder / "mta.3.log"));
}

TEST_CASE("a path that cannot be written is an error that names it") {
    auto sink = SpdlogSink::open({.path = "/proc/nowhere/mta.log"});
    REQUIRE_FALSE(sink);
    CHECK(sink.error().text.find("/proc/nowhere/mta.log") != std::string::npos);
}

TEST_CASE("a file that was moved away is made anew, and lines go there") {
    Folder folder;
    auto sink = *SpdlogSink::open({.path = folder / "mta.log"});
    sink->write(LogLevel::Info, "before");
    sink->flush();
    fs::rename(folder / "mta.log", folder / "mta.log.moved");
    const SteadyTime give_up = steady_clock_now() + std::chrono::seconds(10);
    while (!fs::exists(folder / "mta.log") && steady_clock_now() < give_up) {
        sink->write(LogLevel::Info, "after");
        sink->flush();
    }
    sink->write(LogLevel::Info, "last");
    sink->flush();
    CHECK(lines_of(folder / "mta.log.moved").front() == "before");
    REQUIRE_FALSE(lines_of(folder / "mta.log").empty());
    CHECK(lines_of(folder / "mta.log").back() == "last");
}
