#include "postfleet/ingest/accounts.hpp"

#include <utility>

namespace postfleet::ingest {

Account AccountBook::find(Meters& meters, const std::string& name, const config::AccountLimits& limits) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<AccountMeters>& found = meters[name];
    if (found == nullptr) found = std::make_shared<AccountMeters>();
    return {limits, found};
}

std::unique_ptr<AccountPlace> AccountPlace::take(const Account& user, const Account& tenant) {
    if (!user.meters->connections.take(user.limits.max_connections)) return nullptr;
    if (!tenant.meters->connections.take(tenant.limits.max_connections)) {
        user.meters->connections.give_back();
        return nullptr;
    }
    return std::unique_ptr<AccountPlace>(new AccountPlace(user.meters, tenant.meters));
}

AccountPlace::~AccountPlace() {
    user_->connections.give_back();
    tenant_->connections.give_back();
}

}  // namespace postfleet::ingest
