#include "report_search.hpp"

#include <boost/json.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "postfleet/control/json_view.hpp"

namespace postfleet::control {
namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::size_t kLongestEvent = 1 << 20;
// Ids, reports and files are stamped one after the other, by clocks that may be stepped a little.
constexpr std::chrono::minutes kSlack{1};

struct ReportFile {
    std::string path;
    WallTime changed_at{};
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "events.jsonl.20261122-101112-3" of "events.jsonl" (RotatedFile).
bool is_rotated(std::string_view name, std::string_view base) {
    return name.size() > base.size() + 1 && name.starts_with(base) && name[base.size()] == '.' &&
           is_digit(name[base.size() + 1]);
}

void add_file(std::string path, std::vector<ReportFile>& files) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) return;
    const auto since_epoch =
        std::chrono::seconds(facts.st_mtim.tv_sec) + std::chrono::nanoseconds(facts.st_mtim.tv_nsec);
    files.push_back({std::move(path), WallTime(std::chrono::floor<WallTime::duration>(since_epoch))});
}

// The newest first.
std::vector<ReportFile> files_of(const config::Report& report, ReportFindings& found) {
    const std::filesystem::path path(report.path);
    const std::string base = path.filename().string();
    std::vector<ReportFile> files;
    add_file(report.path, files);
    for (const std::filesystem::path& folder : {path.parent_path(), std::filesystem::path(report.move_to)}) {
        if (folder.empty()) continue;
        std::error_code error;
        for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
             entry.increment(error)) {
            if (is_rotated(entry->path().filename().string(), base)) add_file(entry->path().string(), files);
        }
        if (error) found.troubles.push_back(folder.string() + ": " + error.message());
    }
    std::stable_sort(files.begin(), files.end(),
                     [](const ReportFile& a, const ReportFile& b) { return a.changed_at > b.changed_at; });
    return files;
}

// Null: it is none.
boost::json::value parse_event(std::string_view line) {
    boost::system::error_code error;
    boost::json::value value = boost::json::parse({line.data(), line.size()}, error);
    return error ? boost::json::value() : value;
}

class Reader final {
public:
    Reader(const ReportSearch& search, ReportFindings& found)
        : search_(search), found_(found), id_(search.message.to_string()), left_(search.most_octets) {}

    // False: enough was read; what is left of it is not.
    bool read(const ReportFile& file);
    // When the file read last begins.
    std::optional<WallTime> begin() const { return begin_; }

private:
    void look(std::string_view lines);
    void look_at(std::string_view line);

    const ReportSearch& search_;
    ReportFindings& found_;
    const std::string id_;
    std::uint64_t left_;
    std::optional<WallTime> begin_;
};

bool Reader::read(const ReportFile& file) {
    const int descriptor = ::open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        found_.troubles.push_back(file.path + ": " + std::generic_category().message(errno));
        return true;
    }
    found_.files.push_back(file.path);
    begin_.reset();
    bool is_first = true;
    std::string text;
    ssize_t got = 0;
    while (left_ > 0 && steady_clock_now() < search_.until) {
        const std::size_t kept = text.size();
        text.resize(kept + kBlock);
        got = ::read(descriptor, text.data() + kept, kBlock);
        text.resize(kept + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        left_ -= std::min<std::uint64_t>(left_, static_cast<std::uint64_t>(got));
        if (std::exchange(is_first, false)) {
            begin_ = JsonView(parse_event(std::string_view(text).substr(0, text.find('\n')))).time("time");
        }
        const std::size_t end = text.rfind('\n') + 1;  // of the last whole line
        look(std::string_view(text).substr(0, end));
        text.erase(0, end);
        if (text.size() > kLongestEvent) text.clear();
    }
    if (got < 0) found_.troubles.push_back(file.path + ": " + std::generic_category().message(errno));
    ::close(descriptor);
    return left_ > 0 && steady_clock_now() < search_.until;
}

void Reader::look(std::string_view lines) {
    while (const void* const hit = ::memmem(lines.data(), lines.size(), id_.data(), id_.size())) {
        const auto at = static_cast<std::size_t>(static_cast<const char*>(hit) - lines.data());
        const std::size_t begin = lines.rfind('\n', at) + 1, end = lines.find('\n', at);
        look_at(lines.substr(begin, end - begin));
        lines.remove_prefix(end + 1);
    }
}

// The id may stand in somebody's metadata, too.
void Reader::look_at(std::string_view line) {
    boost::json::value event = parse_event(line);
    if (JsonView(event).object("data").text("message_id") == id_) found_.events.push_back(std::move(event));
}

}  // namespace

void search_reports(const config::Report& report, const ReportSearch& search, ReportFindings& found) {
    Reader reader(search, found);
    for (const ReportFile& file : files_of(report, found)) {
        if (file.changed_at + kSlack < search.since) {
            found.reaches_back = true;
            return;
        }
        if (!reader.read(file)) {
            found.troubles.push_back("not all of " + file.path + " and of what is older was read: it is too much");
            return;
        }
    }
    const auto begin = reader.begin();
    if (!begin) return;
    if (*begin <= search.since + kSlack) found.reaches_back = true;
    found.begin = std::min(found.begin.value_or(*begin), *begin);
}

}  // namespace postfleet::control
