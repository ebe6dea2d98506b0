#include <catch2/catch.hpp>

#include "postfleet/smtp/command.hpp"
#include "postfleet/smtp/parameters.hpp"
#include "postfleet/smtp/path.hpp"

namespace postfleet::smtp {

TEST_CASE("a command line is a verb in any case and an argument without the white space around it", "[smtp]") {
    struct Row {
        std::string_view line;
        Verb verb;
        std::string_view argument;
    };
    const Row rows[] = {
        {"EHLO a.example", Verb::Ehlo, "a.example"},
        {"eHlO  a \t", Verb::Ehlo, "a"},
        {"MAIL FROM:<a@b>", Verb::Mail, "FROM:<a@b>"},
        {"quit", Verb::Quit, ""},
        {"QUIT\t", Verb::Quit, ""},
        {"DATA", Verb::Data, ""},
        {"DATA1", Verb::Unknown, ""},
        {"DAT", Verb::Unknown, ""},
        {"", Verb::Unknown, ""},
        {" NOOP", Verb::Unknown, "NOOP"},
        {"GET / HTTP/1.1", Verb::Foreign, "/ HTTP/1.1"},
        {"post /", Verb::Foreign, "/"},
        {"EXPN x", Verb::Expn, "x"},
        {"NO\xcfP", Verb::Unknown, ""},
        // These differ from a verb in bit 5 only.
        {std::string_view("QUI\x14", 4), Verb::Unknown, ""},
        {std::string_view("\x0eOOP", 4), Verb::Unknown, ""},
    };
    for (const Row& row : rows) {
        INFO(row.line);
        const Command command = parse_command(row.line);
        CHECK(command.verb == row.verb);
        CHECK(command.argument == row.argument);
    }
}

TEST_CASE("a path keyword is taken in any case, with or without white space behind the colon", "[smtp]") {
    std::string_view argument = "from:  <a@b.example> SIZE=1";
    CHECK(take_path_keyword("FROM", argument));
    CHECK(argument == "<a@b.example> SIZE=1");
    for (std::string_view wrong : {"FROM", "FROM <a@b>", "TO:<a@b>", "", "FROMX:<a@b>"}) {
        INFO(wrong);
        CHECK_FALSE(take_path_keyword("FROM", wrong));
    }
}

TEST_CASE("a hello name is a domain or an address literal, and nothing that could break a header", "[smtp]") {
    for (const std::string_view name : {"a", "a.b-c.example", "under_score", "[192.0.2.1]", "[IPv6:2001:db8::1]"}) {
        INFO(name);
        CHECK(is_hello_name(name));
    }
    for (const std::string_view name :
         {"", "a b", "a\tb", "a(b)", "[1.2.3.4", "1.2.3.4]", "[]", "a<b>", "a;b", "\xc3\xa4", "a:b", "\"a\""}) {
        INFO(name);
        CHECK_FALSE(is_hello_name(name));
    }
    CHECK(is_hello_name(std::string(255, 'a')));
    CHECK_FALSE(is_hello_name(std::string(256, 'a')));
}

TEST_CASE("a path is read from the front and leaves its parameters", "[smtp][S5321-5]") {
    struct Row {
        std::string_view text;
        PathKind kind;
        std::string_view mailbox;
        std::string_view rest;
    };
    const Row rows[] = {
        {"<>", PathKind::Null, "@", ""},
        {"<> SIZE=1", PathKind::Null, "@", " SIZE=1"},
        {"<a@B.example>", PathKind::Mailbox, "a@b.example", ""},
        {"<A.b+c=d@[192.0.2.1]> X", PathKind::Mailbox, "A.b+c=d@[192.0.2.1]", " X"},
        {"<\"a b\"@c.example>", PathKind::Mailbox, "\"a b\"@c.example", ""},
        {"<\"a>b\"@c.example>", PathKind::Mailbox, "\"a>b\"@c.example", ""},
        {"<\"a\\\">b\"@c.example>", PathKind::Mailbox, "\"a\\\">b\"@c.example", ""},
        {"<@r.example:a@b.example>", PathKind::Mailbox, "a@b.example", ""},
        {"<@r.example,@s.example:a@b.example>", PathKind::Mailbox, "a@b.example", ""},
        {"<postmaster>", PathKind::Postmaster, "postmaster@", ""},
        {"<POSTmaster>", PathKind::Postmaster, "POSTmaster@", ""},
    };
    for (const Row& row : rows) {
        INFO(row.text);
        std::string_view text = row.text;
        const auto parsed = parse_path(text, Mailbox::Utf8::Refuse);
        REQUIRE(std::holds_alternative<Path>(parsed));
        CHECK(std::get<Path>(parsed).kind == row.kind);
        CHECK(std::get<Path>(parsed).mailbox.to_string() == row.mailbox);
        CHECK(text == row.rest);
    }
}

TEST_CASE("a wrong path is refused for what is wrong with it, and the text stays", "[smtp]") {
    const std::string long_local(65, 'l');
    const std::string long_path = "<a@" + std::string(60, 'd') + "." + std::string(60, 'd') + "." +
                                  std::string(60, 'd') + "." + std::string(60, 'd') + "." + std::string(20, 'd') + ">";
    struct Row {
        std::string text;
        PathError error;
    };
    const Row rows[] = {
        {"", PathError::Syntax},
        {"a@b.example", PathError::Syntax},
        {"<a@b.example", PathError::Syntax},
        {"<a>", PathError::Syntax},
        {"<a@>", PathError::Syntax},
        {"<@b.example>", PathError::Syntax},
        {"<a b@c.example>", PathError::Syntax},
        {"<\"a@b.example>", PathError::Syntax},
        {"<\"a\\", PathError::Syntax},
        {"<a@b.example>x", PathError::Syntax},
        {"<@:a@b.example>", PathError::Syntax},
        {"<x,@y.example:a@b.example>", PathError::Syntax},
        {"<" + long_local + "@b.example>", PathError::Syntax},
        {"<a@b..example>", PathError::Syntax},
        {"<a@b@c.example>", PathError::Syntax},
        {"<\xc3\xa4@b.example>", PathError::NotAscii},
        {"<a@\xc3\xa4.example>", PathError::NotAscii},
        {long_path, PathError::TooLong},
    };
    for (const Row& row : rows) {
        INFO(row.text);
        std::string_view text = row.text;
        const auto parsed = parse_path(text, Mailbox::Utf8::Refuse);
        REQUIRE(std::holds_alternative<PathError>(parsed));
        CHECK(std::get<PathError>(parsed) == row.error);
        CHECK(text == row.text);
    }
}

TEST_CASE("a path of the least sizes that must be taken is taken", "[smtp][S5321-6]") {
    const std::string local(64, 'l');
    const std::string domain = std::string(63, 'd') + "." + std::string(63, 'd') + "." + std::string(56, 'd') + ".ab";
    const std::string path = "<" + local + "@" + domain + ">";
    std::string_view text = path;
    CHECK(std::holds_alternative<Path>(parse_path(text, Mailbox::Utf8::Refuse)));
}

TEST_CASE("parameters are known, wrong, or refused, never ignored", "[smtp][S5321-4]") {
    struct Row {
        std::string_view text;
        ParameterError error;
        std::optional<std::uint64_t> size;
        BodyType body;
    };
    constexpr auto k7 = BodyType::SevenBit;
    const Row rows[] = {
        {"", ParameterError::None, {}, k7},
        {"  \t ", ParameterError::None, {}, k7},
        {" SIZE=0", ParameterError::None, 0, k7},
        {" size=12345 Body=8bitmime", ParameterError::None, 12345, BodyType::EightBitMime},
        {" SIZE=007", ParameterError::None, 7, k7},
        {" SIZE=18446744073709551615", ParameterError::None, UINT64_MAX, k7},
        {" SIZE=18446744073709551616", ParameterError::None, UINT64_MAX, k7},
        {" SIZE=99999999999999999999", ParameterError::None, UINT64_MAX, k7},
        {" SIZE=000000000000000000001", ParameterError::Syntax, {}, k7},
        {" SIZE", ParameterError::Syntax, {}, k7},
        {" SIZE=", ParameterError::Syntax, {}, k7},
        {" SIZE=+5", ParameterError::Syntax, {}, k7},
        {" SIZE=0x10", ParameterError::Syntax, {}, k7},
        {" SIZE=1e9", ParameterError::Syntax, {}, k7},
        {" SIZE=1 SIZE=2", ParameterError::Syntax, 1, k7},
        {" BODY=7BIT BODY=7BIT", ParameterError::Syntax, {}, k7},
        {" BODY=BINARYMIME", ParameterError::Unsupported, {}, k7},
        {" AUTH=<>", ParameterError::None, {}, k7},
        {" AUTH=+3", ParameterError::Syntax, {}, k7},
        {" X", ParameterError::Unknown, {}, k7},
        {" X=a=b", ParameterError::Syntax, {}, k7},
        {" X=\x7f", ParameterError::Syntax, {}, k7},
        {" -X=1", ParameterError::Syntax, {}, k7},
        {" X!=1", ParameterError::Syntax, {}, k7},
    };
    for (const Row& row : rows) {
        INFO(row.text);
        MailParameters parameters;
        CHECK(parse_mail_parameters(row.text, parameters) == row.error);
        CHECK(parameters.size_octets == row.size);
        CHECK(parameters.body == row.body);
    }
    RcptParameters none;
    CHECK(parse_rcpt_parameters("  ", Mailbox::Utf8::Refuse, none) == ParameterError::None);
    CHECK(parse_rcpt_parameters(" FOO=NEVER", Mailbox::Utf8::Refuse, none) == ParameterError::Unknown);
    CHECK(parse_rcpt_parameters(" =", Mailbox::Utf8::Refuse, none) == ParameterError::Syntax);
}

TEST_CASE("the DSN parameters of MAIL are taken strictly", "[smtp][X3461]") {
    MailParameters parameters;
    CHECK(parse_mail_parameters(" RET=hdrs ENVID=QQ314159+2B1", parameters) == ParameterError::None);
    CHECK(parameters.return_content == ReturnContent::Headers);
    CHECK(parameters.envelope_id == "QQ314159+1");
    MailParameters longest;
    CHECK(parse_mail_parameters(" ENVID=" + std::string(100, 'x'), longest) == ParameterError::None);
    const std::string too_long = " ENVID=" + std::string(101, 'x');
    for (const std::string& text : {std::string(" RET"), std::string(" RET=BODY"), std::string(" RET=FULL RET=FULL"), std::string(" ENVID"),
                                    std::string(" ENVID="), std::string(" ENVID=a ENVID=b"), std::string(" ENVID=a+0D+0AX"), too_long}) {
        INFO(text);
        MailParameters bad;
        CHECK(parse_mail_parameters(text, bad) == ParameterError::Syntax);
    }
}

TEST_CASE("the DSN parameters of RCPT are taken strictly and passed on as they came", "[smtp][X3461]") {
    RcptParameters parameters;
    CHECK(parse_rcpt_parameters(" NOTIFY=delay,SUCCESS ORCPT=rfc822;a+2Bb@x.example", Mailbox::Utf8::Refuse,
                                parameters) == ParameterError::None);
    CHECK(parameters.notify == (kNotifyDelay | kNotifySuccess));
    CHECK(parameters.original == "rfc822;a+b@x.example");
    std::string out;
    append_notify(out, parameters.notify);
    append_original_recipient(out, parameters.original);
    CHECK(out == " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@x.example");
    RcptParameters never;
    CHECK(parse_rcpt_parameters(" NOTIFY=NEVER", Mailbox::Utf8::Refuse, never) == ParameterError::None);
    CHECK(never.notify == kNotifyNever);
    RcptParameters utf8;
    CHECK(parse_rcpt_parameters(" ORCPT=utf-8;\xc3\xa4@x.example", Mailbox::Utf8::Allow, utf8) == ParameterError::None);
    CHECK(utf8.original == "utf-8;\xc3\xa4@x.example");
    const std::string too_long = " ORCPT=rfc822;" + std::string(494, 'x');
    for (const std::string& text :
         {std::string(" NOTIFY"), std::string(" NOTIFY=NEVER,SUCCESS"), std::string(" NOTIFY=SUCCESS,"), std::string(" NOTIFY=ALWAYS"),
          std::string(" NOTIFY=DELAY NOTIFY=DELAY"), std::string(" ORCPT"), std::string(" ORCPT=a@b"), std::string(" ORCPT=;a@b"),
          std::string(" ORCPT=rfc822;"), std::string(" ORCPT=rfc822;a+0A"), std::string(" ORCPT=rfc822;a ORCPT=rfc822;a"),
          std::string(" ORCPT=utf-8;\xc3\xa4@x.example"), too_long}) {
        INFO(text);
        RcptParameters bad;
        CHECK(parse_rcpt_parameters(text, Mailbox::Utf8::Refuse, bad) == ParameterError::Syntax);
    }
}

TEST_CASE("ten thousand parameters are read one by one", "[smtp][SEC-6]") {
    std::string text;
    for (int i = 0; i < 10'000; ++i) text += " K" + std::to_string(i) + "=v";
    ParameterReader reader(text);
    int count = 0;
    while (reader.next()) ++count;
    CHECK(count == 10'000);
    CHECK_FALSE(reader.failed());
}

}  // namespace postfleet::smtp
