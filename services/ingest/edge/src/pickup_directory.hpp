// PickupDirectory: the files of one pickup directory: finding, claiming, reading, putting aside (SEC-17).
//
//   <directory>/order.eml ─claim▶ <directory>/.postfleet/<message id>.order.eml ─▶ removed, once it is durable mail
//                                                                   └─▶ <bad directory>/order.eml + order.eml.reason
//
// A file is renamed into a private directory before anything else is asked of it, so nobody can put another one in its
// place. There it must be a regular file with one name; links are never followed, and what could block or have side
// effects when it is opened is not opened. The claim's name carries the message id, so that after a crash the file
// becomes the same message again. Everything works on descriptors of the directories, not on their paths.
//
// The private directory is locked: one process takes the files. Who may write into the directory may send mail: it must not be writable by everybody. Its subdirectories are left
// alone. Threads: confined to one that may block. Errors: what the system says, with the name.
#pragma once

#include <dirent.h>
#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/id.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/net/unique_fd.hpp"

namespace postfleet::ingest {

struct Claim {
    MessageId id;
    std::string name;      // in the private directory
    std::string original;  // as it was found; for a very long name its beginning
};

class PickupDirectory final {
public:
    struct Settings {
        std::string directory, bad_directory;
    };
    static Result<std::unique_ptr<PickupDirectory>> open(const Settings& settings);

    const std::string& path() const { return settings_.directory; }
    const std::string& bad_path() const { return settings_.bad_directory; }

    // The names in the directory, one by one, without dot files; nothing at the end, and then from the beginning.
    // Names that come and go meanwhile may or may not be among them.
    std::optional<std::string> next_name();
    // Claims that an earlier process left; at most `limit`.
    std::vector<Claim> leftovers(std::size_t limit) const;

    // When it was last written, renamed or changed otherwise. Nothing: it is gone, or a directory.
    std::optional<WallTime> changed_at(const std::string& name) const;
    // Nothing: somebody else was faster.
    Result<std::optional<Claim>> claim(const std::string& name, const MessageId& id) const;

    struct OpenFile {
        net::UniqueFd fd;
        struct stat facts {};
    };
    // PermissionDenied: it can never be taken, and the text says why to whoever put it there.
    Result<OpenFile> open_claimed(const Claim& claim) const;
    Status remove(const Claim& claim) const;
    // Moves it into the bad directory, with its reason; answers its name there.
    Result<std::string> reject(const Claim& claim, const std::string& why) const;
    // Claims and removals survive a power loss from here on.
    Status sync() const;

private:
    struct CloseDirectory {
        void operator()(DIR* directory) const { ::closedir(directory); }
    };
    using Listing = std::unique_ptr<DIR, CloseDirectory>;

    explicit PickupDirectory(Settings settings) : settings_(std::move(settings)) {}
    Status open_all();
    Status open_private();
    Result<std::string> reject_as(const Claim& claim, const std::string& name, const std::string& text) const;

    const Settings settings_;
    net::UniqueFd directory_, private_, bad_;
    Listing listing_;  // of the directory, between two calls of next_name()
};

}  // namespace postfleet::ingest
