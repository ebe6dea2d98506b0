#include <boost/json.hpp>
#include <fmt/format.h>

#include "postfleet/control/json_view.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/standalone/views.hpp"

namespace postfleet::standalone {

using control::JsonView;
using control::parse_answer;
namespace {

using Align = Table::Align;

constexpr std::size_t kMaxQueuesShown = 6;

struct Words {
    std::string text;
    Tone tone = Tone::Plain;
};

// What becomes of mail for the domain, in a sentence.
Words outcome_words(const JsonView& answer) {
    const std::string outcome = answer.text("outcome");
    const std::string text = printable(answer.text("text"));
    const auto because = [&](const std::string& sentence) { return text.empty() ? sentence : sentence + ": " + text; };
    if (outcome == "found") return {"goes out", Tone::Good};
    if (outcome == "null_mx") {
        return {
            "takes no mail (null MX, RFC 7505): mail to it bounces with 5.1.10, and mail from it is refused by "
            "others with 5.7.27",
            Tone::Bad};
    }
    if (outcome == "no_such_domain") return {because("bounces with 5.1.2"), Tone::Bad};
    if (outcome == "loop") return {because("bounces with 5.4.6"), Tone::Bad};
    if (outcome == "private") return {because("bounces with 5.4.4"), Tone::Bad};
    return {because("waits"), Tone::Warning};
}

std::string source_words(const JsonView& answer) {
    const std::string source = answer.text("source");
    if (source == "route") return "next hops of a route, no MX look-up";
    if (source == "literal") return "the address itself";
    std::string words = source == "implicit_mx" ? "no MX records: the domain is its own host" : "MX records";
    if (answer.has("dnssec")) words += ", DNSSEC " + printable(answer.text("dnssec"));
    return words + ", good for " + show_age(answer.number("ttl_seconds"));
}

std::string site_words(const JsonView& answer) {
    std::string words = printable(answer.text("why"));
    if (answer.has("origin")) words += ", " + printable(answer.text("origin"));
    if (answer.flag("shipped")) words += ", shipped with postfleet";
    return fmt::format("{}  ({})", printable(answer.text("site")), words);
}

std::string queue_words(const JsonView& answer) {
    const auto& queues = answer.array("queues");
    std::string words;
    for (std::size_t i = 0; i < queues.size() && i < kMaxQueuesShown; ++i) {
        if (!queues[i].is_string()) continue;
        words += (words.empty() ? "" : ", ") + printable(std::string_view(queues[i].as_string()));
    }
    if (queues.size() > kMaxQueuesShown) words += fmt::format(" and {} more", queues.size() - kMaxQueuesShown);
    return words;
}

void add_host(Table& table, const JsonView& host) {
    const bool is_used = host.flag("used");
    std::string name = printable(host.text("name"));
    if (const auto port = host.count("port"); port != 25) name += ":" + std::to_string(port);
    if (host.has("canonical_name")) name += " -> " + printable(host.text("canonical_name"));
    const Tone tone = is_used ? Tone::Plain : Tone::Faint;
    const auto& addresses = host.array("addresses");
    std::string preference = std::to_string(host.count("preference")), state, left;
    if (host.count("ttl_seconds") > 0) {  // else it was written down, and not looked up
        state = printable(host.text("dnssec"));
        left = show_age(host.number("ttl_seconds"));
    }
    if (addresses.empty()) {
        table.add_row({{preference, tone}, {name, tone}, {"none", Tone::Warning}, {left, tone}, {state, tone}, {""}});
    }
    for (const boost::json::value& value : addresses) {
        const JsonView address(value);
        const char* note = address.flag("used")       ? ""
                           : !is_used                 ? "host not used"
                           : address.flag("reserved") ? "private, not used"
                                                      : "not used";
        table.add_row({{preference, tone},
                       {name, tone},
                       {printable(address.text("address")), address.flag("used") ? Tone::Strong : Tone::Faint},
                       {left, tone},
                       {state, tone},
                       {note, Tone::Warning}});
        preference = name = state = left = "";
    }
}

std::string hosts_table(const JsonView& answer, const Style& style) {
    Table table({{"PREF", Align::Right, 90},
                 {"HOST", Align::Left, 100, true},
                 {"ADDRESS", Align::Left, 95},
                 {"TTL", Align::Right, 50},
                 {"DNSSEC", Align::Left, 70},
                 {"NOTE", Align::Left, 60}});
    for (const boost::json::value& host : answer.array("hosts")) add_host(table, JsonView(host));
    return table.rows() == 0 ? "" : "\n" + table.render(style);
}

std::string settings_table(const JsonView& answer, const Style& style) {
    const std::string queue = printable(answer.text("settings_of"));
    Table table({{"SETTING", Align::Left, 100},
                 {"VALUE", Align::Left, 90, true},
                 {"FROM", Align::Left, 80},
                 {"RULE", Align::Left, 70, true}});
    for (const boost::json::value& value : answer.array("settings")) {
        const JsonView key(value);
        const std::string rule = key.text("rule");
        table.add_row({{printable(key.text("key"))},
                       {printable(key.text("value")), Tone::Strong},
                       {printable(key.text("origin"))},
                       {rule.empty() ? "general" : printable(rule)}});
    }
    if (table.rows() == 0) return "\nNo rule shapes " + queue + ": every setting has its default.\n";
    return "\nWhat rules set for " + queue + " (`postfleet show settings " + queue + "` shows all)\n" +
           table.render(style);
}

// What is published about TLS, one line for each.
std::string tls_lines(const JsonView& answer) {
    if (!answer.has("tls")) return "";
    const JsonView tls = answer.object("tls");
    std::vector<std::string> lines;
    for (const boost::json::value& value : tls.array("dane")) {
        const JsonView host(value);
        const std::string outcome = host.text("outcome"), name = printable(host.text("host"));
        if (outcome == "found")
            lines.push_back(fmt::format("DANE: {} TLSA records for {}", host.count("records"), name));
        if (outcome == "temporary")
            lines.push_back("DANE: the TLSA records of " + name + " cannot be looked up: not used now");
    }
    const JsonView sts = tls.object("mta_sts");
    const std::string outcome = sts.text("outcome");
    if (outcome == "found") {
        std::string hosts;
        for (const boost::json::value& mx : sts.array("mx")) {
            hosts += (hosts.empty() ? "" : ", ") + printable(std::string_view(mx.as_string()));
        }
        lines.push_back(fmt::format("MTA-STS {}: {}, for {}", printable(sts.text("mode")), hosts,
                                    show_age(sts.number("max_age_seconds"))));
    } else if (outcome != "none") {
        lines.push_back("MTA-STS: no policy now: " + printable(sts.text("text")));
    }
    for (const boost::json::value& record : tls.array("tls_rpt")) {
        lines.push_back("TLS reports are wanted: " + printable(std::string_view(record.as_string())));
    }
    if (lines.empty()) lines.emplace_back("nothing is published: neither DANE nor MTA-STS");
    std::string text;
    for (const std::string& line : lines) text += (text.empty() ? "  tls     " : "          ") + line + "\n";
    return text;
}

}  // namespace

Result<std::string> view_resolution(const std::string& json, const Style& style) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const JsonView answer(*document);
    const Words outcome = outcome_words(answer);
    std::string text = paint(printable(answer.text("domain")), Tone::Strong, style) + "\n";
    text += "  mail    " + paint(outcome.text, outcome.tone, style) + "\n";
    text += "  hosts   " + source_words(answer) + "\n";
    text += "  site    " + site_words(answer) + "\n";
    text += "  queues  " + queue_words(answer) + "\n";
    text += tls_lines(answer);
    text += hosts_table(answer, style);
    return text + settings_table(answer, style);
}

Result<std::string> view_providers(const std::string& json, const Style& style) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    Table table({{"PROVIDER", Align::Left, 100}, {"BELONGS TO IT", Align::Left, 90, true}, {"FROM", Align::Left, 80}});
    for (const boost::json::value& value : JsonView(*document).array("providers")) {
        const JsonView provider(value);
        table.add_row({{printable(provider.text("name")), Tone::Strong},
                       {printable(provider.text("what"))},
                       {provider.has("origin") ? printable(provider.text("origin")) : "shipped"}});
    }
    return table.rows() == 0 ? "No providers.\n" : table.render(style);
}

}  // namespace postfleet::standalone
