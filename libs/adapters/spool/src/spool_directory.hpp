// SpoolDirectory: proof that a directory is ours, of a version we read, and used by nobody else.
//
//   postfleet-spool   marker: "postfleet-spool <version>\nid <32 hexadecimal digits>\n"
//   LOCK              held with flock(2) as long as this object lives; contains the process id
//   log/  index/      what the spool keeps
//
// Threads: confined. Blocks. Errors: AlreadyExists (in use), InvalidArgument (something else, or newer),
// PermissionDenied, and what the file system says; each says how to mend it.
#pragma once

#include <memory>
#include <string>

#include "log_format.hpp"

namespace postfleet::spool {

class SpoolDirectory {
public:
    // Makes it when it does not exist or is empty.
    static Result<std::unique_ptr<SpoolDirectory>> open(const std::string& path);
    ~SpoolDirectory();

    const SpoolId& id() const { return id_; }
    const std::string& id_text() const { return id_text_; }
    std::string log() const { return path_ + "/log"; }
    std::string index() const { return path_ + "/index"; }

private:
    explicit SpoolDirectory(std::string path) : path_(std::move(path)) {}
    Status lock();
    Status read_marker();
    Status write_marker();
    Status sync_names() const;

    std::string path_;
    SpoolId id_{};
    std::string id_text_;
    int lock_ = -1;
};

}  // namespace postfleet::spool
