// Needs a server: tests/support/brokers/postgres.py -- build/release/tests/postgres_test
#include "postfleet/postgres/state_store.hpp"

#include <libpq-fe.h>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "postfleet/support/await.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "state_store_contract.hpp"

using namespace postfleet;
using postgres::open_state_store;

namespace {

std::string url() {
    const char* set = std::getenv("POSTFLEET_TEST_POSTGRES_URL");
    if (set == nullptr) FAIL("POSTFLEET_TEST_POSTGRES_URL is not set; run by tests/support/brokers/postgres.py");
    return set;
}

// A schema per test, so that each begins with nothing.
postgres::PostgresSettings fresh() {
    static std::atomic<int> number{0};
    return {.url = url(), .schema = "test " + std::to_string(::getpid()) + "-" + std::to_string(++number)};
}

class PostgresUnderTest final : public contract::StateStoreUnderTest {
public:
    PostgresUnderTest() { open(); }
    StateStore& store() override { return *store_; }
    void restart() override { open(); }

private:
    void open() {
        auto opened = open_state_store(settings_);
        if (!opened) FAIL(opened.error().text);
        store_ = *std::move(opened);
    }
    const postgres::PostgresSettings settings_ = fresh();
    std::unique_ptr<sql_state::SqlStateStore> store_;
};

// What the runner does with the server.
void control(const std::string& command) {
    const int connection = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const char* path = std::getenv("POSTFLEET_TEST_POSTGRES_CONTROL");
    REQUIRE(path != nullptr);
    std::strncpy(name.sun_path, path, sizeof name.sun_path - 1);
    REQUIRE(::connect(connection, reinterpret_cast<::sockaddr*>(&name), sizeof name) == 0);
    const std::string line = command + "\n";
    REQUIRE(::send(connection, line.data(), line.size(), 0) == static_cast<ssize_t>(line.size()));
    char answer[200] = {};
    REQUIRE(::recv(connection, answer, sizeof answer - 1, 0) > 0);
    ::close(connection);
    CHECK(std::string(answer) == "ok\n");
}

struct Claimer {
    explicit Claimer(StateStore& claimed_at) : store(claimed_at) {}
    support::ManualExecutor executor;
    StateStore& store;

    Result<std::vector<KeyVerdict>> claim(const std::string& key, std::uint32_t n) {
        std::optional<Result<std::vector<KeyVerdict>>> verdicts;
        store.claim({{.key = {"t", key}, .message = IdGenerator(n).next(WallTime{})}},
                    {&executor, [&](auto came) { verdicts.emplace(std::move(came)); }});
        REQUIRE(executor.run_until([&] { return verdicts.has_value(); }, std::chrono::seconds(60)));
        return *std::move(verdicts);
    }
};

}  // namespace

TEST_CASE("the state store in PostgreSQL keeps the promises of the port", "[contract]") {
    contract::state_store_contract([] { return std::make_unique<PostgresUnderTest>(); });
}

TEST_CASE("several stores that start at once make one schema, and claim each key once") {
    const auto settings = fresh();
    constexpr int kStores = 4, kKeys = 300;
    std::array<std::atomic<int>, kKeys> news{};
    std::vector<std::thread> threads;
    std::atomic<int> failed{0};
    for (int n = 0; n < kStores; ++n) {
        threads.emplace_back([&, n] {
            auto store = open_state_store(settings);
            if (!store) {
                ++failed;
                return;
            }
            support::ManualExecutor executor;
            std::vector<KeyClaim> claims;
            for (int key = 0; key < kKeys; ++key) {
                // Each store asks in another order.
                constexpr std::array kSteps{1, 7, 11, 13};  // none divides kKeys
                const int place = (key * kSteps[static_cast<std::size_t>(n)] + n) % kKeys;
                claims.push_back({.key = {"t", std::to_string(place)}, .message = IdGenerator(n + 1).next(WallTime{})});
            }
            bool done = false;
            (*store)->claim(claims, {&executor, [&](Result<std::vector<KeyVerdict>> verdicts) {
                                         done = true;
                                         if (!verdicts) ++failed;
                                         for (std::size_t i = 0; verdicts && i < verdicts->size(); ++i) {
                                             if ((*verdicts)[i].state != KeyState::New) continue;
                                             ++news[static_cast<std::size_t>(std::stoi(claims[i].key.key))];
                                         }
                                     }});
            if (!executor.run_until([&] { return done; }, std::chrono::seconds(60))) ++failed;
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(failed == 0);
    for (const auto& count : news) CHECK(count == 1);
}

TEST_CASE("a store lives on when the server was killed, and what it had confirmed is there [F60]") {
    auto store = open_state_store(fresh()).value();
    Claimer claimer(*store);
    REQUIRE(claimer.claim("before", 1).value()[0].state == KeyState::New);
    control("kill");
    const auto away = claimer.claim("away", 2);
    REQUIRE_FALSE(away.has_value());
    CHECK((away.error().kind == ErrorKind::Unavailable || away.error().kind == ErrorKind::DeadlineExceeded));
    CHECK_FALSE(store->obstacle().empty());
    control("start");
    std::optional<KeyVerdict> again;
    while (!again) {  // the pauses between attempts have grown
        const auto verdicts = claimer.claim("before", 3);
        if (verdicts) again = verdicts->at(0);
    }
    CHECK(again->state == KeyState::Pending);
    CHECK(again->message == IdGenerator(1).next(WallTime{}));
    CHECK(store->obstacle().empty());
}

TEST_CASE("a key that another router claims anew while old ones are forgotten stays") {
    const auto settings = fresh();
    auto store = open_state_store(settings).value();
    Claimer claimer(*store);
    REQUIRE(claimer.claim("ours", 1).has_value());  // and from now on, a minute passes before keys are forgotten again
    std::unique_ptr<PGconn, void (*)(PGconn*)> other(PQconnectdb(settings.url.c_str()), PQfinish);
    const auto say = [&](const std::string& sql) {
        const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQexec(other.get(), sql.c_str()), PQclear);
        INFO(sql << ": " << PQerrorMessage(other.get()));
        REQUIRE((PQresultStatus(result.get()) == PGRES_COMMAND_OK || PQresultStatus(result.get()) == PGRES_TUPLES_OK));
        return PQntuples(result.get()) > 0 ? std::string(PQgetvalue(result.get(), 0, 0)) : std::string();
    };
    say("SET search_path = \"" + settings.schema + "\"");
    const std::string now = std::to_string(to_unix_microseconds(wall_clock_now()));
    say("UPDATE idempotency_keys SET expires_at = " + now);
    say("BEGIN");
    say("UPDATE idempotency_keys SET expires_at = " + now + " + window_us");  // as a claim does

    auto forgetful = open_state_store(settings).value();  // begins with it after its first call
    Claimer another(*forgetful);
    REQUIRE(another.claim("theirs", 2).has_value());
    // It gives up after seconds; who sees that too late has shown nothing.
    support::eventually([&] { return say("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0"; },
                        std::chrono::seconds(60));
    say("COMMIT");
    REQUIRE(another.claim("theirs", 3).has_value());  // behind the forgetting
    CHECK(claimer.claim("ours", 4).value()[0].state == KeyState::Pending);
}

TEST_CASE("a server that does not answer costs a deadline, not a thread [F61]") {
    auto store = open_state_store(fresh()).value();
    Claimer claimer(*store);
    REQUIRE(claimer.claim("before", 1).has_value());
    control("pause");
    const SteadyTime start = steady_clock_now();
    const auto stuck = claimer.claim("stuck", 2);
    const Duration took = steady_clock_now() - start;
    control("resume");
    REQUIRE_FALSE(stuck.has_value());
    CHECK(took < std::chrono::seconds(40));
    while (!claimer.claim("after", 3)) {
    }
}

TEST_CASE("a URL that is none is refused without repeating it") {
    const auto refused = open_state_store({.url = "postgresql://user:secret@[broken"});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().kind == ErrorKind::InvalidArgument);
    CHECK(refused.error().text.find("secret") == std::string::npos);
    const auto away = open_state_store({.url = "postgresql://user:secret@127.0.0.1:1/none"});
    REQUIRE_FALSE(away.has_value());
    CHECK(away.error().kind == ErrorKind::Unavailable);
    CHECK(away.error().text.find("secret") == std::string::npos);
}
