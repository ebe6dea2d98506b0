#include "postfleet/ingest/login.hpp"

#include <random>
#include <utility>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/require.hpp"

namespace postfleet::ingest {
namespace {

// From the operating system: whoever can guess it can replay what somebody else has said.
std::string fresh_nonce() {
    std::random_device system;
    std::string octets(18, '\0');
    for (char& octet : octets) octet = static_cast<char>(system() & 0xff);
    return base64_encode(octets);
}

}  // namespace

Login::Login(sasl::Mechanism mechanism, const Context& context)
    : context_(context),
      exchange_(mechanism, context.services.rules, sasl::is_scram(mechanism) ? fresh_nonce() : std::string(),
                context.binding) {}

Login::~Login() {
    if (waiter_ != nullptr) waiter_->driver = nullptr;
}

smtp::Decision Login::begin(std::optional<std::string_view> initial_response) {
    return carry_out(exchange_.begin(initial_response));
}

smtp::Decision Login::receive(std::string_view line) { return carry_out(exchange_.receive(line)); }

smtp::Decision Login::resume(PasswordVerdict verdict) {
    waiter_ = nullptr;
    return carry_out(exchange_.resume(verdict));
}

smtp::Decision Login::carry_out(sasl::ServerStep step) {
    using Kind = sasl::ServerStep::Kind;
    if (step.kind == Kind::CheckPassword || step.kind == Kind::FindKeys) {
        // A name that does not exist is counted and made to wait like one that does.
        if (must_wait()) {
            outcome_ = Outcome::Throttled;
            return smtp::Decision::refuse(454, {4, 7, 0}, "Too many failed logins, try later");
        }
        user_ = context_.users.find(exchange_.user());
        if (step.kind == Kind::CheckPassword) {
            check_password();
            return smtp::Decision::wait();
        }
        const bool has_keys = user_ != nullptr && user_->password != nullptr && user_->password->scram.has_value();
        step = exchange_.resume(has_keys ? &*user_->password->scram : nullptr);
    }
    switch (step.kind) {
        case Kind::Challenge: return smtp::Decision::challenge(std::move(step.challenge));
        case Kind::Failed: return fail(step.failure);
        case Kind::Succeeded:
            require(user_ != nullptr);
            outcome_ = Outcome::Succeeded;
            context_.services.guard.succeeded(user_->name, context_.client);
            return smtp::Decision::accept();
        case Kind::CheckPassword:
        case Kind::FindKeys: break;
    }
    require(false);
    return fail(sasl::Failure::Rejected);
}

bool Login::must_wait() const {
    return context_.services.guard.must_wait(exchange_.user(), context_.client, context_.executor.now());
}

void Login::check_password() {
    waiter_ = std::make_shared<Waiter>(Waiter{&context_.driver});
    const std::shared_ptr<const StoredPassword> stored = user_ != nullptr ? user_->password : nullptr;
    context_.services.verifier.verify(stored, exchange_.take_password(),
                                      {&context_.executor, [waiter = waiter_](PasswordVerdict verdict) {
                                           if (waiter->driver != nullptr) waiter->driver->on_verdict(verdict);
                                       }});
}

smtp::Decision Login::fail(sasl::Failure failure) {
    switch (failure) {
        case sasl::Failure::Rejected:
            outcome_ = Outcome::Rejected;
            context_.services.guard.failed(exchange_.user(), context_.client, context_.executor.now());
            break;
        case sasl::Failure::Busy: outcome_ = Outcome::Busy; break;
        case sasl::Failure::Malformed:
        case sasl::Failure::TooLong:
        case sasl::Failure::Cancelled: outcome_ = Outcome::Malformed; break;
    }
    return smtp::Decision::refuse(sasl::reply_of(failure));
}

}  // namespace postfleet::ingest
