#include <catch2/catch.hpp>

#include <optional>
#include <random>

#include "postfleet/smtp/data_scanner.hpp"

namespace postfleet::smtp {
namespace {

struct Outcome {
    std::string content;
    bool ended = false;
    std::size_t consumed = 0;
    bool flawed = false;
    bool has_leading_dots = false;
    bool has_eight_bit = false;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& o) {
    return out << "{ended " << o.ended << " consumed " << o.consumed << " flawed " << o.flawed << " dots "
               << o.has_leading_dots << " high " << o.has_eight_bit << " content '" << o.content << "'}";
}

// The slow obvious way: look for the end in the whole text, cut it into lines, look at each.
Outcome model(const std::string& input, LineEndPolicy policy) {
    Outcome result;
    const auto end = ("\r\n" + input).find("\r\n.\r\n");
    result.ended = end != std::string::npos;
    result.consumed = result.ended ? end + 3 : input.size();
    std::string data = input.substr(0, result.ended ? end : input.size());
    const bool complete = result.ended;

    std::string line;
    const auto flush = [&](bool with_end) {
        if (!line.empty() && line[0] == '.') line.erase(0, 1);
        if (!line.empty() && line[0] == '.') result.has_leading_dots = true;
        result.content += line;
        if (with_end) result.content += "\r\n";
        line.clear();
    };
    for (std::size_t i = 0; i < data.size(); ++i) {
        const char c = data[i];
        if (c == '\r' && i + 1 < data.size() && data[i + 1] == '\n') {
            flush(true);
            ++i;
        } else if (c == '\r' || c == '\n') {
            if (c == '\r' && i + 1 == data.size() && !complete) break;  // its successor decides
            result.flawed = true;
            flush(true);
        } else {
            if (c == '\0') result.flawed = true;
            if ((c & 0x80) != 0) result.has_eight_bit = true;
            line.push_back(c == '\0' ? ' ' : c);
        }
    }
    flush(false);
    if (policy == LineEndPolicy::Strict && result.flawed) result.content.clear();
    return result;
}

Outcome scan(const std::string& input, LineEndPolicy policy, const std::vector<std::size_t>& cuts) {
    DataScanner scanner(policy);
    Outcome result;
    std::size_t at = 0;
    for (std::size_t i = 0; i <= cuts.size() && !result.ended && at < input.size(); ++i) {
        const std::size_t until = i < cuts.size() ? cuts[i] : input.size();
        const std::string piece = input.substr(at, until - at);
        const auto progress = scanner.scan(piece, result.content);
        result.ended = progress.ended;
        at += progress.consumed;
        if (!progress.ended) REQUIRE(progress.consumed == piece.size());
    }
    result.consumed = at;
    result.has_leading_dots = scanner.has_leading_dots();
    result.has_eight_bit = scanner.has_eight_bit();
    if (policy == LineEndPolicy::Strict) {
        result.flawed = scanner.flaw() != DataScanner::Flaw::None;
        if (result.flawed) result.content.clear();
    }
    return result;
}

std::string quoted(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\r') out += "\\r";
        else if (c == '\n') out += "\\n";
        else if (c == '\0') out += "\\0";
        else out += c;
    }
    return out;
}

// Every sequence that some server has taken for the end of the data (VU#302671 and the public scanners).
const std::vector<std::string> kSmuggling{"\n.\n",
                                          "\n.\r\n",
                                          "\r\n.\n",
                                          "\r.\r",
                                          "\r.\n",
                                          "\n.\r",
                                          "\r.\r\n",
                                          "\r\n.\r",
                                          "\r\n.\r\r\n",
                                          "\r\r\n.\r\r\n",
                                          std::string("\r\n\0.\r\n", 6),
                                          std::string("\r\n.\0\r\n", 6)};

// Small alphabets make the rare sequences frequent.
std::string random_text(std::mt19937& random, std::size_t length) {
    static const std::string rare("\r\n.\0ax\x80", 7);
    std::string text;
    while (text.size() < length) {
        switch (random() % 8) {
            case 0: text += rare[random() % rare.size()]; break;
            case 1: text += "\r\n"; break;
            case 2: text += "\r\n."; break;
            case 3: text += kSmuggling[random() % kSmuggling.size()]; break;
            default: text.append(1 + random() % 70, "abc\x80"[random() % 50 == 0 ? 3 : random() % 3]); break;
        }
    }
    return text;
}

}  // namespace

TEST_CASE("no smuggling sequence ends the data, whatever the mode and wherever it is cut", "[smtp][SEC-1][S5321-7]") {
    for (const LineEndPolicy policy : {LineEndPolicy::Strict, LineEndPolicy::Normalize}) {
        for (const std::string& sequence : kSmuggling) {
            const std::string tail = "MAIL FROM:<x@y.example>\r\nDATA\r\nz\r\n.\r\n";
            const std::string input = "Subject: a\r\n\r\nbody" + sequence + tail;
            INFO(quoted(input));
            for (std::size_t cut = 1; cut < input.size(); ++cut) {
                const Outcome outcome = scan(input, policy, {cut});
                REQUIRE(outcome.ended);
                REQUIRE(outcome.consumed == input.size());
                if (policy == LineEndPolicy::Strict) {
                    REQUIRE(outcome.flawed);
                } else {
                    // What came out is clean: nothing a second scanner could take for the end.
                    REQUIRE(outcome.content.find("\r\n.\r\n") == std::string::npos);
                    REQUIRE(outcome.content.find('\0') == std::string::npos);
                }
            }
        }
    }
}

TEST_CASE("the scanner does what the obvious way does, on whatever input, however it is cut", "[smtp][property]") {
    const unsigned seed = 20260101;
    INFO("seed " << seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 20'000; ++round) {
        const LineEndPolicy policy = round % 2 == 0 ? LineEndPolicy::Strict : LineEndPolicy::Normalize;
        std::string input = random_text(random, random() % 300);
        if (round % 3 == 0) input += "\r\n.\r\n";
        std::vector<std::size_t> cuts;
        for (std::size_t at = 0; at < input.size();) {
            at += 1 + random() % 100;
            if (at < input.size()) cuts.push_back(at);
        }
        Outcome expected = model(input, policy);
        Outcome found = scan(input, policy, cuts);
        INFO("round " << round << ": " << quoted(input));
        if (policy == LineEndPolicy::Normalize) found.flawed = expected.flawed;
        if (expected.flawed && policy == LineEndPolicy::Strict) {
            // What a refused message looks like is nobody's business.
            expected.has_leading_dots = found.has_leading_dots;
            expected.has_eight_bit = found.has_eight_bit;
        }
        if (!expected.ended) {
            // The last line may hold a dot or a CR that only its successor explains.
            REQUIRE_FALSE(found.ended);
            REQUIRE(found.consumed == input.size());
            continue;
        }
        REQUIRE(found == expected);
    }
}

TEST_CASE("a message that arrives octet by octet is the same message", "[smtp]") {
    const std::string input = "From: a\r\n\r\n..one\r\n...\r\n. x\r\n\r\n\x80\r\n.\r\nQUIT\r\n";
    std::vector<std::size_t> cuts(input.size() - 1);
    for (std::size_t i = 0; i < cuts.size(); ++i) cuts[i] = i + 1;
    const Outcome outcome = scan(input, LineEndPolicy::Strict, cuts);
    CHECK(outcome.content == "From: a\r\n\r\n.one\r\n..\r\n x\r\n\r\n\x80\r\n");
    CHECK(outcome.consumed == input.size() - 6);
    CHECK(outcome.has_leading_dots);
    CHECK(outcome.has_eight_bit);
}

TEST_CASE("a message without content ends at once", "[smtp]") {
    const Outcome outcome = scan(".\r\n", LineEndPolicy::Strict, {});
    CHECK(outcome.ended);
    CHECK(outcome.content.empty());
}

TEST_CASE("a stuffed dot that stands alone is content, and said to be a leading dot", "[smtp]") {
    const Outcome outcome = scan("a\r\n..\r\n.\r\n", LineEndPolicy::Strict, {});
    CHECK(outcome.content == "a\r\n.\r\n");
    CHECK(outcome.has_leading_dots);
    CHECK_FALSE(scan("a\r\n.b\r\n.\r\n", LineEndPolicy::Strict, {}).has_leading_dots);
}

TEST_CASE("a discarding scanner keeps nothing and still finds the end", "[smtp]") {
    DataScanner scanner(LineEndPolicy::Strict);
    std::string out;
    scanner.discard();
    CHECK(scanner.scan("abc\r\n.\r\n", out).ended);
    CHECK(out.empty());
}

}  // namespace postfleet::smtp
