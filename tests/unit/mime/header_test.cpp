#include <catch2/catch.hpp>

#include <vector>

#include "postfleet/mime/header.hpp"

namespace postfleet::mime {
namespace {

struct Walk {
    std::vector<std::pair<std::string, std::string>> fields;
    std::size_t end = 0;
    bool closed = false, cut_off = false;
};

Walk walk(std::string_view message) {
    Walk result;
    HeaderReader reader(message);
    while (const auto field = reader.next()) {
        CHECK(field->span.end > field->span.begin);
        result.fields.emplace_back(field->name, field->value);
    }
    CHECK_FALSE(reader.next());
    result.end = reader.end();
    result.closed = reader.is_closed();
    result.cut_off = reader.is_cut_off();
    return result;
}

using Fields = std::vector<std::pair<std::string, std::string>>;

}  // namespace

TEST_CASE("fields are found with their folds, up to the blank line", "[mime][rfc5322-2.2]") {
    const Walk found = walk("From: a@b\r\nSubject: one\r\n  two\r\n\tthree\r\nX:\r\n\r\nBody: no\r\n");
    CHECK(found.fields == Fields{{"From", " a@b"}, {"Subject", " one\r\n  two\r\n\tthree"}, {"X", ""}});
    CHECK(found.closed);
    CHECK_FALSE(found.cut_off);
    CHECK(found.end == 44);
}

TEST_CASE("a header ends at the first line that is no field", "[mime]") {
    for (const std::string_view line :
         {"no colon here\r\n", ": no name\r\n", "bad name: x\r\n", " fold first: x\r\n", "n\xc3\xa4me: x\r\n"}) {
        const std::string message = "A: 1\r\n" + std::string(line);
        INFO(message);
        if (line[0] == ' ') continue;  // that is a fold of A
        const Walk found = walk(message);
        CHECK(found.fields.size() == 1);
        CHECK_FALSE(found.closed);
        CHECK(found.end == 6);
    }
    CHECK(walk(" starts with a fold\r\nA: 1\r\n").fields.empty());
    CHECK(walk("hello\r\n").fields.empty());
    CHECK(walk("").fields.empty());
    CHECK(walk("\r\nbody: x\r\n").closed);
}

TEST_CASE("white space before the colon is let pass", "[mime]") {
    CHECK(walk("Subject \t: x\r\n\r\n").fields == Fields{{"Subject", " x"}});
}

TEST_CASE("a message that is cut inside its header says so", "[mime]") {
    CHECK(walk("A: 1\r\nB: 2").fields == Fields{{"A", " 1"}, {"B", " 2"}});
    CHECK(walk("A: 1\r\nB: 2").cut_off);
    CHECK(walk("A: 1\r\n").cut_off);
    CHECK_FALSE(walk("A: 1\r\n\r\n").cut_off);
}

TEST_CASE("unfolding joins the lines and stops at its limit", "[mime]") {
    CHECK(unfold(" a\r\n b\r\n\tc \r\n", 100) == "a b\tc");
    CHECK(unfold("  plain ", 100) == "plain");
    CHECK(unfold(" a\r\n b", 2) == "a ");
    CHECK(unfold("abcdef", 3) == "abc");
    CHECK(unfold("", 3).empty());
    CHECK(is_folded(" a\r\n b"));
    CHECK_FALSE(is_folded(" a"));
}

TEST_CASE("spans are cut out and the rest moves together", "[mime]") {
    std::string message = "A: 1\r\nX: 2\r\nB: 3\r\nX: 4\r\n\r\nbody";
    HeaderReader reader(message);
    std::vector<Span> spans;
    while (const auto field = reader.next()) {
        if (field->name == "X") spans.push_back(field->span);
    }
    remove_spans(message, spans);
    CHECK(message == "A: 1\r\nB: 3\r\n\r\nbody");
    remove_spans(message, {});
    CHECK(message == "A: 1\r\nB: 3\r\n\r\nbody");
    const Span all{0, message.size()};
    remove_spans(message, std::span(&all, 1));
    CHECK(message.empty());
}

}  // namespace postfleet::mime
