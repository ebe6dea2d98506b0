#include "lookup.hpp"

#include <catch2/catch.hpp>

#include "postfleet/dns/unbound_resolver.hpp"

using namespace postfleet;
using namespace postfleet::dns;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

std::string mx(char preference, const std::string& wire) { return "\0"s + preference + wire; }
const std::string kOne = "\3Mx1\4test\0"s, kTwo = "\3mx2\4test\0"s, kRoot = "\0"s;
const std::string kAddress = "\x7f\0\0\1"s;

Records found(std::vector<std::string> rdata, Duration ttl = 60s) {
    return {Records::Kind::Found, std::move(rdata), ttl, true, ""};
}
Records none(Records::Kind kind) { return {kind, {}, 60s, true, "broken"}; }

// Answers every address question of the host named with `records`, and says that the others have none.
void answer_addresses(Lookup& lookup, const std::string& host, const Records& records) {
    for (const auto& question : lookup.take_questions()) {
        const bool is_it = question.name == host && question.type == RecordType::A;
        lookup.on_records(question, is_it ? records : none(Records::Kind::NoData));
    }
}

Lookup asked(const Records& mx_records) {
    Lookup lookup(Lookup::Kind::Mx, "a.test");
    auto questions = lookup.take_questions();
    REQUIRE(questions.size() == 1);
    lookup.on_records(questions[0], mx_records);
    return lookup;
}

}  // namespace

TEST_CASE("names on the wire become host names, and nonsense is refused") {
    std::string name;
    CHECK(parse_wire_name(kOne, name));
    CHECK(name == "mx1.test");
    CHECK(parse_wire_name(kRoot, name));
    CHECK(name.empty());
    CHECK_FALSE(parse_wire_name("\3mx", name));
    CHECK_FALSE(parse_wire_name("\3mx1", name));
    CHECK_FALSE(parse_wire_name("", name));
    CHECK_FALSE(parse_wire_name("\3a b\0"s, name));
    CHECK_FALSE(parse_wire_name("\xc0\x0c"s, name));
}

TEST_CASE("hosts come in order of preference, equal ones as they were answered") {
    auto lookup = asked(found({mx(20, kOne), mx(10, kTwo), mx(20, "\1z\0"s), mx(10, "\1y\0"s)}));
    answer_addresses(lookup, "mx2.test", found({kAddress}));
    REQUIRE(lookup.is_done());
    const auto answer = lookup.answer("");
    CHECK(answer.kind == MxAnswer::Kind::Found);
    REQUIRE(answer.hosts.size() == 4);
    CHECK(answer.hosts[0].name == "mx2.test");
    CHECK(answer.hosts[0].addresses[0].to_string() == "127.0.0.1");
    CHECK(answer.hosts[1].name == "y");
    CHECK(answer.hosts[2].name == "mx1.test");
    CHECK(answer.hosts[2].addresses.empty());
    CHECK(answer.time_to_live == 60s);
    CHECK(answer.secure);
}

TEST_CASE("a domain without MX is its own host") {
    auto lookup = asked(none(Records::Kind::NoData));
    answer_addresses(lookup, "a.test", found({kAddress}));
    CHECK(lookup.answer("").hosts[0].name == "a.test");

    auto nothing = asked(none(Records::Kind::NoData));
    answer_addresses(nothing, "", {});
    CHECK(nothing.answer("").kind == MxAnswer::Kind::NoSuchDomain);
    CHECK(nothing.answer("").text == "a.test has neither MX nor address records");
}

TEST_CASE("null MX takes no mail, unless it stands beside others") {
    CHECK(asked(found({mx(0, kRoot)})).answer("").kind == MxAnswer::Kind::NullMx);
    auto beside = asked(found({mx(0, kRoot), mx(10, kOne)}));
    answer_addresses(beside, "mx1.test", found({kAddress}));
    CHECK(beside.answer("").hosts.size() == 1);
}

TEST_CASE("no such domain is permanent, a failure is not") {
    CHECK(asked(none(Records::Kind::NoSuchName)).answer("").kind == MxAnswer::Kind::NoSuchDomain);
    const auto failed = asked(none(Records::Kind::Failed));
    CHECK(failed.is_done());
    CHECK(failed.answer("").kind == MxAnswer::Kind::Temporary);
    CHECK(failed.answer("").text == "a.test: broken");
    CHECK(failed.answer("").time_to_live == UnboundResolver::kFailureTtl);
    CHECK_FALSE(failed.answer("").secure);
}

TEST_CASE("hosts without addresses are permanent only when nothing failed") {
    auto gone = asked(found({mx(10, kOne)}));
    answer_addresses(gone, "mx1.test", none(Records::Kind::NoSuchName));
    CHECK(gone.answer("").kind == MxAnswer::Kind::NoSuchDomain);
    auto broken = asked(found({mx(10, kOne)}));
    answer_addresses(broken, "mx1.test", none(Records::Kind::Failed));
    CHECK(broken.answer("").kind == MxAnswer::Kind::Temporary);
}

TEST_CASE("an answer with a failed part is used, but not for long") {
    auto lookup = asked(found({mx(10, kOne), mx(20, kTwo)}, 1h));
    for (const auto& question : lookup.take_questions()) {
        const bool fails = question.name == "mx2.test";
        lookup.on_records(question, fails ? none(Records::Kind::Failed) : found({kAddress}, 1h));
    }
    CHECK(lookup.answer("").kind == MxAnswer::Kind::Found);
    CHECK(lookup.answer("").time_to_live == 1min);
}

TEST_CASE("an open look-up says why it has no answer, or what it has") {
    auto lookup = asked(found({mx(10, kOne), mx(20, kTwo)}));
    auto questions = lookup.take_questions();
    CHECK(lookup.answer("too slow").kind == MxAnswer::Kind::Temporary);
    CHECK(lookup.answer("too slow").text == "a.test: too slow");
    CHECK_FALSE(lookup.has_address());
    lookup.on_records(questions[0], found({kAddress}));
    CHECK(lookup.has_address());
    CHECK_FALSE(lookup.is_done());
    CHECK(lookup.answer("too slow").kind == MxAnswer::Kind::Found);
}

TEST_CASE("answers are bounded") {
    std::vector<std::string> many;
    for (char i = 1; i <= 40; ++i)
        many.push_back(mx(i, "\2h"s + static_cast<char>('a' + i % 26) + (i > 25 ? "\1b\0"s : "\1a\0"s)));
    auto lookup = asked(found(many));
    CHECK(lookup.take_questions().size() == 2 * Resolver::kMaxHosts);

    Lookup host(Lookup::Kind::Host, "h.test");
    const auto questions = host.take_questions();
    host.on_records(questions[0], found(std::vector<std::string>(40, kAddress)));
    host.on_records(questions[1], found({"short", std::string(16, '\1')}));
    CHECK(host.answer("").hosts[0].addresses.size() == Resolver::kMaxAddresses);
}
