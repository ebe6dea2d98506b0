// Files: the file system as the log uses it; the seam where tests let writes and syncs fail.
//
// Threads: thread-safe; a File may be read while another thread writes elsewhere in it. Blocks on the disk.
// Errors: ResourceExhausted (no space, no descriptors), NotFound, PermissionDenied, Unavailable (I/O error),
// each with the path and the reason of the operating system.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "postfleet/base/result.hpp"

namespace postfleet::spool {

class File {
public:
    virtual ~File() = default;
    // Writes all parts, one after the other. `parts` is used up.
    virtual Status write(std::uint64_t offset, std::span<iovec> parts) = 0;
    virtual Status sync() = 0;  // data, and the size where it changed
    // Reads exactly `size` octets; Corruption when the file ends before.
    virtual Status read(std::uint64_t offset, char* to, std::size_t size) = 0;
};

class Files {
public:
    virtual ~Files() = default;
    virtual Result<std::unique_ptr<File>> open(const std::string& path) = 0;
    // A new file of `size` zero octets whose blocks are its own, synced: writing to it later cannot run out of
    // space, nor does it change the file's size.
    virtual Result<std::unique_ptr<File>> create(const std::string& path, std::uint64_t size) = 0;
    virtual Status rename(const std::string& from, const std::string& to) = 0;
    virtual Status remove(const std::string& path) = 0;
    virtual Status sync_directory(const std::string& path) = 0;
    virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
    virtual Result<std::uint64_t> free_octets(const std::string& path) = 0;
};

Files& real_files();

// What the operating system said, as an Error: "cannot write /x: No space left on device".
Error system_error(const char* verb, const std::string& path, int number);

}  // namespace postfleet::spool
