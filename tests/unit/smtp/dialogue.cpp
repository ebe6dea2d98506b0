#include "dialogue.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "postfleet/base/text.hpp"

namespace postfleet::smtp {
namespace {

using Step = Dialogue::Step;

void add(Dialogue& dialogue, Step::Kind kind, const std::string& octets, int line) {
    auto& steps = dialogue.steps;
    const bool joins =
        (kind == Step::Kind::Client || kind == Step::Kind::Server) && !steps.empty() && steps.back().kind == kind;
    if (joins) steps.back().octets += octets;
    else steps.push_back({kind, octets, {}, line});
}

void set(Dialogue& dialogue, const std::string& setting) {
    if (setting == "normalize") dialogue.settings.line_ends = LineEndPolicy::Normalize;
    else if (setting == "starttls") dialogue.settings.offers_starttls = true;
    else if (setting == "auth") dialogue.settings.auth_mechanisms = "TEST";
    else if (setting == "auth-without-tls") dialogue.settings.auth_without_tls = true;
    else if (setting == "merge") dialogue.settings.offers_merge = true;
    else if (setting == "require-tls") dialogue.settings.offers_require_tls = true;
    else if (setting == "schedule")
        dialogue.settings.schedule = {.max_hold = std::chrono::hours(24), .deliver_by = true, .mt_priority = true};
    else if (setting == "no-limits") dialogue.settings.max_errors = 1000;
    else if (setting == "scripted") return;  // of interest to those who replay it elsewhere
    else if (setting == "xclient") dialogue.xclient = true;
    else if (setting == "one-write") dialogue.one_write = true;
    else if (setting == "refuse-connection")
        dialogue.connection = Decision::refuse(554, {5, 7, 1}, "No service for you");
    else throw std::runtime_error(dialogue.name + ": unknown setting " + setting);
}

Reply parse_answer(const std::string& text) {
    Reply reply;
    reply.code = std::stoi(text.substr(0, 3));
    reply.text = text.substr(4);
    if (reply.text.size() > 6 && reply.text[1] == '.' && reply.text[5] == ' ') {
        reply.enhanced = {static_cast<std::uint8_t>(reply.text[0] - '0'),
                          static_cast<std::uint16_t>(reply.text[2] - '0'),
                          static_cast<std::uint16_t>(reply.text[4] - '0')};
        reply.text.erase(0, 6);
    }
    return reply;
}

support::ScriptedPolicy::Taken parse_message(const std::string& text) {
    const auto parts = split(text, '|');
    support::ScriptedPolicy::Taken message;
    message.reverse_path = unescape(std::string(parts.at(0)));
    for (const auto recipient : split(parts.at(1), ',')) message.recipients.push_back(unescape(std::string(recipient)));
    message.content = unescape(std::string(parts.at(2)));
    return message;
}

}  // namespace

std::string unescape(const std::string& text) {
    std::string octets;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            octets.push_back(text[i]);
            continue;
        }
        switch (text.at(++i)) {
            case 'r': octets.push_back('\r'); break;
            case 'n': octets.push_back('\n'); break;
            case '0': octets.push_back('\0'); break;
            case '\\': octets.push_back('\\'); break;
            case 'x':
                octets.push_back(static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16)));
                i += 2;
                break;
            case '*': {
                const auto end = text.find(';', i);
                octets.append(std::stoul(text.substr(i + 1, end - i - 1)), text.at(end + 1));
                i = end + 1;
                break;
            }
            default: throw std::runtime_error("unknown escape in: " + text);
        }
    }
    return octets;
}

Dialogue Dialogue::read(const std::string& path) {
    Dialogue dialogue;
    dialogue.name = std::filesystem::path(path).stem().string();
    dialogue.settings = {
        .hostname = "mx.example", .max_message_octets = 1000, .max_recipients = 3, .max_messages = 2, .max_errors = 5};
    std::ifstream file(path);
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        if (line.empty() || line[0] == '#') continue;
        const std::string mark = line.substr(0, 2);
        const std::string rest = line.size() > 3 ? line.substr(3) : "";
        if (line[0] == '@') set(dialogue, line.substr(2));
        else if (mark == "C:") add(dialogue, Step::Kind::Client, rest + "\r\n", number);
        else if (mark == "C|") add(dialogue, Step::Kind::Client, unescape(rest), number);
        else if (mark == "S:") add(dialogue, Step::Kind::Server, rest + "\r\n", number);
        else if (mark == "T:") add(dialogue, Step::Kind::Secured, "", number);
        else if (mark == "X:") add(dialogue, Step::Kind::Closed, "", number);
        else if (mark == "M:") dialogue.messages.push_back(parse_message(rest));
        else if (mark == "R:") {
            add(dialogue, Step::Kind::Resume, "", number);
            dialogue.steps.back().answer = parse_answer(rest);
        } else {
            throw std::runtime_error(path + ":" + std::to_string(number) + ": unknown line");
        }
    }
    return dialogue;
}

std::vector<Dialogue> Dialogue::read_all() {
    std::vector<Dialogue> all;
    for (const auto& entry : std::filesystem::directory_iterator(POSTFLEET_SOURCE_DIR "/tests/corpus/smtp_dialogues")) {
        if (entry.path().extension() == ".txt") all.push_back(read(entry.path().string()));
    }
    std::sort(all.begin(), all.end(), [](const Dialogue& a, const Dialogue& b) { return a.name < b.name; });
    return all;
}

}  // namespace postfleet::smtp
