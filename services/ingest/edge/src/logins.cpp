#include "postfleet/ingest/logins.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/config_files/passwords.hpp"
#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/password/verify_pool.hpp"

namespace postfleet::ingest {
namespace {

bool may_anybody_log_in(const config::Config& config) {
    if (!config.grpc_listeners.empty() && !config.users.empty()) return true;
    return std::any_of(config.listeners.begin(), config.listeners.end(),
                       [](const auto& listener) { return listener.second.auth != config::ListenerAuth::None; });
}

}  // namespace

struct Logins::Checks {
    explicit Checks(std::string secret)
        : services{.verifier = pool, .rules = {.digests = digests, .decoy_secret = std::move(secret)}, .guard = {}} {
        services.rules.decoy_iterations = password::HashCost{}.scram_iterations;
    }
    crypto::OpensslDigests digests;
    password::VerifyPool pool{digests, {}};
    AuthServices services;
    AccountBook accounts;
};

Logins::Logins() = default;
Logins::~Logins() = default;

Result<std::shared_ptr<const UserDirectory>> Logins::users_of(const std::shared_ptr<const config::Config>& config) {
    if (config == config_) return users_;
    std::shared_ptr<const UserDirectory> users;
    if (may_anybody_log_in(*config)) {
        std::vector<config::Problem> problems;
        const Passwords passwords = config_files::load_passwords(*config, problems);
        if (!problems.empty()) return Error{ErrorKind::InvalidArgument, problems.front().to_string()};
        if (checks_ == nullptr) {
            auto secret = config_files::load_login_secret(config->data_dir);
            if (!secret) return secret.error();
            checks_ = std::make_shared<Checks>(std::move(*secret));
        }
        users = std::make_shared<const UserDirectory>(*config, passwords, checks_->accounts);
    }
    config_ = config;
    users_ = std::move(users);
    return users_;
}

std::shared_ptr<AuthServices> Logins::services() const {
    return checks_ == nullptr ? nullptr : std::shared_ptr<AuthServices>(checks_, &checks_->services);
}

}  // namespace postfleet::ingest
