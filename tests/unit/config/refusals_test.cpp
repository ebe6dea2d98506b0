// reply_patterns, bounce_categories, forced replies, backoff.

#include <catch2/catch.hpp>

#include "postfleet/config_files/load.hpp"

using namespace postfleet;
using namespace postfleet::config;
using namespace std::chrono_literals;

namespace {

const std::string kBase =
    "hostname: mta.test\nlisteners: {relay: {address: \"127.0.0.1:2525\"}}\n"
    "virtual_mtas: {v1: {}, v2: {}}\ndefault_virtual_mta: v1\n";

std::shared_ptr<const Config> load(const std::string& text) {
    auto result = config_files::load_text(text);
    INFO(config_files::to_string(result.problems));
    REQUIRE(result.config);
    return result.config;
}

std::string bad(const std::string& text) {
    const auto result = config_files::load_text(text);
    CHECK_FALSE(result.config);
    return config_files::to_string(result.problems);
}

}  // namespace

TEST_CASE("reply patterns are read with their actions and parameters") {
    const auto config = load(kBase + R"(
reply_patterns:
  - {site: example.com, reply: "4\\.7\\.28", action: backoff}
  - {reply: banned, phase: [greeting, mail], action: [disable-source, skip-mx], reenable_after: 2h, virtual_mta: v1}
bounce_categories:
  - {reply: "gone fishing", category: inactive-mailbox}
shaping:
  - {forced_reply: "451 4.3.0 later", backoff: {leave_after: never, max_connections: 2}}
)");
    REQUIRE(config->reply_patterns.size() == 2);
    CHECK(config->reply_patterns[0].actions == std::vector{ReplyAction::Backoff});
    CHECK(config->reply_patterns[1].phases == std::vector{SmtpPhase::Greeting, SmtpPhase::Mail});
    CHECK(config->reply_patterns[1].reenable_after == Duration(2h));
    CHECK(config->bounce_categories[0].category == BounceCategory::InactiveMailbox);
    CHECK(config->shaping[0].keys.backoff_leave_after == DurationOrNever{});
    CHECK(config->origins.contains("shaping[0].backoff.max_connections"));
}

TEST_CASE("what contradicts itself or names nobody is refused") {
    const auto wrong = [](const std::string& item) { return bad(kBase + "reply_patterns:\n  - {" + item + "}\n"); };
    CHECK(wrong("reply: x, action: [backoff, normal]").find("backoff and normal contradict each other") !=
          std::string::npos);
    CHECK(wrong("reply: x, action: [skip-mx, bounce-queue]").find("contradict") != std::string::npos);
    CHECK(wrong("reply: x, action: backoff, reenable_after: 1h").find("has no effect without") != std::string::npos);
    CHECK(wrong("reply: x, action: backof").find("did you mean 'backoff'?") != std::string::npos);
    CHECK(wrong("reply: 'x(', action: backoff").find("reply_patterns[0].reply") != std::string::npos);
    CHECK(wrong("reply: x, action: backoff, virtual_mta: v3").find("there is no virtual MTA 'v3'") !=
          std::string::npos);
    CHECK(bad(kBase + "shaping: [{forced_reply: \"250 fine\"}]\n").find("is not a refusal") != std::string::npos);
    CHECK(bad(kBase + "bounce_categories: [{reply: x, category: bad-postbox}]\n").find("bad-mailbox") !=
          std::string::npos);
}
