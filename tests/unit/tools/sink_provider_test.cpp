#include "tools/sink_provider.hpp"

#include <catch2/catch.hpp>

#include "tools/provider_replies.hpp"

namespace postfleet::tools {

using namespace std::chrono_literals;

namespace {

std::unique_ptr<SinkProvider> provider(const std::vector<std::string>& limits, std::string_view name = "yahoo") {
    auto made = SinkProvider::make(name, limits);
    INFO((made ? "" : made.error().text));
    REQUIRE(made);
    return std::move(*made);
}

const IpAddress kOne = *IpAddress::parse("127.0.0.2"), kOther = *IpAddress::parse("127.0.0.3");

}  // namespace

TEST_CASE("each source address has so many connections and no more") {
    auto yahoo = provider({"connections=2"});
    CHECK(yahoo->connect(kOne).empty());
    CHECK(yahoo->connect(kOne).empty());
    CHECK(yahoo->connect(kOne) == "yahoo-connections");
    CHECK(yahoo->connect(kOther).empty());
    yahoo->disconnect(kOne);
    CHECK(yahoo->connect(kOne).empty());
}

TEST_CASE("a connection carries so many messages and no more") {
    auto yahoo = provider({"messages=2"});
    const SteadyTime now{};
    CHECK(yahoo->begin_message(kOne, 0, now).empty());
    CHECK(yahoo->begin_message(kOne, 1, now).empty());
    CHECK(yahoo->begin_message(kOne, 2, now) == "yahoo-messages");
}

TEST_CASE("in any window a source sends at most rate times window, and one more") {
    auto gmail = provider({"rate=10/s", "window=2s", "messages=1000"}, "gmail");
    SteadyTime now{};
    for (int i = 0; i < 21; i++) CHECK(gmail->begin_message(kOne, 0, now + i * 10ms).empty());
    CHECK(gmail->begin_message(kOne, 0, now + 300ms) == "gmail-rate");
    CHECK(gmail->begin_message(kOther, 0, now + 300ms).empty());
    CHECK(gmail->begin_message(kOne, 0, now + 1999ms) == "gmail-rate");
    CHECK(gmail->begin_message(kOne, 0, now + 2s).empty());  // the first has left the window
    CHECK(gmail->begin_message(kOne, 0, now + 2s) == "gmail-rate");
}

TEST_CASE("every reply of a provider is one that it is known to give") {
    for (const char* name : {"gmail", "yahoo", "microsoft"}) {
        auto made = provider({"connections=1", "messages=1", "rate=1/s", "window=1s"}, name);
        const SteadyTime now{};
        CHECK(made->connect(kOne).empty());
        CHECK(find_provider_reply(made->connect(kOne)) != nullptr);
        CHECK(find_provider_reply(made->begin_message(kOne, 1, now)) != nullptr);
        CHECK(made->begin_message(kOne, 0, now).empty());
        CHECK(made->begin_message(kOne, 0, now).empty());
        CHECK(find_provider_reply(made->begin_message(kOne, 0, now)) != nullptr);
    }
}

TEST_CASE("what is not a provider or a limit is refused with what is") {
    CHECK(SinkProvider::make("hotmail", {}).error().text == "--provider hotmail: gmail, yahoo and microsoft are known");
    for (const char* wrong :
         {"speed=9", "rate", "rate=fast", "rate=0/s", "rate=5/y", "connections=-1", "window=x", "messages="}) {
        CAPTURE(wrong);
        auto made = SinkProvider::make("gmail", {wrong});
        REQUIRE(!made);
        CHECK(made.error().text.starts_with("--limit "));
    }
}

}  // namespace postfleet::tools
