#include "tools/sink_rules.hpp"

#include <catch2/catch.hpp>

#include "tools/provider_replies.hpp"

namespace postfleet::tools {
namespace {

const IpAddress kSource = *IpAddress::parse("127.0.0.9");

std::unique_ptr<SinkRules> rules_of(const std::vector<std::string>& lines, bool named = false) {
    auto rules = SinkRules::parse(lines, named, 1);
    INFO((rules ? "" : rules.error().text));
    REQUIRE(rules);
    return std::move(*rules);
}

std::string reply_of(SinkRules& rules, SinkPhase phase, std::string_view recipient, std::string_view from = "a@b") {
    const auto action = rules.match(phase, {kSource, from, recipient});
    return action ? action->reply : "none";
}

TEST_CASE("the first rule whose conditions all hold decides") {
    const auto rules = rules_of({
        "# a comment",
        "rcpt to=*@full.test from=boss@* reply=\"250 for the boss\"",
        "rcpt to=*@full.test reply=\"452 4.2.2 mailbox full\"",
        "rcpt source=10.0.0.0/8 reply=\"550 not from there\"",
        "end-of-data delay=1500ms",
    });
    CHECK(reply_of(*rules, SinkPhase::Rcpt, "x@full.test") == "452 4.2.2 mailbox full\r\n");
    CHECK(reply_of(*rules, SinkPhase::Rcpt, "x@full.test", "boss@b") == "250 for the boss\r\n");
    CHECK(reply_of(*rules, SinkPhase::Rcpt, "x@other.test") == "none");
    CHECK(rules->match(SinkPhase::EndOfData, {kSource, "", "x@y"})->delay == std::chrono::milliseconds(1500));
    CHECK(rules->may_match(SinkPhase::Rcpt));
    CHECK_FALSE(rules->may_match(SinkPhase::Connect));
}

TEST_CASE("first=N counts per recipient at rcpt and per source elsewhere") {
    const auto rules = rules_of({"rcpt first=2 reply=\"450 later\"", "connect first=1 reset"});
    for (const char* recipient : {"a@b", "c@d"}) {
        CHECK(reply_of(*rules, SinkPhase::Rcpt, recipient) == "450 later\r\n");
        CHECK(reply_of(*rules, SinkPhase::Rcpt, recipient) == "450 later\r\n");
        CHECK(reply_of(*rules, SinkPhase::Rcpt, recipient) == "none");
    }
    CHECK(rules->match(SinkPhase::Connect, {kSource, "", ""})->fault == SinkFault::Reset);
    CHECK_FALSE(rules->match(SinkPhase::Connect, {kSource, "", ""}));
}

TEST_CASE("p= matches about that often, the same way for the same seed") {
    const auto first = rules_of({"mail p=0.3 close"});
    const auto second = rules_of({"mail p=0.3 close"});
    int matched = 0;
    for (int i = 0; i < 10'000; ++i) {
        const bool now = first->match(SinkPhase::Mail, {kSource, "a@b", ""}).has_value();
        REQUIRE(now == second->match(SinkPhase::Mail, {kSource, "a@b", ""}).has_value());
        matched += now;
    }
    CHECK(matched > 2800);
    CHECK(matched < 3200);
}

TEST_CASE("named recipients behave as their names say, in the phase where it belongs") {
    const auto rules = rules_of({}, true);
    CHECK(reply_of(*rules, SinkPhase::Rcpt, "bounce@any.test") == "550 5.1.1 <bounce@any.test>: no such user here\r\n");
    CHECK(reply_of(*rules, SinkPhase::EndOfData, "bounce@any.test") == "none");
    CHECK(reply_of(*rules, SinkPhase::Rcpt, "defer@x").substr(0, 9) == "450 4.2.0");
    for (const char* expected : {"450 4.2.0 ", "450 4.2.0 ", "none"}) {
        CHECK(reply_of(*rules, SinkPhase::Rcpt, "defer-2@x").substr(0, 10) == expected);
    }
    CHECK(rules->match(SinkPhase::EndOfData, {kSource, "", "slow-500ms@x"})->delay == std::chrono::milliseconds(500));
    CHECK(rules->match(SinkPhase::EndOfData, {kSource, "", "drop@x"})->fault == SinkFault::Close);
    CHECK(reply_of(*rules, SinkPhase::EndOfData, "gmail-rate@x").substr(0, 11) == "421-4.7.28 ");
    CHECK(reply_of(*rules, SinkPhase::Rcpt, "user@x") == "none");
    CHECK(reply_of(*rules, SinkPhase::Rcpt, "defer-x@x") == "none");
}

TEST_CASE("provider replies are complete SMTP replies with their placeholders filled in") {
    for (const ProviderReply& reply : provider_replies()) {
        INFO(reply.name);
        const std::string rendered = render_reply(reply.lines, {kSource, "a@b", "user@x.test"});
        CHECK(rendered.find('{') == std::string::npos);
        std::string_view rest = rendered;
        while (!rest.empty()) {
            const std::size_t end = rest.find("\r\n");
            REQUIRE(end != std::string_view::npos);
            const bool is_last = end + 2 == rest.size();
            CHECK(rest.substr(0, 3) == std::string_view(rendered).substr(0, 3));
            CHECK(rest[3] == (is_last ? ' ' : '-'));
            CHECK(end < 510);
            rest.remove_prefix(end + 2);
        }
    }
    CHECK(render_reply(find_provider_reply("yahoo-tss04")->lines, {kSource, "", ""}).find("127.0.0.9") !=
          std::string::npos);
    CHECK(find_provider_reply("no-such") == nullptr);
}

TEST_CASE("a wrong rule is an error that names the rule and what is wrong") {
    const auto error_of = [](const std::string& line) {
        const auto rules = SinkRules::parse({"rcpt close", line}, false, 1);
        REQUIRE_FALSE(rules);
        CHECK(rules.error().text.find("sink rule 2 (") == 0);
        return rules.error().text;
    };
    CHECK(error_of("helo close").find("is no phase") != std::string::npos);
    CHECK(error_of("rcpt to=x").find("does nothing") != std::string::npos);
    CHECK(error_of("rcpt p=2 close").find("0 to 1") != std::string::npos);
    CHECK(error_of("rcpt reply=nonsense").find("--list-replies") != std::string::npos);
    CHECK(error_of("rcpt reply=\"450 x").find("not closed") != std::string::npos);
    CHECK(error_of("mail to=x close").find("rcpt and end-of-data") != std::string::npos);
    CHECK(error_of("rcpt source=nowhere close").size() > 20);
    CHECK(error_of("rcpt explode").find("neither") != std::string::npos);
    CHECK(error_of("rcpt colour=red close").find("unknown key") != std::string::npos);
    CHECK(error_of("rcpt delay=soon").size() > 20);
}

}  // namespace
}  // namespace postfleet::tools
