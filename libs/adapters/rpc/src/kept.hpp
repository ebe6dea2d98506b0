// KeptFile: what a service must know without a router: one file, replaced as a whole, checked when it is read.
//
// Threads: confined; blocks on the disk. Errors: NotFound, Corruption (it is not what was written), Unavailable.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"

namespace postfleet::rpc {

// What stands in the file before the content, and the content of a file's octets; nothing, when they are not what was
// written.
std::string kept_head(std::string_view content);
std::optional<std::string> content_of_kept(std::string_view octets);

class KeptFile final {
public:
    explicit KeptFile(std::string path) : path_(std::move(path)) {}
    Result<std::string> read() const;
    // Durable when it returns.
    Status write(std::string_view octets) const;

private:
    std::string path_;
};

}  // namespace postfleet::rpc
