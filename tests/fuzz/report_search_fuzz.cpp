// A report file as another program may have left it, searched for the events of a message (`postfleet history` and
// FeedbackQuery): what is found is an event of that message, and nothing of the rest.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "postfleet/base/require.hpp"
#include "report_search.hpp"

using namespace postfleet;

namespace {

// Its own folder, which goes when the process ends.
class Folder {
public:
    Folder() {
        std::string path = (std::filesystem::temp_directory_path() / "report_search.XXXXXX").string();
        require(::mkdtemp(path.data()) != nullptr);
        path_ = path;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::string file() const { return (path_ / "events.jsonl").string(); }

private:
    std::filesystem::path path_;
};

}  // namespace

void fuzz_report_search(std::span<const std::byte> input) {
    static const Folder folder;
    static const std::string id = "0193a5c0-0000-7000-8000-000000000001";
    std::ofstream(folder.file(), std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
    config::Report report;
    report.path = folder.file();
    control::ReportFindings found;
    const control::ReportSearch search{.message = MessageId::parse(id).value(),
                                       .until = steady_clock_now() + std::chrono::minutes(1)};
    control::search_reports(report, search, found);
    require(found.files.size() == 1 && found.events.size() * id.size() <= input.size());
    for (const boost::json::value& event : found.events) {
        require(event.at("data").at("message_id").as_string() == search.message.to_string());
    }
}
