#include "postfleet/ingest/header_facts.hpp"

#include <catch2/catch.hpp>

namespace postfleet::ingest {
namespace {

const std::string kMessage =
    "Received: from a by b; date\r\n"
    "x-virtual-mta:  promo-1 \r\n"
    "From: Shop\r\n <shop@example.com>\r\n"
    "X-Job: spring\r\n 2026\r\n"
    "Subject: Hello\r\n"
    "Received: from c by d; date\r\n"
    "X-EnvID: e1\r\n"
    "X-Virtual-MTA: other\r\n"
    "X-Campaign: promo\r\n  one\r\n"
    "Message-ID: <m@example.com>\r\n"
    "X-VirtualMTA: kept\r\n"
    "\r\n"
    "X-Job: in the body\r\n";

}  // namespace

TEST_CASE("trusted fields decide and go, the first of each counts") {
    std::string content = kMessage;
    HeaderFacts facts = HeaderFacts::gather(content, config::HeaderTrust::Honour, {});
    CHECK(facts.virtual_mta == "promo-1");
    CHECK(facts.job == "spring 2026");
    CHECK(facts.envelope_id == "e1");
    CHECK(facts.from == "Shop <shop@example.com>");
    CHECK(facts.subject == "Hello");
    CHECK(facts.message_id == "<m@example.com>");
    CHECK(facts.hops == 2);
    CHECK(facts.has_fields);
    CHECK_FALSE(facts.is_cut_off);
    facts.strip(content);
    CHECK(content ==
          "Received: from a by b; date\r\n"
          "From: Shop\r\n <shop@example.com>\r\n"
          "Subject: Hello\r\n"
          "Received: from c by d; date\r\n"
          "X-Campaign: promo\r\n  one\r\n"
          "Message-ID: <m@example.com>\r\n"
          "X-VirtualMTA: kept\r\n"
          "\r\n"
          "X-Job: in the body\r\n");
}

TEST_CASE("fields that are not trusted are ordinary ones and stay") {
    std::string content = kMessage;
    HeaderFacts facts = HeaderFacts::gather(content, config::HeaderTrust::Ignore, {});
    CHECK(facts.virtual_mta.empty());
    CHECK(facts.job.empty());
    CHECK(facts.envelope_id.empty());
    facts.strip(content);
    CHECK(content == kMessage);
}

TEST_CASE("the fields that binding rules look at come as often as they occur, unfolded") {
    const std::string wanted[] = {"x-campaign", "received", "x-job"};
    const HeaderFacts facts = HeaderFacts::gather(kMessage, config::HeaderTrust::Honour, wanted);
    REQUIRE(facts.wanted.size() == 4);
    CHECK(facts.wanted[0].value == "from a by b; date");
    CHECK(facts.wanted[1].value == "spring 2026");
    CHECK(facts.wanted[3].value == "promo  one");
}

TEST_CASE("what is kept for reports is capped") {
    const std::string content =
        "Subject: " + std::string(5000, 's') + "\r\nX-Job: " + std::string(5000, 'j') + "\r\n\r\n";
    const HeaderFacts facts = HeaderFacts::gather(content, config::HeaderTrust::Honour, {});
    CHECK(facts.subject.size() == kMaxKeptField);
    CHECK(facts.job.size() == kMaxName);
}

}  // namespace postfleet::ingest
