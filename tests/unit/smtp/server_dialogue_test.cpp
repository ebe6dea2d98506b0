// Every dialogue of tests/corpus/smtp_dialogues, whole and cut.
#include <catch2/catch.hpp>

#include <functional>
#include <random>

#include "dialogue.hpp"

namespace postfleet::smtp {
namespace {

// How long the next piece of a write is.
using Cut = std::function<std::size_t(std::size_t left)>;

void feed(ServerSession& session, std::string_view octets, const Cut& cut, std::string& out) {
    while (!octets.empty()) {
        const std::size_t piece = cut(octets.size());
        // A copy of exactly this size: reading beyond it is an error that asan sees.
        const std::string copy(octets.substr(0, piece));
        if (!session.is_closed()) session.receive(copy, out);
        octets.remove_prefix(piece);
    }
}

void replay(const Dialogue& dialogue, const Cut& cut) {
    support::ScriptedPolicy policy;
    policy.connection = dialogue.connection;
    policy.xclient = dialogue.xclient;
    ServerSession session(dialogue.settings, policy);
    std::string out;
    session.open(out);
    for (std::size_t i = 0; i < dialogue.steps.size(); ++i) {
        const Dialogue::Step& step = dialogue.steps[i];
        INFO(dialogue.name << ".txt:" << step.line);
        switch (step.kind) {
            case Dialogue::Step::Kind::Client: feed(session, step.octets, cut, out); break;
            case Dialogue::Step::Kind::Server:
                REQUIRE(out == step.octets);
                out.clear();
                break;
            case Dialogue::Step::Kind::Resume:
                REQUIRE(out.empty());
                REQUIRE(session.waiting_for() == ServerSession::Waiting::Decision);
                if (step.answer.text == "accept") session.resume(Decision::accept(), out);
                else if (step.answer.is_positive()) session.resume(Decision::accept(step.answer), out);
                else session.resume(Decision::refuse(step.answer), out);
                break;
            case Dialogue::Step::Kind::Secured:
                REQUIRE(session.wants_tls());
                session.secured();
                break;
            case Dialogue::Step::Kind::Closed: REQUIRE(session.is_closed()); break;
        }
    }
    INFO(dialogue.name);
    CHECK(out.empty());
    REQUIRE(policy.messages.size() == dialogue.messages.size());
    for (std::size_t i = 0; i < dialogue.messages.size(); ++i) {
        CHECK(policy.messages[i].reverse_path == dialogue.messages[i].reverse_path);
        CHECK(policy.messages[i].recipients == dialogue.messages[i].recipients);
        CHECK(policy.messages[i].content == dialogue.messages[i].content);
    }
}

}  // namespace

TEST_CASE("every dialogue goes as written when each write arrives whole", "[smtp][server]") {
    const auto dialogues = Dialogue::read_all();
    REQUIRE(dialogues.size() > 20);
    for (const Dialogue& dialogue : dialogues) replay(dialogue, [](std::size_t left) { return left; });
}

TEST_CASE("every dialogue goes as written when it arrives octet by octet", "[smtp][server]") {
    for (const Dialogue& dialogue : Dialogue::read_all()) {
        if (!dialogue.one_write) replay(dialogue, [](std::size_t) { return std::size_t{1}; });
    }
}

TEST_CASE("every dialogue goes as written however its writes are cut in two", "[smtp][server]") {
    for (const Dialogue& dialogue : Dialogue::read_all()) {
        if (dialogue.one_write) continue;
        std::size_t longest = 0;
        for (const auto& step : dialogue.steps) longest = std::max(longest, step.octets.size());
        for (std::size_t at = 1; at < std::min<std::size_t>(longest, 400); ++at) {
            bool first = true;
            replay(dialogue, [&, at](std::size_t left) {
                first = !first;
                return first ? left : std::min(left, at);
            });
        }
    }
}

TEST_CASE("every dialogue goes as written when it is cut at random places", "[smtp][server]") {
    for (unsigned seed = 1; seed <= 50; ++seed) {
        INFO("seed " << seed);
        std::mt19937 random(seed);
        for (const Dialogue& dialogue : Dialogue::read_all()) {
            if (dialogue.one_write) continue;
            replay(dialogue, [&random](std::size_t left) { return 1 + random() % std::min<std::size_t>(left, 40); });
        }
    }
}

}  // namespace postfleet::smtp
