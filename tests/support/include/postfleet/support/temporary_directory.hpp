// TemporaryDirectory: an empty folder of its own, removed with everything in it at the end of the scope.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace postfleet::support {

class TemporaryDirectory final {
public:
    TemporaryDirectory();  // under $TMPDIR, or /tmp
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::string file(std::string_view name) const { return (path_ / name).string(); }
    // Writes a file in it (parents are made) and returns its path.
    std::string write(std::string_view name, std::string_view content) const;
    static std::string read(const std::filesystem::path& file);

private:
    std::filesystem::path path_;
};

}  // namespace postfleet::support
