// UserDirectory: who may log in, from which tenant, and as whom they may send. One per configuration.
//
// Threads: immutable, shared.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/stored_password.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/ingest/accounts.hpp"

namespace postfleet::ingest {

struct KnownUser {
    std::string name;
    std::string tenant;
    std::string virtual_mta;           // where its mail goes when no binding says otherwise; empty: the default
    Account account, tenant_account;
    bool has_rates = false;            // of one of the two
    config::ScheduleRights schedule;   // its own, else its tenant's
    std::vector<std::string> send_as;  // its tenant's: "acme.example", ".acme.example" for what is below, "*"
    // shared_ptr because a check may still run when a reload has dropped the user; null: certificate only.
    std::shared_ptr<const StoredPassword> password;

    // `domain` is in its normal form (normalize_domain). An address literal is only ever let pass by "*".
    bool may_send_as(std::string_view domain) const;
};

using Passwords = std::map<std::string, std::shared_ptr<const StoredPassword>>;  // user name → what is kept

class UserDirectory final {
public:
    UserDirectory(const config::Config& config, const Passwords& passwords, AccountBook& accounts);

    // Null: there is none. Names are compared octet by octet.
    std::shared_ptr<const KnownUser> find(std::string_view name) const;
    std::shared_ptr<const KnownUser> find_by_certificate(std::string_view fingerprint) const;

private:
    // shared_ptr because connections hold their user over reloads.
    std::map<std::string, std::shared_ptr<const KnownUser>, std::less<>> by_name_;
    std::map<std::string, std::shared_ptr<const KnownUser>, std::less<>> by_certificate_;
};

}  // namespace postfleet::ingest
