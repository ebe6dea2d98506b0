#include "postfleet/merge/merger.hpp"

#include <catch2/catch.hpp>

#include "merge_fixture.hpp"

namespace postfleet::merge {
namespace {

constexpr std::string_view kHeader = "Subject: [What]\r\n\r\n";

std::string merged(const MergeFixture& f) {
    const auto text = Merger(f.message, f.recipient).merge(f.content);
    return text ? *text : "error: " + text.error().text;
}

}  // namespace

TEST_CASE("variables become their values, whatever the case of their names") {
    MergeFixture f;
    f.part(1, "Subject: For [NAME]\r\n\r\nDear [Name],\r\n[name][[name] []\r\n").define({{"name", "Ann"}});
    CHECK(merged(f) == "Subject: For Ann\r\n\r\nDear Ann,\r\nAnn[name] []\r\n");
}

TEST_CASE("what a value says is not merged again") {
    MergeFixture f;
    f.part(1, "\r\n[a][b]\r\n").define({{"a", "[b]"}, {"b", "[["}});
    CHECK(merged(f) == "\r\n[b][[\r\n");
}

TEST_CASE("a recipient gets its parts in its order, and all of them if it names none") {
    MergeFixture f;
    f.part(1, kHeader).part(2, "two\r\n").part(3, "three\r\n");
    CHECK(merged(f) == "Subject: \r\n\r\ntwo\r\nthree\r\n");
    f.define({{"*parts", "1,3,2,3"}});
    CHECK(merged(f) == "Subject: \r\n\r\nthree\r\ntwo\r\nthree\r\n");
}

TEST_CASE("all parts are those of the message by their numbers, whatever the order in which they came") {
    MergeFixture f;
    f.part(7, "seven\r\n").part(2, kHeader);
    CHECK(merged(f) == "Subject: \r\n\r\nseven\r\n");
}

TEST_CASE("a part that the message does not have is an error") {
    MergeFixture f;
    f.part(1, kHeader).define({{"*parts", "1,4"}});
    CHECK(merged(f) == "error: there is no part 4");
}

TEST_CASE("reserved variables have the values of the envelope") {
    MergeFixture f;
    f.message.job = "spring";
    f.part(1, "\r\n[*to] [*from] [*date] [*jobid] [*envid].\r\n");
    CHECK(merged(f) == "\r\nann@x.example news@shop.example Sun, 22 Nov 2026 10:11:12 +0000 spring .\r\n");
    f.define({{"*from", "other@shop.example"}, {"*jobid", "mine"}, {"*envid", "e-1"}});
    CHECK(merged(f) == "\r\nann@x.example other@shop.example Sun, 22 Nov 2026 10:11:12 +0000 mine e-1.\r\n");
}

TEST_CASE("an address behind a quoted name in the header gets its brackets") {
    MergeFixture f;
    f.part(1, "From: \"Shop\" [*from]\r\nTo: [*to]\r\nCc: \"[a]\"[*to]\r\n\r\n\"x\" [*to]\r\n").define({{"a", "Ann"}});
    CHECK(merged(f) ==
          "From: \"Shop\" <news@shop.example>\r\nTo: ann@x.example\r\nCc: \"Ann\"<ann@x.example>\r\n\r\n"
          "\"x\" ann@x.example\r\n");
}

TEST_CASE("a variable that is not defined becomes nothing, stays, or is an error, as the listener says") {
    MergeFixture f;
    f.part(1, "\r\n<[Gone][*gone]>\r\n");
    CHECK(merged(f) == "\r\n<>\r\n");
    f.message.merge.undefined = UndefinedVariable::Keep;
    CHECK(merged(f) == "\r\n<[Gone][*gone]>\r\n");
    f.message.merge.undefined = UndefinedVariable::Refuse;
    CHECK(merged(f) == "error: the variable gone is not defined");
}

TEST_CASE("line breaks go into the body and never into the header", "[SEC-1]") {
    MergeFixture f;
    f.define({{"text", "one\r\ntwo"}, {"evil", "x\r\nBcc: all@x.example"}, {"empty", ""}});
    f.part(1, "Subject: hi\r\n\r\n[text]\r\n");
    CHECK(merged(f) == "Subject: hi\r\n\r\none\r\ntwo\r\n");
    f.part(2, "Subject: [evil]\r\n\r\nbody\r\n");
    f.recipient.variables.add("*parts", "2");
    CHECK(merged(f) == "error: the variable evil has a line break, and stands in the header");
}

TEST_CASE("the header goes over the border of a part") {
    MergeFixture f;
    f.part(1, "Subject: hi\r\n").part(2, "X: [evil]\r\n").part(3, "\r\nbody [evil]\r\n").define({{"evil", "a\r\nb"}});
    CHECK(merged(f) == "error: the variable evil has a line break, and stands in the header");
    f.recipient.variables.add("*parts", "1,3");
    CHECK(merged(f) == "Subject: hi\r\n\r\nbody a\r\nb\r\n");
}

TEST_CASE("what comes out is bounded, however often a value goes in") {
    MergeFixture f;
    f.message.merge.max_octets = 1000;
    std::string text = "\r\n";
    for (int i = 0; i < 99; ++i) text += "[a]";
    f.part(1, text).define({{"a", std::string(10, 'x')}});
    CHECK(merged(f).size() == 992);
    f.message.merge.max_octets = 991;
    CHECK(merged(f) == "error: larger than 991 when it is merged");
}

TEST_CASE("the merged header is there without the rest of the message") {
    MergeFixture f;
    f.part(1, "From: [a]\r\n").part(2, "To: [*to]\r\n\r\nbody").define({{"a", "x@y.example"}});
    const Merger merger(f.message, f.recipient);
    CHECK(*merger.header(f.content) == "From: x@y.example\r\nTo: ann@x.example\r\n\r\n");
    CHECK(*merger.header(f.content.substr(0, f.content.size() - 4)) ==
          "From: x@y.example\r\nTo: ann@x.example\r\n\r\n");
    const auto cut = merger.header(f.content.substr(0, 15));
    REQUIRE_FALSE(cut);
    CHECK(cut.error().kind == ErrorKind::Unavailable);
}

}  // namespace postfleet::merge
