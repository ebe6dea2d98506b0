// Which virtual MTA a message gets.
#include "ingest_fixture.hpp"

namespace postfleet::ingest {
namespace {

const std::string kBody = "From: a@sender.example\r\n\r\nbody\r\n.\r\n";

std::string ignoring_headers() {
    auto text = kConfiguration;
    text.replace(text.find("headers: honour"), 15, "headers: ignore");
    return text;
}

}  // namespace

TEST_CASE("X-Virtual-MTA names a virtual MTA or a pool where headers are honoured, and is cut out") {
    IngestFixture f;
    Client client(f);
    client.begin();
    client.say("X-Virtual-MTA: promo-2\r\n" + kBody);
    client.begin();
    client.say("X-Virtual-MTA: transactional\r\n" + kBody);
    REQUIRE(f.handover.accepted.size() == 2);
    CHECK(f.handover.accepted[0].tasks[0].virtual_mta == "promo-2");
    CHECK(f.handover.accepted[0].tasks[0].pool.empty());
    CHECK(f.handover.accepted[1].tasks[0].virtual_mta == "tx-1");
    CHECK(f.handover.accepted[1].tasks[0].pool == "transactional");
    CHECK(f.handover.accepted[1].message->pool == "transactional");
    CHECK(f.handover.accepted[1].tasks[0].priority == Priority::High);
    CHECK(f.handover.accepted[0].last_chunk->starts_with("From: "));
}

TEST_CASE("where headers are ignored they change nothing and stay") {
    IngestFixture f(ignoring_headers());
    Client client(f);
    client.begin();
    client.say("X-Virtual-MTA: promo-2\r\nX-Job: j\r\n" + kBody);
    CHECK(f.handover.accepted.at(0).tasks[0].virtual_mta == "tx-1");
    CHECK(f.handover.accepted[0].message->job.empty());
    CHECK(f.handover.accepted[0].last_chunk->starts_with("X-Virtual-MTA: promo-2\r\nX-Job: j\r\n"));
}

TEST_CASE("a virtual MTA that does not exist is refused by name, or falls to the default where that is configured") {
    IngestFixture f;
    Client client(f);
    client.begin();
    const std::string reply = client.say("X-Virtual-MTA: nonesuch\r\n" + kBody);
    CHECK(reply.starts_with("554 5.3.5 "));
    CHECK(reply.find("nonesuch") != std::string::npos);
    CHECK(f.handover.accepted.empty());
    CHECK(f.refused(Reason::UnknownVirtualMta) == 1);

    IngestFixture lenient(kConfiguration + "unknown_virtual_mta: default\n");
    Client other(lenient);
    other.begin();
    CHECK(other.say("X-Virtual-MTA: nonesuch\r\n" + kBody).starts_with("250 "));
    CHECK(lenient.handover.accepted.at(0).tasks[0].virtual_mta == "tx-1");
}

TEST_CASE("rules see headers, reverse-path, client and recipient domain") {
    IngestFixture f(kConfiguration + R"(
bindings:
  - {header: {X-Campaign: "^promo"}, virtual_mta: promo-1}
  - {mail_from: "@news\\.example$", virtual_mta: promo-2}
  - {client: 192.0.2.200, virtual_mta: transactional}
  - {rcpt_domain: "^slow\\.example$", virtual_mta: promo-1}
)");
    const auto bound = [&f](Client& client, const std::string& from, const std::string& header) {
        client.begin(from);
        client.say(header + kBody);
        return f.handover.accepted.back().tasks[0].virtual_mta;
    };
    Client client(f);
    CHECK(bound(client, "a@x.example", "X-Campaign: promo\r\n  spring\r\n") == "promo-1");
    CHECK(bound(client, "a@news.example", "") == "promo-2");
    CHECK(bound(client, "a@x.example", "") == "tx-1");
    Client special(f, "192.0.2.200");
    CHECK(bound(special, "a@x.example", "") == "tx-1");
    CHECK(f.handover.accepted.back().tasks[0].pool == "transactional");

    client.begin("a@x.example", {"1@slow.example", "2@fast.example"});
    client.say(kBody);
    const auto& tasks = f.handover.accepted.back().tasks;
    REQUIRE(tasks.size() == 2);
    CHECK(tasks[0].virtual_mta == "promo-1");
    CHECK(tasks[1].virtual_mta == "tx-1");
}

TEST_CASE("from a pool the virtual MTA is chosen by weight, once per message") {
    auto text = kConfiguration;
    text.replace(text.find("default_virtual_mta: tx-1"), 25, "default_virtual_mta: bulk");
    IngestFixture f(text);
    Client client(f);
    int first = 0;
    for (int i = 0; i < 400; ++i) {
        client.begin("a@x.example", {"1@one.example", "2@two.example"});
        client.say(kBody);
        const auto& tasks = f.handover.accepted.back().tasks;
        REQUIRE(tasks[0].virtual_mta == tasks[1].virtual_mta);
        first += tasks[0].virtual_mta == "promo-1" ? 1 : 0;
    }
    CHECK(first > 260);
    CHECK(first < 340);
}

}  // namespace postfleet::ingest
