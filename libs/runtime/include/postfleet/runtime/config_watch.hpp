// ConfigWatch: notices that the configuration files have changed and come to rest.
//
// Looks at names, sizes, inodes and modification times of a directory's *.yaml and *.yml (or of one file),
// following symbolic links, so that an editor's rename, a plain write and a mounted ConfigMap's switch all
// count. A change is reported when two looks in a row saw the same: call is_changed() once a second.
// Looking costs one stat per file; inotify would cost less and miss the links' targets.
//
// Threads: confined; blocks on the file system. Errors: none; what cannot be read is a change like any other.
#pragma once

#include <string>

namespace postfleet::runtime {

class ConfigWatch final {
public:
    explicit ConfigWatch(std::string path);
    // True once per change.
    bool is_changed();
    // The files are known as they are now (after a reload that somebody asked for).
    void accept();

private:
    std::string fingerprint() const;
    const std::string path_;
    std::string known_, last_look_;
};

}  // namespace postfleet::runtime
