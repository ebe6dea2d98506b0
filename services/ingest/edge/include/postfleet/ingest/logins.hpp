// Logins: who may log in to this process, and what checks it. One for all ways in, so that guesses and rates of a user
// count together wherever they come.
//
// Nothing is made before a configuration lets somebody log in. Password files are read once for every configuration.
//
// Threads: from the one that starts and reloads; what it gives away is thread-safe. Blocks on files. Executors that
// password checks were asked from outlive it and all rules that have its services.
#pragma once

#include <memory>

#include "postfleet/base/result.hpp"
#include "postfleet/ingest/auth_guard.hpp"
#include "postfleet/ingest/user_directory.hpp"

namespace postfleet::ingest {

class Logins final {
public:
    Logins();
    ~Logins();
    Logins(const Logins&) = delete;
    Logins& operator=(const Logins&) = delete;

    // Null: nobody can log in anywhere. Errors: a password file, with its place in the configuration.
    Result<std::shared_ptr<const UserDirectory>> users_of(const std::shared_ptr<const config::Config>& config);
    // Shared with the rules of listeners; null before there was somebody.
    std::shared_ptr<AuthServices> services() const;

private:
    struct Checks;
    std::shared_ptr<Checks> checks_;                // shared as services()
    std::shared_ptr<const config::Config> config_;  // that users_ are of
    std::shared_ptr<const UserDirectory> users_;    // shared with rules
};

}  // namespace postfleet::ingest
