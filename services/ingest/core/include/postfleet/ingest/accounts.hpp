// AccountMeters, AccountBook: what each user and each tenant has in use of its limits, over all connections and reloads.
// AccountPlace: the place that one connection takes among those of its user and its tenant.
//
// Threads: thread-safe; the book locks, and is asked when users are loaded only.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "postfleet/config/config.hpp"
#include "postfleet/throttle/places.hpp"
#include "postfleet/throttle/rate_meter.hpp"

namespace postfleet::ingest {

struct AccountMeters {
    throttle::Places connections;
    throttle::RateMeter messages, recipients;
};

// The limits of one configuration with what is in use of them.
struct Account {
    config::AccountLimits limits;
    // shared_ptr because it outlives the configuration and connections hold it.
    std::shared_ptr<AccountMeters> meters;
    bool has_rates() const {
        return !limits.max_message_rate.is_unlimited() || !limits.max_recipient_rate.is_unlimited();
    }
};

class AccountBook final {
public:
    Account user(const std::string& name, const config::AccountLimits& limits) { return find(users_, name, limits); }
    Account tenant(const std::string& name, const config::AccountLimits& limits) {
        return find(tenants_, name, limits);
    }

private:
    // Names that have gone from the configuration stay: there are as many as it ever had.
    using Meters = std::map<std::string, std::shared_ptr<AccountMeters>>;
    Account find(Meters& meters, const std::string& name, const config::AccountLimits& limits);

    std::mutex mutex_;
    Meters users_, tenants_;
};

class AccountPlace final {
public:
    // Null: one of them has no place left.
    static std::unique_ptr<AccountPlace> take(const Account& user, const Account& tenant);
    ~AccountPlace();
    AccountPlace(const AccountPlace&) = delete;
    AccountPlace& operator=(const AccountPlace&) = delete;

private:
    AccountPlace(std::shared_ptr<AccountMeters> user, std::shared_ptr<AccountMeters> tenant)
        : user_(std::move(user)), tenant_(std::move(tenant)) {}
    std::shared_ptr<AccountMeters> user_, tenant_;
};

}  // namespace postfleet::ingest
