#include "postfleet/ingest/user_directory.hpp"

#include <algorithm>

namespace postfleet::ingest {
namespace {

config::ScheduleRights rights_of(const config::User& user, const config::Tenant& tenant) {
    config::ScheduleRights rights = user.schedule;
    if (!rights.max_future_release) rights.max_future_release = tenant.schedule.max_future_release;
    if (!rights.deliver_by) rights.deliver_by = tenant.schedule.deliver_by;
    if (!rights.mt_priority) rights.mt_priority = tenant.schedule.mt_priority;
    return rights;
}

}  // namespace

bool KnownUser::may_send_as(std::string_view domain) const {
    return std::any_of(send_as.begin(), send_as.end(), [domain](const std::string& allowed) {
        if (allowed == "*") return true;
        if (allowed.front() == '.') return domain.size() > allowed.size() && domain.ends_with(allowed);
        return domain == allowed;
    });
}

UserDirectory::UserDirectory(const config::Config& config, const Passwords& passwords, AccountBook& accounts) {
    for (const auto& [name, user] : config.users) {
        auto known = std::make_shared<KnownUser>();
        known->name = name;
        known->tenant = user.tenant;
        known->virtual_mta = user.virtual_mta;
        const config::Tenant& tenant = config.tenants.at(user.tenant);
        known->send_as = tenant.send_as;
        known->schedule = rights_of(user, tenant);
        known->account = accounts.user(name, user.limits);
        known->tenant_account = accounts.tenant(user.tenant, tenant.limits);
        known->has_rates = known->account.has_rates() || known->tenant_account.has_rates();
        if (const auto password = passwords.find(name); password != passwords.end()) known->password = password->second;
        if (!user.certificate.empty()) by_certificate_[user.certificate] = known;
        by_name_[name] = std::move(known);
    }
}

std::shared_ptr<const KnownUser> UserDirectory::find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
}

std::shared_ptr<const KnownUser> UserDirectory::find_by_certificate(std::string_view fingerprint) const {
    const auto found = by_certificate_.find(fingerprint);
    return found == by_certificate_.end() ? nullptr : found->second;
}

}  // namespace postfleet::ingest
