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
    return {Records::Kind::Found, std::move(rdata), ttl, DnsState::Secure};
}
Records none(Records::Kind kind) { return {kind, {}, 60s, DnsState::Secure, "", "broken"}; }
Records bogus() { return {Records::Kind::Failed, {}, 60s, DnsState::Bogus, "", "validation failed"}; }
MxAnswer mx_answer(const Lookup& lookup, std::string_view why = "") { return std::get<MxAnswer>(lookup.answer(why)); }

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
    const auto answer = mx_answer(lookup);
    CHECK(answer.kind == MxAnswer::Kind::Found);
    REQUIRE(answer.hosts.size() == 4);
    CHECK(answer.hosts[0].name == "mx2.test");
    CHECK(answer.hosts[0].addresses[0].to_string() == "127.0.0.1");
    CHECK(answer.hosts[1].name == "y");
    CHECK(answer.hosts[2].name == "mx1.test");
    CHECK(answer.hosts[2].addresses.empty());
    CHECK(answer.time_to_live == 60s);
    CHECK(answer.state == DnsState::Secure);
    CHECK(answer.hosts[0].state == DnsState::Secure);
}

TEST_CASE("a domain without MX is its own host") {
    auto lookup = asked(none(Records::Kind::NoData));
    answer_addresses(lookup, "a.test", found({kAddress}));
    CHECK(mx_answer(lookup).hosts[0].name == "a.test");
    CHECK(mx_answer(lookup).is_implicit);

    auto nothing = asked(none(Records::Kind::NoData));
    answer_addresses(nothing, "", {});
    CHECK(mx_answer(nothing).kind == MxAnswer::Kind::NoSuchDomain);
    CHECK(mx_answer(nothing).text == "a.test has neither MX nor address records");
}

TEST_CASE("null MX takes no mail, unless it stands beside others") {
    CHECK(mx_answer(asked(found({mx(0, kRoot)}))).kind == MxAnswer::Kind::NullMx);
    auto beside = asked(found({mx(0, kRoot), mx(10, kOne)}));
    answer_addresses(beside, "mx1.test", found({kAddress}));
    CHECK(mx_answer(beside).hosts.size() == 1);
}

TEST_CASE("no such domain is permanent, a failure is not") {
    CHECK(mx_answer(asked(none(Records::Kind::NoSuchName))).kind == MxAnswer::Kind::NoSuchDomain);
    const auto failed = asked(none(Records::Kind::Failed));
    CHECK(failed.is_done());
    CHECK(mx_answer(failed).kind == MxAnswer::Kind::Temporary);
    CHECK(mx_answer(failed).text == "a.test: broken");
    CHECK(mx_answer(failed).time_to_live == UnboundResolver::kFailureTtl);
    CHECK(mx_answer(failed).state == DnsState::Insecure);
}

TEST_CASE("hosts without addresses are permanent only when nothing failed") {
    auto gone = asked(found({mx(10, kOne)}));
    answer_addresses(gone, "mx1.test", none(Records::Kind::NoSuchName));
    CHECK(mx_answer(gone).kind == MxAnswer::Kind::NoSuchDomain);
    auto broken = asked(found({mx(10, kOne)}));
    answer_addresses(broken, "mx1.test", none(Records::Kind::Failed));
    CHECK(mx_answer(broken).kind == MxAnswer::Kind::Temporary);
}

TEST_CASE("an answer with a failed part is used, but not for long") {
    auto lookup = asked(found({mx(10, kOne), mx(20, kTwo)}, 1h));
    for (const auto& question : lookup.take_questions()) {
        const bool fails = question.name == "mx2.test";
        lookup.on_records(question, fails ? none(Records::Kind::Failed) : found({kAddress}, 1h));
    }
    CHECK(mx_answer(lookup).kind == MxAnswer::Kind::Found);
    CHECK(mx_answer(lookup).time_to_live == 1min);
}

TEST_CASE("an open look-up says why it has no answer, or what it has") {
    auto lookup = asked(found({mx(10, kOne), mx(20, kTwo)}));
    auto questions = lookup.take_questions();
    CHECK(mx_answer(lookup, "too slow").kind == MxAnswer::Kind::Temporary);
    CHECK(mx_answer(lookup, "too slow").text == "a.test: too slow");
    CHECK_FALSE(lookup.has_address());
    lookup.on_records(questions[0], found({kAddress}));
    CHECK(lookup.has_address());
    CHECK_FALSE(lookup.is_done());
    CHECK(mx_answer(lookup, "too slow").kind == MxAnswer::Kind::Found);
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
    CHECK(mx_answer(host).hosts[0].addresses.size() == Resolver::kMaxAddresses);
}

TEST_CASE("the MX records and each host's addresses have a DNSSEC state of their own", "[rfc7672]") {
    auto lookup = asked(found({mx(10, kOne), mx(20, kTwo)}));
    for (const auto& question : lookup.take_questions()) {
        Records records = question.type == RecordType::A ? found({kAddress}) : none(Records::Kind::NoData);
        // The second host's zone is signed for one type of address only: that is not enough.
        if (question.name == "mx2.test" && question.type == RecordType::Aaaa) records.state = DnsState::Insecure;
        if (question.name == "mx1.test") records.canonical_name = "real.test";
        lookup.on_records(question, records);
    }
    const auto answer = mx_answer(lookup);
    CHECK(answer.state == DnsState::Secure);
    CHECK(answer.hosts[0].state == DnsState::Secure);
    CHECK(answer.hosts[0].canonical_name == "real.test");
    CHECK(answer.hosts[1].state == DnsState::Insecure);
    CHECK(answer.hosts[1].canonical_name.empty());
}

TEST_CASE("what is bogus is temporary, and a host whose addresses are bogus has none", "[C5321-1][rfc4035]") {
    const auto domain = mx_answer(asked(bogus()));
    CHECK(domain.kind == MxAnswer::Kind::Temporary);
    CHECK(domain.state == DnsState::Bogus);
    CHECK(domain.text == "a.test: validation failed");

    auto lookup = asked(found({mx(10, kOne), mx(20, kTwo)}));
    for (const auto& question : lookup.take_questions()) {
        lookup.on_records(question, question.name == "mx1.test" ? bogus() : found({kAddress}));
    }
    CHECK(mx_answer(lookup).kind == MxAnswer::Kind::Found);
    CHECK(mx_answer(lookup).hosts[0].addresses.empty());
    CHECK(mx_answer(lookup).hosts[0].state == DnsState::Bogus);
    CHECK(mx_answer(lookup).hosts[1].state == DnsState::Secure);

    auto only = asked(found({mx(10, kOne)}));
    for (const auto& question : only.take_questions()) only.on_records(question, bogus());
    CHECK(mx_answer(only).kind == MxAnswer::Kind::Temporary);
}

TEST_CASE("TLSA and TXT records come as they are, without those that are cut short", "[rfc6698]") {
    Lookup tlsa(Lookup::Kind::Tlsa, "_25._tcp.mx.test");
    auto questions = tlsa.take_questions();
    REQUIRE(questions.size() == 1);
    CHECK(questions[0].type == RecordType::Tlsa);
    tlsa.on_records(questions[0], found({"\3\1\1digest"s, "\3\1"s}));
    const auto records = std::get<TlsaAnswer>(tlsa.answer(""));
    CHECK(records.kind == TlsaAnswer::Kind::Found);
    CHECK(records.state == DnsState::Secure);
    CHECK(records.records == std::vector<TlsaRecord>{{3, 1, 1, "digest"}});

    Lookup txt(Lookup::Kind::Txt, "_mta-sts.a.test");
    questions = txt.take_questions();
    txt.on_records(questions[0], found({"\7v=STSv1\5; id="s, "\5cut"s, "\0"s}));
    CHECK(std::get<TxtAnswer>(txt.answer("")).records == std::vector<std::string>{"v=STSv1; id=", ""});
}

TEST_CASE("records that are not there are told from those that nobody could ask for") {
    const auto answered = [](const Records& records) {
        Lookup lookup(Lookup::Kind::Tlsa, "_25._tcp.mx.test");
        lookup.on_records(lookup.take_questions()[0], records);
        return std::get<TlsaAnswer>(lookup.answer(""));
    };
    CHECK(answered(none(Records::Kind::NoData)).kind == TlsaAnswer::Kind::NoRecords);
    CHECK(answered(none(Records::Kind::NoData)).state == DnsState::Secure);
    CHECK(answered(none(Records::Kind::NoSuchName)).kind == TlsaAnswer::Kind::NoSuchName);
    CHECK(answered(none(Records::Kind::Failed)).kind == TlsaAnswer::Kind::Temporary);
    CHECK(answered(bogus()).kind == TlsaAnswer::Kind::Temporary);
    CHECK(answered(bogus()).state == DnsState::Bogus);
    CHECK(answered(bogus()).text == "_25._tcp.mx.test: validation failed");
    const auto failure = Lookup::failure(Lookup::Kind::Txt, "a.test", "too many");
    CHECK(std::get<TxtAnswer>(failure).kind == TxtAnswer::Kind::Temporary);
    CHECK(std::get<TxtAnswer>(failure).text == "a.test: too many");
}
