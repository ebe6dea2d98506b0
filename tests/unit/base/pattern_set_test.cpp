#include "postfleet/base/pattern_set.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace postfleet;

namespace {

using Texts = std::vector<std::string>;

std::vector<std::size_t> matches(const PatternSet& set, std::string_view subject) {
    std::vector<std::size_t> out;
    set.visit_matches(subject, [&](std::size_t number) {
        out.push_back(number);
        return true;
    });
    return out;
}

}  // namespace

TEST_CASE("the patterns that match are visited in order, until somebody has enough") {
    const PatternSet set = PatternSet::compile(Texts{"user unknown", "5\\.1\\.1", "full", "unknown$"}).value();
    CHECK(matches(set, "550 5.1.1 User Unknown") == std::vector<std::size_t>{0, 1, 3});
    CHECK(set.first_match("mailbox FULL") == 2);
    CHECK(set.first_match("nothing") == std::nullopt);
    CHECK(matches(set, "").empty());
    CHECK(PatternSet().first_match("anything") == std::nullopt);
}

TEST_CASE("a pattern that does not compile is named") {
    const auto set = PatternSet::compile(Texts{"good", "(bad"});
    REQUIRE_FALSE(set);
    CHECK(set.error().text.find("(bad") != std::string::npos);
}

TEST_CASE("what a pattern cannot do without is read from its text") {
    CHECK(required_literals("user (unknown|not found)") == Texts{"user "});
    CHECK(required_literals("Mailbox FULL|over quota") == Texts{"mailbox full", "over quota"});
    CHECK(required_literals("^421 4\\.7\\.28 .*URL") == Texts{"421 4.7.28 "});
    CHECK(required_literals("colou?r of mail") == Texts{"r of mail"});
    CHECK(required_literals("grey-*listed") == Texts{"listed"});
    CHECK(required_literals("ab{2,3}cdef") == Texts{"cdef"});
    CHECK(required_literals("blo+cked") == Texts{"cked"});
    CHECK(required_literals("listed[[:space:]]+at") == Texts{"listed"});
    CHECK(required_literals("\\[TS0[12]\\]") == Texts{"[ts0"});
    for (const char* unknown : {"", "a|b", ".*", "user|x", "(?i)user unknown", "\\Quser unknown\\E", "\\x75ser unknown",
                                "(*UTF)user unknown", "(spamhaus|spamcop)", "(?x) user unknown", "us{er unknown"}) {
        INFO(unknown);
        CHECK(required_literals(unknown).empty());
    }
}

TEST_CASE("the candidates are never too few: a set says what each of its patterns says") {
    const Texts atoms{"user",     "Unk",     "a",   ".", "\\d", "[abc]", "[^]x]",
                      "(user|b)", "(?:no)?", "\\.", "5", "\\b", "x{2}"};
    const Texts quantifiers{"", "", "", "?", "*", "+", "{1,2}", "+?", "|", "|foo|"};
    const Texts words{"user", "unk", "USER", "a", "b", "5.1", "no", "xx", "foo", " ", ".", "]"};
    std::mt19937 random(20261122);
    const auto any = [&](const Texts& of) { return of[random() % of.size()]; };
    for (int round = 0; round < 300; ++round) {
        Texts texts;
        for (int i = 0; i < 8; ++i) {
            std::string text;
            for (std::size_t n = 1 + random() % 6; n > 0; --n) text += any(atoms) + any(quantifiers);
            if (Pattern::compile(text)) texts.push_back(text);
        }
        const PatternSet set = PatternSet::compile(texts).value();
        for (int i = 0; i < 8; ++i) {
            std::string subject;
            for (std::size_t n = random() % 8; n > 0; --n) subject += any(words);
            std::vector<std::size_t> expected;
            for (std::size_t p = 0; p < texts.size(); ++p) {
                if (Pattern::compile(texts[p]).value().matches(subject)) expected.push_back(p);
            }
            CHECK(matches(set, subject) == expected);
        }
    }
}
