#include "postfleet/base/pattern.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using postfleet::Pattern;

namespace {

Pattern pattern(std::string_view text, Pattern::Case letters = Pattern::Case::Ignore) {
    return Pattern::compile(text, letters).value();
}

}  // namespace

TEST_CASE("a pattern is found anywhere, unless it is anchored") {
    CHECK(pattern("news").matches("daily newsletter"));
    CHECK(pattern("^promo").matches("promo-7"));
    CHECK_FALSE(pattern("^promo").matches("a promo"));
    CHECK(pattern("@news\\.example\\.com$").matches("x@news.example.com"));
    CHECK_FALSE(pattern("@news\\.example\\.com$").matches("x@news.example.com.evil"));
    CHECK(pattern("").matches(""));
    CHECK(pattern("user (unknown|not found)|5\\.1\\.1").matches("550 5.1.1 no"));
}

TEST_CASE("case is ignored or not, as asked") {
    CHECK(pattern("google").matches("GOOGLE.com"));
    CHECK_FALSE(pattern("google", Pattern::Case::Distinguish).matches("GOOGLE.com"));
    CHECK(pattern("(?-i)google").matches("google"));
    CHECK_FALSE(pattern("(?-i)google").matches("GOOGLE"));
}

TEST_CASE("every octet is a legal subject") {
    CHECK(pattern("a.b").matches(std::string_view("a\0b", 3)));
    CHECK(pattern("\\xff").matches("\xff"));
    CHECK_FALSE(pattern("x").matches("\xc3\x28\xf0"));
    CHECK(pattern("ü").matches("Grüße"));
}

TEST_CASE("an error says what and where") {
    using Catch::Matchers::Contains;
    const auto open = Pattern::compile("abc(def");
    REQUIRE_FALSE(open);
    CHECK(open.error().kind == postfleet::ErrorKind::InvalidArgument);
    CHECK_THAT(open.error().text, Contains("\"abc(def\"") && Contains("character 8") && Contains("missing"));
    CHECK_THAT(Pattern::compile("a**b").error().text, Contains("character"));
    CHECK_FALSE(Pattern::compile("[z-a]"));
    CHECK_FALSE(Pattern::compile("a\\Cb"));
    CHECK_FALSE(Pattern::compile(std::string(Pattern::kMaxTextOctets + 1, 'a')));
    CHECK_FALSE(Pattern::compile(std::string(1000, '(')));
}

TEST_CASE("a pattern that runs away gives up soon, whatever it was made of") {
    const auto text = GENERATE(as<std::string>(), "(a+)+$", "^(a|aa)+$", "(a*)*b", "(?:a?){60}a{60}$", "(.*)*x(.*)*y",
                               "(*LIMIT_MATCH=4000000000)(a+)+$", "(*NO_JIT)(a+)+$", "(*NO_START_OPT)(x+x+)+y",
                               "((a|b)*)*c", "(a(?R)?)+$", "^(?:(a+)+)+b", "(?=(a+))a*\\1b");
    CAPTURE(text);
    const Pattern runaway = pattern(text);
    const auto started = std::chrono::steady_clock::now();
    const std::string subjects[] = {std::string(40, 'a') + "!", std::string(Pattern::kMaxSubjectOctets - 1, 'a') + "!",
                                    std::string(300, 'x')};
    for (const std::string& subject : subjects) CHECK_FALSE(runaway.matches(subject));
    CHECK(std::chrono::steady_clock::now() - started < std::chrono::seconds(2));
}

TEST_CASE("giving up is told apart from not matching") {
    CHECK(pattern("^(a|aa)+$").find_in(std::string(60, 'a') + "!") == Pattern::Match::GaveUp);
    CHECK(pattern("b").find_in("aaa") == Pattern::Match::No);
    CHECK(pattern("a").find_in("aaa") == Pattern::Match::Yes);
}

TEST_CASE("only the first part of a long subject is looked at") {
    std::string subject(Pattern::kMaxSubjectOctets, ' ');
    subject.back() = 'x';
    CHECK(pattern("x").matches(subject));
    CHECK_FALSE(pattern("x").matches(' ' + subject));
    CHECK(pattern("x$").matches(subject));
    CHECK_FALSE(pattern("x$").matches(subject + " and more"));  // the cut is not the end
}

TEST_CASE("a pattern that was moved away, or never compiled, matches nothing") {
    Pattern a = pattern("a");
    const Pattern b = std::move(a);
    CHECK(b.matches("a"));
    CHECK(b.text() == "a");
    CHECK_FALSE(a.matches("a"));
    CHECK_FALSE(Pattern().matches(""));
}

TEST_CASE("threads match with one pattern at the same time") {
    const Pattern shared = pattern("(\\w+)@(\\w+)\\.example");
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            const std::string yes = "user" + std::to_string(t) + "@host.example";
            for (int i = 0; i < 2000; ++i) {
                if (!shared.matches(yes) || shared.matches("user.example")) ++wrong;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
}
