#include "postfleet/file/rotated_file.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

using namespace postfleet;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

struct Folder {
    Folder() {
        std::string name = fs::temp_directory_path() / "postfleet-file-XXXXXX";
        path = ::mkdtemp(name.data());
    }
    ~Folder() { fs::remove_all(path); }
    std::string file() const { return path / "events.jsonl"; }
    std::vector<std::string> names() const {
        std::vector<std::string> found;
        for (const auto& entry : fs::directory_iterator(path)) found.push_back(entry.path().filename());
        std::sort(found.begin(), found.end());
        return found;
    }
    fs::path path;
};

std::string content(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

WallTime test_now = from_unix_microseconds(0);
WallTime test_clock() { return test_now; }

std::unique_ptr<RotatedFile> open_at(const std::string& path, std::uint64_t rotate_size = 1 << 20,
                                     std::uint32_t keep = 14) {
    test_now = from_unix_microseconds(4'102'444'800'000'000);  // 2100-01-01: later than any file's birth
    auto opened = RotatedFile::open(
        {.path = path, .rotate_size = rotate_size, .rotate_after = 1h, .keep = keep, .clock = &test_clock}, Log());
    REQUIRE(opened);
    return std::move(*opened);
}

Status write(RotatedFile& file, const std::vector<std::string>& lines) {
    std::vector<ReportRecord> records;
    for (const std::string& line : lines) records.push_back({.text = line, .event = nullptr});
    return file.write(records);
}

}  // namespace

TEST_CASE("records become lines") {
    Folder folder;
    auto file = open_at(folder.file());
    CHECK(write(*file, {"{\"a\":1}", "{\"b\":2}"}));
    CHECK(write(*file, {}));
    CHECK(file->flush());
    CHECK(content(folder.file()) == "{\"a\":1}\n{\"b\":2}\n");
}

TEST_CASE("a file that exists is appended to") {
    Folder folder;
    std::ofstream(folder.file()) << "old\n";
    auto file = open_at(folder.file());
    CHECK(write(*file, {"new"}));
    // The file was made long before the test's time, so its age counts: it has been rotated.
    CHECK(folder.names() == std::vector<std::string>{"events.jsonl", "events.jsonl.21000101-000000"});
    CHECK(content(folder.file()) == "new\n");
}

TEST_CASE("a partial last line is cut when the file is opened again") {
    Folder folder;
    const std::string rest = GENERATE(std::string("{\"half"), std::string(200'000, 'x'));
    std::ofstream(folder.file()) << "{\"whole\":1}\n" << rest;
    auto file = RotatedFile::open({.path = folder.file()}, Log());
    REQUIRE(file);
    CHECK(content(folder.file()) == "{\"whole\":1}\n");
    CHECK(write(**file, {"{\"half\":2}"}));
    CHECK(content(folder.file()) == "{\"whole\":1}\n{\"half\":2}\n");
}

TEST_CASE("what reads as zeros after a power loss is cut with all that follows it [F07]") {
    Folder folder;
    const std::string holes(5000, '\0');
    const std::string behind = GENERATE(std::string(), std::string("\n"), std::string("{\"late\":3}\n"));
    std::ofstream(folder.file()) << "{\"whole\":1}\n{\"torn" << holes << behind;
    auto file = RotatedFile::open({.path = folder.file()}, Log());
    REQUIRE(file);
    CHECK(content(folder.file()) == "{\"whole\":1}\n");
}

TEST_CASE("a file that holds only half a line becomes empty") {
    Folder folder;
    std::ofstream(folder.file()) << "{\"half";
    auto file = RotatedFile::open({.path = folder.file()}, Log());
    REQUIRE(file);
    CHECK(content(folder.file()).empty());
}

TEST_CASE("rotation by size keeps whole batches and names the old file after the time") {
    Folder folder;
    auto file = open_at(folder.file(), 10);
    CHECK(write(*file, {"12345678"}));
    CHECK(write(*file, {"abc"}));
    CHECK(write(*file, {"a line longer than the limit goes into a file of its own"}));
    CHECK(write(*file, {"x"}));
    CHECK(folder.names() == std::vector<std::string>{"events.jsonl", "events.jsonl.21000101-000000",
                                                     "events.jsonl.21000101-000000-1",
                                                     "events.jsonl.21000101-000000-2"});
    CHECK(content(folder.file() + ".21000101-000000") == "12345678\n");
    CHECK(content(folder.file() + ".21000101-000000-1") == "abc\n");
    CHECK(content(folder.file()) == "x\n");
}

TEST_CASE("rotation by age happens at the next write, and never makes empty files") {
    Folder folder;
    auto file = open_at(folder.file());
    CHECK(write(*file, {"one"}));
    test_now += 59min;
    CHECK(write(*file, {"two"}));
    CHECK(folder.names().size() == 1);
    test_now += 1min;
    CHECK(write(*file, {"three"}));
    CHECK(content(folder.file() + ".21000101-010000") == "one\ntwo\n");
    CHECK(content(folder.file()) == "three\n");
    test_now += 48h;
    CHECK(file->flush());
    CHECK(folder.names().size() == 2);
}

TEST_CASE("every file begins with the header, and one that begins otherwise is rotated first") {
    Folder folder;
    std::ofstream(folder.path / "acct.csv") << "old,columns\nrow\n";
    test_now = from_unix_microseconds(4'102'444'800'000'000);
    RotatedFileOptions options{.path = folder.path / "acct.csv",
                               .header = "type,rcpt",
                               .names = RotatedNames::Dated,
                               .rotate_size = 30,
                               .rotate_after = 1h,
                               .clock = &test_clock};
    auto opened = RotatedFile::open(options, Log());
    REQUIRE(opened);
    CHECK(content(folder.path / "acct-2100-01-01-0000.csv") == "old,columns\nrow\n");
    CHECK(content(folder.path / "acct.csv") == "type,rcpt\n");
    CHECK(write(**opened, {"d,one@a.test"}));
    CHECK(write(**opened, {"d,two@a.test"}));
    CHECK(content(folder.path / "acct-2100-01-01-0001.csv") == "type,rcpt\nd,one@a.test\n");
    CHECK(content(folder.path / "acct.csv") == "type,rcpt\nd,two@a.test\n");

    SECTION("numbers go on after a restart, also when the first files are gone") {
        fs::remove(folder.path / "acct-2100-01-01-0000.csv");
        auto again = RotatedFile::open(options, Log());
        REQUIRE(again);
        CHECK(write(**again, {"d,three@a.test"}));
        CHECK(content(folder.path / "acct-2100-01-01-0002.csv") == "type,rcpt\nd,two@a.test\n");
    }
    SECTION("and begin again on the next day") {
        test_now += 24h;
        CHECK(write(**opened, {"d,three@a.test"}));
        CHECK(content(folder.path / "acct-2100-01-02-0000.csv") == "type,rcpt\nd,two@a.test\n");
    }
}

TEST_CASE("rotated files go to the folder that is given, and stay there") {
    Folder folder;
    test_now = from_unix_microseconds(4'102'444'800'000'000);
    auto opened = RotatedFile::open({.path = folder.path / "acct.csv",
                                     .move_to = folder.path / "done",
                                     .names = RotatedNames::Dated,
                                     .rotate_size = 4,
                                     .rotate_after = 1h,
                                     .keep = 1,
                                     .clock = &test_clock},
                                    Log());
    REQUIRE(opened);
    for (const char* record : {"r0", "r1", "r2", "r3"}) CHECK(write(**opened, {record}));
    for (int n = 0; n < 3; ++n) {
        const std::string name = "acct-2100-01-01-000" + std::to_string(n) + ".csv";
        CHECK(content(folder.path / "done" / name) == "r" + std::to_string(n) + "\n");
    }
}

TEST_CASE("only the newest rotated files are kept, and nothing else is touched") {
    Folder folder;
    std::ofstream(folder.path / "events.jsonl.backup") << "mine";
    std::ofstream(folder.path / "events.jsonl.20000101-000000.gz") << "mine";
    std::ofstream(folder.path / "events.jsonl.20000101-000000") << "old";
    auto file = open_at(folder.file(), 4, 2);
    for (int i = 0; i < 13; ++i) {
        CHECK(write(*file, {"r" + std::to_string(i)}));
    }
    CHECK(folder.names() == std::vector<std::string>{"events.jsonl", "events.jsonl.20000101-000000.gz",
                                                     "events.jsonl.21000101-000000-10",
                                                     "events.jsonl.21000101-000000-11", "events.jsonl.backup"});
    CHECK(content(folder.file() + ".21000101-000000-11") == "r11\n");
}

TEST_CASE("a file that was moved away is made anew, and the moved one is complete") {
    Folder folder;
    auto file = open_at(folder.file());
    CHECK(write(*file, {"one"}));
    fs::rename(folder.file(), folder.path / "moved");
    CHECK(write(*file, {"two"}));
    CHECK(file->flush());
    CHECK(content(folder.path / "moved") == "one\n");
    CHECK(content(folder.file()) == "two\n");
}

TEST_CASE("a file that was moved away and made anew by another is the one that is written") {
    Folder folder;
    auto file = open_at(folder.file());
    CHECK(write(*file, {"one"}));
    fs::rename(folder.file(), folder.path / "moved");
    std::ofstream(folder.file()).flush();
    CHECK(write(*file, {"two"}));
    CHECK(content(folder.file()) == "two\n");
}

TEST_CASE("a file that was truncated from outside goes on from there") {
    Folder folder;
    auto file = open_at(folder.file());
    CHECK(write(*file, {"one"}));
    fs::resize_file(folder.file(), 0);
    CHECK(write(*file, {"two"}));
    CHECK(content(folder.file()) == "two\n");
}

TEST_CASE("a full disk is ResourceExhausted, leaves whole lines, and passes") {
    Folder folder;
    auto file = open_at(folder.file());
    CHECK(write(*file, {"one"}));
    // A file size limit stands in for the full disk: the write stops half-way in the same manner.
    std::signal(SIGXFSZ, SIG_IGN);
    ::rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const ::rlimit small{10, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const Status full = write(*file, {"two", std::string(100, 'x')});
    ::setrlimit(RLIMIT_FSIZE, &before);
    REQUIRE_FALSE(full);
    CHECK(full.error().kind == ErrorKind::ResourceExhausted);
    CHECK_THAT(full.error().text, Contains(folder.file()));
    CHECK(content(folder.file()) == "one\n");
    CHECK(write(*file, {"two"}));
    CHECK(content(folder.file()) == "one\ntwo\n");
}

TEST_CASE("missing folders are made; what cannot be a file is a clear error") {
    Folder folder;
    CHECK(RotatedFile::open({.path = folder.path / "a/b/events.jsonl"}, Log()));
    CHECK(fs::exists(folder.path / "a/b/events.jsonl"));
    CHECK_FALSE(RotatedFile::open({.path = folder.path}, Log()));
    CHECK_FALSE(RotatedFile::open({.path = folder.path.string() + "/"}, Log()));
    const auto denied = RotatedFile::open({.path = "/proc/none/events.jsonl"}, Log());
    REQUIRE_FALSE(denied);
    CHECK_THAT(denied.error().text, Contains("/proc/none"));
}

TEST_CASE("what is not an ordinary file is refused") {
    Folder folder;
    const std::string link = folder.path / "link.jsonl";
    fs::create_symlink("/dev/full", link);
    const auto special = RotatedFile::open({.path = link}, Log());
    REQUIRE_FALSE(special);
    CHECK_THAT(special.error().text, Contains("not an ordinary file"));
}
