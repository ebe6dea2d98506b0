#include <catch2/catch.hpp>

#include "postfleet/base/text.hpp"
#include "postfleet/mime/compose.hpp"
#include "postfleet/mime/seven_bit.hpp"
#include "postfleet/mime/short_lines.hpp"

using namespace postfleet;
using namespace postfleet::mime;

namespace {

Draft simple() {
    Draft draft;
    draft.from = {"The Shop", "orders@Shop.Example"};
    draft.to = {{"", "alice@customer.example"}};
    draft.subject = "Your order";
    draft.text = "It is on its way.\n";
    return draft;
}

Result<std::string> written(const Draft& draft, TextForm form = TextForm::Fixed) {
    return compose(
        draft,
        {.date = "Sun, 22 Nov 2026 10:11:12 +0000", .message_id = "<id@mx.example>", .boundary = "0193", .form = form});
}

std::string problem_of(const Draft& draft) {
    const auto composed = written(draft);
    return composed ? "" : composed.error().text;
}

bool has(const Result<std::string>& text, std::string_view what) {
    return text && text->find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("a text becomes a message with everything that a message needs", "[mime][compose][RFC5322-3.6]") {
    const auto composed = written(simple());
    REQUIRE(composed);
    CHECK(*composed ==
          "Date: Sun, 22 Nov 2026 10:11:12 +0000\r\n"
          "From: The Shop <orders@shop.example>\r\n"
          "To: alice@customer.example\r\n"
          "Subject: Your order\r\n"
          "Message-ID: <id@mx.example>\r\n"
          "MIME-Version: 1.0\r\n"
          "Content-Type: text/plain; charset=utf-8\r\n"
          "Content-Transfer-Encoding: 7bit\r\n"
          "\r\n"
          "It is on its way.\r\n");
}

TEST_CASE("text, HTML, its pictures and files each have their place", "[mime][compose][RFC2046-5.1]") {
    Draft draft = simple();
    draft.html = "<p>It is on its way. <img src=\"cid:logo\"></p>";
    draft.attachments = {{"logo.png", "image/png", "logo", "PNG", Attachment::Disposition::Inline},
                         {"invoice.pdf", "application/pdf", "", "PDF", Attachment::Disposition::Attachment}};
    const auto composed = written(draft);
    REQUIRE(composed);
    const char* order[] = {
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
        "<logo>",          "application/pdf"};
    std::size_t at = 0;
    for (const char* each : order) {
        const std::size_t found = composed->find(each, at);
        INFO(each);
        REQUIRE(found != std::string::npos);
        at = found;
    }
    CHECK(composed->ends_with("--=_1_0193--\r\n"));
    CHECK(has(composed, "Content-Disposition: inline;\r\n filename=\"logo.png\""));
    CHECK(has(composed, "\r\n\r\nUERG\r\n"));
}

TEST_CASE("a message of files alone has no empty text", "[mime][compose]") {
    Draft draft = simple();
    draft.text.clear();
    draft.attachments = {{"a.bin", "", "", "x", Attachment::Disposition::Attachment}};
    const auto composed = written(draft);
    CHECK(has(composed, "application/octet-stream"));
    CHECK_FALSE(has(composed, "text/plain"));
}

TEST_CASE("a text is encoded only where it must be, and then as is shorter", "[mime][compose][RFC2045-6]") {
    Draft draft = simple();
    draft.text = "Grüße aus Wien, und bis bald";
    CHECK(has(written(draft), "quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe aus Wien"));
    draft.text = "日本語のお知らせ";
    CHECK(has(written(draft), "base64\r\n\r\n5pel"));
    draft.text = std::string(2000, 'x');
    const auto long_line = written(draft);
    CHECK(has(long_line, "quoted-printable"));
    CHECK_FALSE(has_long_line(*long_line));
    // It would end a part that it stands in.
    draft.text = "--=_1_0193--\n";
    CHECK(has(written(draft), "quoted-printable\r\n\r\n--=3D_1_0193--"));
}

TEST_CASE("line ends of every kind become CRLF, and none is missing", "[mime][compose]") {
    Draft draft = simple();
    draft.text = "a\nb\rc\r\nd";
    CHECK(written(draft)->ends_with("\r\n\r\na\r\nb\r\nc\r\nd\r\n"));
}

TEST_CASE("a text that is to be merged stays as it is", "[mime][compose][merge]") {
    Draft draft = simple();
    draft.to.clear();
    draft.text = "Grüße, [name]";
    const auto composed = written(draft, TextForm::Mergeable);
    CHECK(has(composed, "To: [*to]\r\n"));
    CHECK(has(composed, "8bit\r\n\r\nGrüße, [name]\r\n"));
}

TEST_CASE("nothing that an application gives ends its own line", "[mime][compose][SEC-17]") {
    Draft draft = simple();
    draft.subject = "a\r\nBcc: victim@other.example";
    CHECK(problem_of(draft).starts_with("subject: "));
    draft = simple();
    draft.from.name = "a\nb";
    CHECK(problem_of(draft).starts_with("from[0]: "));
    draft = simple();
    draft.to[0].address = "a@b.example>\r\nX: y";
    CHECK(problem_of(draft).starts_with("to[0]: "));
    draft = simple();
    draft.headers = {{"X-Note", "a\r\nb"}};
    CHECK(problem_of(draft).starts_with("headers.X-Note: "));
    draft.headers = {{"X Note", "a"}};
    CHECK(problem_of(draft).starts_with("headers.X Note: "));
    draft = simple();
    draft.attachments = {{"a\r\nb", "", "", "", Attachment::Disposition::Attachment}};
    CHECK(problem_of(draft).starts_with("attachments[0].filename: "));
    draft.attachments = {{"", "text/plain\r\nX: y", "", "", Attachment::Disposition::Attachment}};
    CHECK(problem_of(draft).starts_with("attachments[0].content_type: "));
    draft.attachments = {{"", "", "a> b", "", Attachment::Disposition::Attachment}};
    CHECK(problem_of(draft).starts_with("attachments[0].content_id: "));
}

TEST_CASE("fields that the draft has a place for cannot be given twice", "[mime][compose]") {
    for (const char* name : {"From", "to", "SUBJECT", "Content-Type", "Bcc", "Sender"}) {
        Draft draft = simple();
        draft.headers = {{name, "x"}};
        CHECK(problem_of(draft).find("cannot be given here") != std::string::npos);
    }
    Draft draft = simple();
    draft.headers = {{"Message-ID", "<mine@shop.example>"}, {"List-Unsubscribe", "<https://shop.example/u>"}};
    const auto composed = written(draft);
    CHECK(has(composed, "Message-ID: <mine@shop.example>\r\n"));
    CHECK_FALSE(has(composed, "<id@mx.example>"));
    CHECK(has(composed, "List-Unsubscribe: <https://shop.example/u>\r\n"));
}

TEST_CASE("a part of many parts cannot be smuggled in as a file", "[mime][compose]") {
    Draft draft = simple();
    draft.attachments = {{"a.eml", "message/rfc822", "", "x", Attachment::Disposition::Attachment}};
    CHECK(problem_of(draft).find("application/octet-stream") != std::string::npos);
}

TEST_CASE("what is composed has a 7-bit form", "[mime][compose]") {
    Draft draft = simple();
    draft.text = "Grüße";
    draft.html = "<p>Grüße</p>";
    const auto composed = written(draft);
    REQUIRE(composed);
    CHECK(is_ascii(*composed));
}
