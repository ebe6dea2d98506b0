#include "sink_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "postfleet/base/json.hpp"

namespace postfleet::tools {

namespace {

constexpr std::size_t kFlushAt = 64 * 1024;

}  // namespace

Result<std::unique_ptr<OutputFile>> OutputFile::open(const std::string& path) {
    net::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) return Error{ErrorKind::InvalidArgument, fmt::format("{}: {}", path, std::strerror(errno))};
    return std::unique_ptr<OutputFile>(new OutputFile(path, std::move(fd)));
}

void OutputFile::fail(const char* doing) const {
    fmt::print(stderr, "postfleet sink: {} {}: {}\n", doing, path_, std::strerror(errno));
    std::_Exit(1);
}

void OutputFile::append(std::string_view octets) {
    const std::lock_guard lock(mutex_);
    while (!octets.empty()) {
        const ssize_t written = ::write(fd_.get(), octets.data(), octets.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail("writing");
        octets.remove_prefix(static_cast<std::size_t>(written));
    }
}

void OutputFile::replace_durably(std::string_view octets) {
    const std::lock_guard lock(mutex_);
    // One short write in place: a reader sees the old number or the new one, padded to the same width.
    if (::pwrite(fd_.get(), octets.data(), octets.size(), 0) != static_cast<ssize_t>(octets.size())) fail("writing");
    if (::fdatasync(fd_.get()) != 0) fail("syncing");
}

void TraceBuffer::add(std::string_view event, const Where& where, std::string_view key, std::string_view text,
                      int code) {
    JsonWriter json(lines_);
    json.begin_object().member("t", clock_.at(steady_clock_now())).member("event", event);
    json.member("connection", where.connection).member("source", where.source.to_string());
    json.member("port", where.source_port);
    if (!key.empty()) json.member(key, text);
    if (code != 0) json.member("code", code);
    json.end_object();
    lines_ += '\n';
    if (lines_.size() >= kFlushAt) flush();
}

void TraceBuffer::flush() {
    if (lines_.empty()) return;
    file_.append(lines_);
    lines_.clear();
}

std::string unstuff_dots(std::string_view content) {
    std::string plain;
    plain.reserve(content.size());
    bool at_line_start = true;
    for (const char c : content) {
        if (!(at_line_start && c == '.')) plain += c;
        at_line_start = c == '\n';
    }
    return plain;
}

Result<std::unique_ptr<MessageStore>> MessageStore::open(const std::string& directory, const std::string& file) {
    auto store = std::make_unique<MessageStore>();
    std::string path = file;
    if (!directory.empty()) {
        if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
            return Error{ErrorKind::InvalidArgument, fmt::format("{}: {}", directory, std::strerror(errno))};
        }
        store->directory_ = directory;
        path = directory + "/envelopes.jsonl";
    }
    Result<std::unique_ptr<OutputFile>> opened = OutputFile::open(path);
    if (!opened) return opened.error();
    store->envelopes_ = std::move(*opened);
    return store;
}

void MessageStore::add(const StoredMessage& message) {
    const std::string plain = unstuff_dots(message.content);
    const std::lock_guard lock(mutex_);
    const std::uint64_t number = next_number_++;
    std::string line;
    JsonWriter json(line);
    json.begin_object().member("number", number).member("received", format_rfc3339(message.received));
    json.member("source", message.source.to_string()).member("from", message.from);
    json.key("to").begin_array();
    for (const std::string_view recipient : message.recipients) json.value(recipient);
    json.end_array().member("size", plain.size());
    if (directory_.empty()) {
        json.member("content", plain);
    } else {
        const std::string name = fmt::format("{:06}.eml", number);
        json.member("file", name);
        Result<std::unique_ptr<OutputFile>> file = OutputFile::open(directory_ + "/" + name);
        if (!file) {
            fmt::print(stderr, "postfleet sink: {}\n", file.error().text);
            std::_Exit(1);
        }
        (*file)->append(plain);
    }
    json.end_object();
    envelopes_->append(line += '\n');
}

}  // namespace postfleet::tools
