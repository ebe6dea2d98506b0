// Health: whether the process should get work (readiness) and whether it should live on (liveness).
//
// Readiness is a list of named checks; each says why not, or nothing. Liveness comes from the Watchdog alone.
// Threads: add() before the others; the rest thread-safe if the checks are (they run on the asker's thread).
// Errors: none.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace postfleet::runtime {

class Health final {
public:
    // `why_not` answers at once: an empty text when all is well.
    void add(std::string name, std::function<std::string()> why_not);

    struct Report {
        bool ok = true;
        std::vector<std::pair<std::string, std::string>> checks;  // name, why not
        std::string to_json() const;  // {"ready":false,"checks":[{"name":"spool","ok":false,"reason":"…"}]}
    };
    Report report() const;

private:
    std::vector<std::pair<std::string, std::function<std::string()>>> checks_;
};

}  // namespace postfleet::runtime
