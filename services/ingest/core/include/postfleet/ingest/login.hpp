// Login: one AUTH command of one connection, from the mechanism's name to a user (RFC 4954).
//
//   begin, receive ─▶ challenge | wait (the password is being checked) | accept | refuse
//
// Joins a sasl::ServerExchange with the directory, the password checks and the guard. Whatever is wrong about name
// and password ends in the same 535 after the same work; who has failed too often gets 454 without a check.
// After wait, the driver's resume() is called with the decision.
//
// Threads: confined to its shard; destroyed at any time, also while a check runs. Borrows the services.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "postfleet/base/executor.hpp"
#include "postfleet/ingest/auth_guard.hpp"
#include "postfleet/ingest/user_directory.hpp"
#include "postfleet/smtp/server_policy.hpp"

namespace postfleet::ingest {

class LoginDriver {
public:
    // The check is done: call Login::resume().
    virtual void on_verdict(PasswordVerdict verdict) = 0;

protected:
    ~LoginDriver() = default;
};

class Login final {
public:
    struct Context {
        AuthServices& services;
        const UserDirectory& users;  // outlives the login
        IpAddress client;
        Executor& executor;
        LoginDriver& driver;
        sasl::ChannelBinding binding;
    };
    enum class Outcome : std::uint8_t { Pending, Succeeded, Rejected, Throttled, Busy, Malformed };

    Login(sasl::Mechanism mechanism, const Context& context);
    ~Login();
    Login(const Login&) = delete;
    Login& operator=(const Login&) = delete;

    smtp::Decision begin(std::optional<std::string_view> initial_response);
    smtp::Decision receive(std::string_view line);
    smtp::Decision resume(PasswordVerdict verdict);

    Outcome outcome() const { return outcome_; }
    // Who it claims to be, right or wrong; for logs.
    const std::string& name() const { return exchange_.user(); }
    std::shared_ptr<const KnownUser> user() const { return user_; }  // once it succeeded

private:
    // Where a check reports to; the login may be gone by then.
    struct Waiter {
        LoginDriver* driver = nullptr;
    };

    smtp::Decision carry_out(sasl::ServerStep step);
    bool must_wait() const;
    void check_password();
    smtp::Decision fail(sasl::Failure failure);

    const Context context_;
    sasl::ServerExchange exchange_;
    std::shared_ptr<const KnownUser> user_;
    std::shared_ptr<Waiter> waiter_;  // shared with the check that is under way
    Outcome outcome_ = Outcome::Pending;
};

}  // namespace postfleet::ingest
