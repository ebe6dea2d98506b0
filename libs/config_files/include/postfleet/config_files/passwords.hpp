// The password files of users, those that we log in with elsewhere, and the secret behind answers to names that do not
// exist.
//
// Threads: thread-safe; blocks on files. Errors: problems with their key and place in the configuration; texts never
// quote a file.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/base/secret.hpp"
#include "postfleet/base/stored_password.hpp"
#include "postfleet/config/load.hpp"

namespace postfleet::config_files {

// User name → what is kept. shared_ptr because a check may still run when a reload has dropped the user.
using Passwords = std::map<std::string, std::shared_ptr<const StoredPassword>>;
Passwords load_passwords(const config::Config& config, std::vector<config::Problem>& problems);

// Path → its first line: what we tell proxies and smart hosts.
using Secrets = std::map<std::string, Secret, std::less<>>;
std::shared_ptr<const Secrets> load_secrets(const config::Config& config, std::vector<config::Problem>& problems);

// The first line of a file that only we may read.
Result<Secret> read_secret(const std::string& path);

// data_dir/.login-secret; made with 32 random octets when it is not there, readable by this user alone.
Result<std::string> load_login_secret(const std::string& data_dir);

}  // namespace postfleet::config_files
