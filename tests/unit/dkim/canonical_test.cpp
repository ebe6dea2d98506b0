#include "postfleet/dkim/canonical.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "postfleet/base/text.hpp"

using namespace postfleet;
using dkim::BodyCanonicalizer;
using dkim::Canonicalization;

namespace {

std::string body(Canonicalization form, std::string_view octets, std::size_t piece = SIZE_MAX) {
    std::string out;
    BodyCanonicalizer canonicalizer(form, [&](std::string_view part) { out += part; });
    for (; !octets.empty(); octets.remove_prefix(std::min(piece, octets.size())))
        canonicalizer.add(octets.substr(0, piece));
    canonicalizer.finish();
    return out;
}

std::string field(Canonicalization form, std::string_view octets) {
    std::string out;
    dkim::append_canonical_field(out, octets, form);
    return out;
}

// RFC 6376 §3.4.4 word for word, slowly.
std::string obvious_relaxed(std::string text) {
    if (!text.empty() && !text.ends_with("\r\n")) text += "\r\n";
    std::string out;
    while (!text.empty()) {
        const std::size_t end = text.find("\r\n");
        std::string line;
        for (const char c : text.substr(0, end)) {
            const bool blank = c == ' ' || c == '\t';
            if (blank && line.ends_with(' ')) continue;
            line.push_back(blank ? ' ' : c);
        }
        while (line.ends_with(' ')) line.pop_back();
        out += line + "\r\n";
        text.erase(0, end + 2);
    }
    while (out.ends_with("\r\n\r\n")) out.resize(out.size() - 2);
    return out == "\r\n" ? "" : out;
}

}  // namespace

TEST_CASE("the example of RFC 6376 section 3.4.5 comes out in both forms", "[D-4]") {
    const std::string_view text = " C \r\nD \t E\r\n\r\n\r\n";
    CHECK(field(Canonicalization::Relaxed, "A: X\r\n") == "a:X\r\n");
    CHECK(field(Canonicalization::Relaxed, "B : Y\t\r\n\tZ  \r\n") == "b:Y Z\r\n");
    CHECK(body(Canonicalization::Relaxed, text) == " C\r\nD E\r\n");
    CHECK(field(Canonicalization::Simple, "B : Y\t\r\n\tZ  \r\n") == "B : Y\t\r\n\tZ  \r\n");
    CHECK(body(Canonicalization::Simple, text) == " C \r\nD \t E\r\n");
}

TEST_CASE("an empty body is one line end in the simple form and nothing in the relaxed one", "[D-4]") {
    for (const char* text : {"", "\r\n", "\r\n\r\n\r\n"}) {
        CHECK(body(Canonicalization::Simple, text) == "\r\n");
        CHECK(body(Canonicalization::Relaxed, text).empty());
    }
    CHECK(body(Canonicalization::Relaxed, " \t\r\n  \r\n").empty());
    CHECK(body(Canonicalization::Simple, " \r\n") == " \r\n");
}

TEST_CASE("a last line without a line end gets one, and a CR or LF alone is an octet", "[D-4]") {
    CHECK(body(Canonicalization::Simple, "a") == "a\r\n");
    CHECK(body(Canonicalization::Relaxed, "a ") == "a\r\n");
    CHECK(body(Canonicalization::Simple, "a\rb\n\r") == "a\rb\n\r\r\n");
    CHECK(body(Canonicalization::Relaxed, "a\r") == "a\r\r\n");
}

TEST_CASE("a body may be cut anywhere", "[D-4]") {
    std::mt19937 random(6376);
    constexpr std::string_view kOctets = "a \t\r\n\xff";
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (auto n = random() % 40; n > 0; --n) {
            const char c = kOctets[random() % kOctets.size()];
            if (c == '\r' || c == '\n') text += "\r\n";
            else text.push_back(c);
        }
        const std::string relaxed = body(Canonicalization::Relaxed, text);
        CAPTURE(printable(text));
        CHECK(relaxed == obvious_relaxed(text));
        for (const std::size_t piece : {1u, 2u, 3u, 7u}) {
            CHECK(body(Canonicalization::Relaxed, text, piece) == relaxed);
            CHECK(body(Canonicalization::Simple, text, piece) == body(Canonicalization::Simple, text));
        }
    }
}

TEST_CASE("many empty lines before a last one cost no memory to speak of") {
    std::size_t largest = 0, all = 0;
    BodyCanonicalizer canonicalizer(Canonicalization::Relaxed, [&](std::string_view part) {
        largest = std::max(largest, part.size());
        all += part.size();
    });
    std::string lines;
    for (int i = 0; i < 100'000; ++i) lines += "\r\n";
    for (int i = 0; i < 20; ++i) canonicalizer.add(lines);
    canonicalizer.add("end\r\n");
    canonicalizer.finish();
    CHECK(all == 2 * 2'000'000 + 5);
    CHECK(largest < 32 * 1024);
}
