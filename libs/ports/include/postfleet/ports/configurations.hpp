// Configurations (port): which configuration is active in a cluster.
//
// The files as an operator wrote them, by name; whoever needs them loads them itself (libs/config_files). activate()
// of the version that is active already changes nothing and answers with its epoch.
//
// Threads: thread-safe. Never blocks: completions run on the executor named. Errors: as OrderStore's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet {

using ConfigurationFiles = std::map<std::string, std::string, std::less<>>;  // name, without a path → octets

struct ConfigurationSnapshot {
    std::uint64_t epoch = 0;  // grows with each activation; 0: none
    std::string version;      // of the files (config::Config::version)
    ConfigurationFiles files;
    WallTime activated_at{};
    std::string activated_by;
    friend bool operator==(const ConfigurationSnapshot&, const ConfigurationSnapshot&) = default;
};

class Configurations {
public:
    virtual ~Configurations() = default;
    // Its epoch; `snapshot.epoch` is left alone.
    virtual void activate(ConfigurationSnapshot snapshot, Completion<Result<std::uint64_t>> done) = 0;
    // None: `known_epoch` is the active one, or there is none (0).
    virtual void active(std::uint64_t known_epoch, Completion<Result<std::optional<ConfigurationSnapshot>>> done) = 0;
};

}  // namespace postfleet
