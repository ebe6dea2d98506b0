// KeptFile: what a service must know without a router: one file, replaced as a whole, checked when it is read.
//
// Threads: confined; blocks on the disk. Errors: NotFound, Corruption (it is not what was written), Unavailable.
#pragma once

#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"

namespace postfleet::rpc {

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
